# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys of encrypted disks are read where they lie; what can be none is refused, and never shown."""

import os
from pathlib import Path

import pytest

from xen2kvmd.errors import InvalidOption
from xen2kvmd.guest.key import Key
from xen2kvmd.model import DiskKey, Operation, Request
from xen2kvmd.steps import keys
from xen2kvmd.system import credentials


def read(*given: DiskKey) -> tuple[Key, ...]:
    return keys.read(Request(Operation.PLAN, "xen:///system", keys=given))


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"hunter2", "hunter2"), (b"hunter2\n", "hunter2"), (b" x \n\n", " x \n"), (b"\xc3\xbc", "ü")],
)
def test_file_is_the_passphrase_without_its_last_newline(
    tmp_path: Path, content: bytes, secret: str
) -> None:
    (tmp_path / "key").write_bytes(content)
    (key,) = read(DiskKey("all", file=str(tmp_path / "key")))
    assert (key.selector, key.secret) == ("all", secret)
    assert secret not in repr(key)


@pytest.mark.parametrize("content", [b"", b"\n", b"a\0b", b"\xff\xfe", b"x" * 4097])
def test_what_is_no_passphrase_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(InvalidOption, match=r"key is no passphrase") as refused:
        read(DiskKey("all", file=str(tmp_path / "key")))
    assert "a\\0b" not in str(refused.value)


def test_only_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, why in (("fifo", "no regular file"), ("missing", "No such file"), ("", "directory")):
        with pytest.raises(InvalidOption, match=why):
            read(DiskKey("all", file=str(tmp_path / name)))


def test_credential_has_our_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "STORES", (tmp_path / "run", tmp_path / "etc"))
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/xen2kvm.vm1").write_text("hunter2\n")
    (tmp_path / "etc/database").write_text("others'")
    assert read(DiskKey("all", credential="vm1"))[0].secret == "hunter2"
    with pytest.raises(InvalidOption, match=r"no credential xen2kvm\.database"):
        read(DiskKey("all", credential="database"))


def test_credential_that_is_encrypted_is_decrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "ENCRYPTED", (tmp_path,))
    (tmp_path / "xen2kvm.vm1").write_text("of another host")
    with pytest.raises(InvalidOption, match=r"credential xen2kvm\.vm1 cannot be read"):
        read(DiskKey("all", credential="vm1"))
