# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/install puts everything where a system looks for it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from xen2kvmd import __version__

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    subprocess.run([CHECKOUT / "tools/install", "--destdir", folder], check=True, umask=0o077)
    return folder


def test_every_file_of_the_checkout_is_installed_once(root: Path) -> None:
    shipped = [
        path.name
        for folder in ("dbus", "polkit", "systemd")
        for path in (CHECKOUT / folder).iterdir()
    ]
    pages = [path.stem + ".gz" for path in (CHECKOUT / "man").glob("*.rst")]
    installed = [path.name for path in root.rglob("*") if "xen2kvmd" not in path.parts]
    for name in shipped + pages:
        assert installed.count(name) == 1, name


def test_shells_find_their_completions(root: Path) -> None:
    share = root / "usr/share"
    assert (share / "bash-completion/completions/xen2kvm").is_file()
    assert len(list(share.glob("zsh/*/_xen2kvm"))) == 1
    assert (share / "fish/vendor_completions.d/xen2kvm.fish").is_file()


def test_it_can_be_read_by_all_whatever_the_umask(root: Path) -> None:
    for path in (root / "usr").rglob("*"):
        mode = path.stat().st_mode & 0o777
        program = path.is_dir() or path.parent == root / "usr/bin"
        assert mode == (0o755 if program else 0o644), path


@pytest.mark.parametrize("program", ["xen2kvm", "xen2kvmd"])
def test_the_installed_program_runs(root: Path, program: str) -> None:
    (package,) = root.glob("usr/lib*/python3*/*-packages/xen2kvmd")
    done = subprocess.run(
        [root / "usr/bin" / program, "--version"],
        env=os.environ | {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip().endswith(__version__)) == (0, True), done


def test_bus_unit_and_files_name_each_other(root: Path) -> None:
    activation = (
        root / "usr/share/dbus-1/system-services/org.xen2kvm.Migrator1.service"
    ).read_text()
    unit = (root / "usr/lib/systemd/system/xen2kvmd.service").read_text()
    # The unit's own name: an alias is there only where somebody has enabled the unit.
    assert "\nSystemdService=xen2kvmd.service\n" in activation
    for text in (re.sub("^Exec=", "ExecStart=", activation, flags=re.MULTILINE), unit):
        (program,) = re.findall(r"^ExecStart=(\S+)", text, re.MULTILINE)
        assert os.access(root / program.lstrip("/"), os.X_OK)


def test_unknown_words_are_refused_and_nothing_is_installed(tmp_path: Path) -> None:
    done = subprocess.run(
        [CHECKOUT / "tools/install", "--prefix", tmp_path], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert not list(tmp_path.iterdir())
