# SPDX-License-Identifier: GPL-2.0-or-later
"""The wheel, for development, holds the programs and the data that they read."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xen2kvmd import __version__

CHECKOUT = Path(__file__).parents[2]
NEEDED = ("LICENSE", "README.md", "dbus", "pyproject.toml", "setup.cfg", "xen2kvmd")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel, built of a copy, is installed into."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    for name in NEEDED:
        copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
        copy(CHECKOUT / name, folder / "source" / name)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    offline = ("--no-deps", "--no-index")
    build = (*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", folder, "./source")
    subprocess.run(build, cwd=folder, check=True)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name == f"xen2kvm-{__version__}-py3-none-any.whl"
    install = (*pip, "install", *offline, "--ignore-installed", "--prefix", folder / "usr", wheel)
    subprocess.run(install, check=True)
    return folder / "usr"


@pytest.mark.slow
@pytest.mark.parametrize("program", ["xen2kvm", "xen2kvmd"])
def test_installed_program_runs(prefix: Path, program: str) -> None:
    (modules,) = prefix.glob("lib/python3*/site-packages")
    done = subprocess.run(
        [prefix / "bin" / program, "--version"],
        env=os.environ | {"PYTHONPATH": str(modules)},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split()[-1:]) == (0, [__version__]), done


@pytest.mark.slow
def test_data_are_installed(prefix: Path) -> None:
    modules = {
        str(path.relative_to(CHECKOUT)): path.read_bytes()
        for path in (CHECKOUT / "xen2kvmd").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    (root,) = prefix.glob("lib/python3*/site-packages")
    assert {name: (root / name).read_bytes() for name in modules} == modules
    interface = "dbus-1/interfaces/org.xen2kvm.Migrator1.xml"
    assert (prefix / "share" / interface).is_file()
