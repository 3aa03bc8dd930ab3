# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages hold what tools/install installs, all of it, once, and run."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from xen2kvmd import __version__

CHECKOUT = Path(__file__).parents[2]
SPEC = CHECKOUT / "packaging/xen2kvm.spec"
PACKAGES = {"xen2kvm", "xen2kvmd", "xen2kvm-doc"}

# Macros that are the distribution's: Debian's rpm does not bring them.
MACROS = {
    "python3_sitelib": "/usr/lib/python3/dist-packages",
    "_unitdir": "/usr/lib/systemd/system",
    "systemd_post": "%{nil}",
    "systemd_preun": "%{nil}",
    "systemd_postun_with_restart": "%{nil}",
}


def run(*argv: str | Path, cwd: Path = CHECKOUT) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(root: Path) -> set[str]:
    """Return what is installed below a folder; documentation, which is each packager's own, not."""
    paths = (path for path in root.rglob("*") if not path.is_dir())
    names = {str(path.relative_to(root)) for path in paths}
    return {name for name in names if not name.startswith("usr/share/doc")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("installed")
    run("tools/install", "--destdir", root)
    return root


@pytest.mark.slow
@pytest.mark.xdist_group("debs")
def test_debs_hold_all_that_is_installed_and_run(
    debs: dict[str, Path], installed: Path, tmp_path: Path
) -> None:
    assert set(debs) == PACKAGES
    for deb in debs.values():
        before = files(tmp_path)
        run("dpkg-deb", "--extract", deb, tmp_path)
        one = tmp_path.with_name(deb.name)
        run("dpkg-deb", "--extract", deb, one)
        assert not before & files(one), "in two packages"
    wanted = {re.sub("^usr/lib/systemd/", "lib/systemd/", name) for name in files(installed)}
    found = files(tmp_path)
    assert found - {"usr/share/doc-base/xen2kvm-doc.xen2kvm"} == wanted
    assert (tmp_path / "usr/share/doc/xen2kvmd/examples/50-xen2kvm.rules.example").is_file()
    modules = tmp_path / "usr/lib/python3/dist-packages"
    done = subprocess.run(
        [tmp_path / "usr/bin/xen2kvm", "--version"],
        env=os.environ | {"PYTHONPATH": str(modules), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"xen2kvm {__version__}\n"


def test_versions_agree() -> None:
    assert f"xen2kvm ({__version__}) " in (CHECKOUT / "debian/changelog").read_text()
    assert re.findall(r"^Version:\s+(\S+)", SPEC.read_text(), re.M) == [__version__]


@pytest.mark.slow
@pytest.mark.parametrize("suse", [True, False])
def test_spec_is_accepted(tmp_path: Path, *, suse: bool) -> None:
    distribution = ["--define", "suse_version 1600"] if suse else []
    parsed = run("rpmspec", "-P", *distribution, SPEC)
    assert ("libvirt-daemon-qemu" in parsed) == suse
    archive = tmp_path / f"xen2kvm-{__version__}.tar.gz"
    run("tar", "-czf", archive, "LICENSE")
    top = ["--define", f"_topdir {tmp_path}", "--define", f"_sourcedir {tmp_path}"]
    run("rpmbuild", "-bs", "--nodeps", *top, SPEC)
    assert [path.name for path in (tmp_path / "SRPMS").iterdir()] == [
        f"xen2kvm-{__version__}-1.src.rpm"
    ]


@pytest.mark.slow
def test_spec_names_every_file(tmp_path: Path) -> None:
    """It is really built, but for the distribution's own macros and dependencies."""
    name = f"xen2kvm-{__version__}"
    archive = ("-czf", tmp_path / f"{name}.tar.gz", "--transform", f"s,^[.],{name},")
    run("tar", *archive, "--exclude=./.[a-z]*", "--exclude=./tests", "--exclude=__pycache__", ".")
    defined = [f"{key} {value}" for key, value in MACROS.items()]
    defined += [f"_topdir {tmp_path}", f"_sourcedir {tmp_path}"]
    run(
        "rpmbuild",
        "-bb",
        "--nodeps",
        *(word for one in defined for word in ("--define", one)),
        SPEC,
    )
    assert len(list((tmp_path / "RPMS/noarch").iterdir())) == 2
