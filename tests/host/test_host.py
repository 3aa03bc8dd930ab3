# SPDX-License-Identifier: GPL-2.0-or-later
"""What check-host says of a host, on this one and with parts of it taken away."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xen2kvmd.host.__main__ import shown, verdict
from xen2kvmd.host.checks import Check, State, _load_kvm
from xen2kvmd.host.packages import PACKAGES, PackageFamily, family_of, install

CHECKOUT = Path(__file__).parents[2]


def check_host(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "xen2kvmd.cli", "check-host", *arguments],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)} | environment,
        cwd=cwd, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("release", "family"),
    [
        ({"ID": "debian"}, PackageFamily.DEBIAN),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, PackageFamily.DEBIAN),
        ({"ID": "opensuse-leap", "ID_LIKE": "suse opensuse"}, PackageFamily.SUSE),
        ({"ID": "sles", "ID_LIKE": "suse"}, PackageFamily.SUSE),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, PackageFamily.FEDORA),
        ({"ID": "fedora"}, PackageFamily.FEDORA),
        ({"ID": "arch"}, None),
    ],
)
def test_distribution_is_known_by_its_release_file(
    release: dict[str, str], family: PackageFamily | None
) -> None:
    assert family_of(release) is family


def test_command_is_that_of_the_distribution() -> None:
    said = [install(["qemu-img", "ssh"], family) for family in (*PackageFamily, None)]
    assert said == [
        "apt-get install qemu-utils openssh-client",
        "zypper install qemu-tools openssh-clients",
        "dnf install qemu-img openssh-clients",
        "Install qemu-img and ssh with this system's own tools.",
    ]


def test_packages_for_debian_are_those_that_the_tool_installs() -> None:
    tool = set((CHECKOUT / "tools/install-packages").read_text().split())
    by_others = {"openssh-client", "util-linux"}  # what virt-v2v and Debian itself bring
    named = {name.removesuffix(")") for names in PACKAGES.values() for name in names[0].split()}
    assert named - by_others <= {word.removeprefix("kernel=") for word in tool}


@pytest.mark.parametrize(
    ("flags", "says"),
    [({"vmx"}, "modprobe kvm_intel"), ({"svm"}, "modprobe kvm_amd"), ({"sse"}, "Enable VT-x")],
)
def test_kvm_is_mended_by_the_processors_maker(flags: set[str], says: str) -> None:
    assert _load_kvm(frozenset(flags)).startswith(says)


def test_empty_path_lacks_programs_and_names_their_packages(tmp_path: Path) -> None:
    done = check_host("--quick", "--json", cwd=tmp_path, PATH=str(tmp_path))
    found = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 1
    for name in ("qemu", "qemu-img", "libvirt"):
        assert found[name]["state"] == "lacking"
        assert found[name]["mend"]
    assert found["virt-v2v"]["state"] == "advice"
    assert "needed by Windows guests" in found["virt-v2v"]["says"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is told of libvirt")
@pytest.mark.parametrize(
    ("lists", "state", "mend"),
    [
        ("*-list*) echo default", "ok", ""),
        ("*--autostart*) ;; *-list*) echo default", "advice", "virsh {kind}-autostart default"),
        (
            "*--all*) echo default",
            "advice",
            "virsh {kind}-start default && virsh {kind}-autostart default",
        ),
    ],
)
def test_pool_and_network_shall_start_with_their_host(
    tmp_path: Path, lists: str, state: str, mend: str
) -> None:
    virsh = tmp_path / "virsh"
    virsh.write_text(f'#!/bin/sh\ncase "$*" in {lists} ;; esac\n')
    virsh.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    checks = json.loads(check_host("--quick", "--json", cwd=tmp_path, PATH=path).stdout)
    found = {check["name"]: (check["state"], check["mend"]) for check in checks}
    assert found["pool default"] == (state, mend.format(kind="pool"))
    assert found["network default"] == (state, mend.format(kind="net"))


def test_table_has_a_row_for_each_and_the_exit_code_tells(tmp_path: Path) -> None:
    """What is lacking here depends on the machine; that table, JSON and code agree does not."""
    table = check_host("--quick", cwd=tmp_path)
    checks = json.loads(check_host("--quick", "--json", cwd=tmp_path).stdout)
    lacking = [check["name"] for check in checks if check["state"] == "lacking"]
    assert table.returncode == (1 if lacking else 0), table
    for check in checks:
        assert f"{check['state']:<8} {check['name']}" in table.stdout


def test_modules_of_the_current_directory_are_not_run(tmp_path: Path) -> None:
    for name in ("xen2kvmd", "json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('run')")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "xen2kvmd.cli", "check-host", "--quick"],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "space for disks" in done.stdout, done


def test_what_mends_stands_in_a_line_of_its_own() -> None:
    lacking = Check("qemu", State.LACKING, "not\x1b installed", "apt-get install qemu")
    assert shown(lacking).splitlines()[1].strip() == "apt-get install qemu"
    assert "\x1b" not in shown(lacking)
    assert verdict([lacking]) == "No migration works before this is mended: qemu."
    assert verdict([]) == "This host can take guests."


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_appliance_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "xen2kvmd.host.appliance"],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_reader_that_has_gone_is_no_fault(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "xen2kvmd.cli", "check-host", "--quick"]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as gone:
        done = subprocess.run(
            argv, env=environment, cwd=tmp_path, stdout=gone, stderr=subprocess.PIPE, text=True
        )
    assert done.stderr == ""
