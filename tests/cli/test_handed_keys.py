# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys are read by the client, as whoever calls it; the service gets descriptors, and no path."""

import argparse
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xen2kvmd.cli.arguments import parse
from xen2kvmd.cli.asked import options_of
from xen2kvmd.cli.keys import opened
from xen2kvmd.errors import InvalidOption

CHECKOUT = Path(__file__).parents[2]
PROGRAM = """
import os, sys
from xen2kvmd.cli.arguments import parse
from xen2kvmd.cli.keys import opened
from xen2kvmd.errors import InvalidOption
arguments = parse(sys.argv[1:])
try:
    with opened(arguments):
        print("read", os.pread(arguments.keys.handed[0][1], 99, 0))
except InvalidOption as error:
    print("refused", error)
"""


def arguments(*keys: str) -> argparse.Namespace:
    return parse(["inspect", "x.xml", *(word for key in keys for word in ("--key", key))])


def test_files_are_handed_over_and_credentials_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vm.key").write_bytes(b"hunter2\n")
    monkeypatch.chdir(tmp_path)
    given = arguments("/dev/xvda2:file:vm.key", "all:credential:vm1", f"all:file:{tmp_path}/vm.key")
    before = set(os.listdir("/proc/self/fd"))
    with opened(given):
        found = {key: (kind, value) for key, kind, value in options_of(given)}
        assert found == {
            "keys": ("as", ["all:credential:vm1"]),
            "key-descriptors": ("a(sh)", [["/dev/xvda2", 0], ["all", 1]]),
        }
        for _, descriptor in given.keys.handed:
            assert os.pread(descriptor, 99, 0) == b"hunter2\n"
            assert not os.get_inheritable(descriptor)
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", ["missing", ".", ""])
def test_a_file_that_cannot_be_read_is_told_of(tmp_path: Path, name: str) -> None:
    path = f"{tmp_path}/{name}" if name else ""
    with (
        pytest.raises(InvalidOption, match="cannot be read"),
        opened(arguments(f"all:file:{path}")),
    ):
        pass


def test_a_file_of_somebody_else_is_not_read(tmp_path: Path) -> None:
    """The service would have read it, for it is root."""
    (tmp_path / "key").write_text("root's")
    (tmp_path / "key").chmod(0o600)
    tmp_path.chmod(0o755)
    os.seteuid(65534)
    try:
        with (
            pytest.raises(InvalidOption, match="Permission denied"),
            opened(arguments(f"all:file:{tmp_path}/key")),
        ):
            pass
    finally:
        os.seteuid(0)


def test_so_many_are_handed_over(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x")
    before = set(os.listdir("/proc/self/fd"))
    given = arguments(*[f"all:file:{tmp_path}/key"] * 17)
    with pytest.raises(InvalidOption, match="17 keys, and 16"), opened(given):
        pass
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_file_without_end_is_not_read_to_it() -> None:
    given = arguments("all:file:/dev/zero")
    with opened(given):
        assert len(os.pread(given.keys.handed[0][1], 1 << 20, 0)) == 4098  # the service refuses it


def test_a_terminal_is_asked_and_shows_nothing() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-c", PROGRAM, "plan", "x", "--key", "all:ask"],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=CHECKOUT,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while b"Passphrase for all: " not in said:
        said += os.read(ours, 1000)
    time.sleep(0.2)
    os.write(ours, b"geheim-\xc3\xbc\n")
    while b"read" not in said or not said.endswith(b"\n"):
        said += os.read(ours, 1000)
    process.wait()
    os.close(ours)
    assert b"geheim" not in said.partition(b"read")[0]
    assert said.rstrip().endswith(rb"read b'geheim-\xc3\xbc'")


@pytest.mark.parametrize(
    ("more", "why"),
    [((), "no terminal to ask for the passphrase for all"), (("--no-ask-password",), "exclude")],
)
def test_where_nobody_is_to_be_asked_none_is(more: tuple[str, ...], why: str) -> None:
    said = subprocess.run(
        ["setsid", sys.executable, "-c", PROGRAM, "plan", "x", "--key", "all:ask", *more],
        input=b"hunter2\n", capture_output=True, cwd=CHECKOUT, check=True,
    )  # fmt: skip
    assert why in said.stdout.decode()
    assert b"hunter2" not in said.stdout
