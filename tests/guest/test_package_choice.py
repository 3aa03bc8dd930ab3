# SPDX-License-Identifier: GPL-2.0-or-later
"""Which packages are chosen among those that were given, and which commands install them."""

from pathlib import Path

import pytest

from tests.guest.folder import Folder
from xen2kvmd.errors import InvalidOption
from xen2kvmd.guest.kernel_packages import agent_among, kernel_among, kernel_package
from xen2kvmd.guest.managers import Dpkg, Package, Rpm, _key, _names
from xen2kvmd.guest.selection import select
from xen2kvmd.model import Facts, Family


def package(name: str, version: str = "1-1", needs: str = "", gives: str = "") -> Package:
    return Package(
        f"/p/{name}-{version}",
        name,
        version,
        frozenset(needs.split()),
        frozenset(gives.split()) | {name},
    )


DEBIAN = Facts(family=Family.DEBIAN, distro="debian")
SUSE = Facts(family=Family.SUSE, distro="sles")
REDHAT = Facts(family=Family.REDHAT, distro="rhel")


@pytest.mark.parametrize(
    ("facts", "names", "found"),
    [
        (DEBIAN, "linux-image-6.1.0-5 linux-headers-6.1.0-5", "linux-image-6.1.0-5"),
        (DEBIAN, "linux-image-6.1.0-50-amd64 linux-image-amd64", "linux-image-amd64"),
        (DEBIAN, "linux-image-6.1.0-50-amd64-dbg", ""),
        (SUSE, "kernel-default-devel kernel-default kernel-default-base", "kernel-default"),
        (SUSE, "kernel-pae kernel-xen", "kernel-pae"),
        (REDHAT, "kernel-core kernel kernel-modules", "kernel"),
        (REDHAT, "kernel-xen kernel-headers", ""),
        (Facts(), "kernel linux-image-amd64", ""),
    ],
)  # fmt: skip
def test_the_kernel_among_packages(facts: Facts, names: str, found: str) -> None:
    kernel = kernel_among([package(name) for name in names.split()], facts)
    assert (kernel.name if kernel else "") == found


@pytest.mark.parametrize(
    "given",
    [
        [package("linux-image-6.1.0-50-amd64"), package("linux-image-6.1.0-50-cloud-amd64")],
        [package("linux-image-amd64", "1"), package("linux-image-amd64", "2")],
    ],
)
def test_two_kernels_are_for_a_person_to_choose_from(given: list[Package]) -> None:
    with pytest.raises(InvalidOption, match="several that may be meant: linux-image-"):
        kernel_among(given, DEBIAN)


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (DEBIAN, "linux-image-amd64"),
        (Facts(family=Family.DEBIAN, distro="debian", arch="i686"), "linux-image-686-pae"),
        (Facts(family=Family.DEBIAN, distro="debian", arch="aarch64"), "linux-image-arm64"),
        (Facts(family=Family.DEBIAN, distro="ubuntu"), "linux-image-generic"),
        (SUSE, "kernel-default"),
        (REDHAT, "kernel"),
    ],
)
def test_what_a_distribution_calls_its_kernel(facts: Facts, name: str) -> None:
    assert kernel_package(facts)[0] == name


def chosen(wanted: Package, given: list[Package], installed: dict[str, str]) -> list[str]:
    newer = Rpm().is_newer
    found = select(
        [wanted],
        [wanted, *given],
        installed=installed,
        is_newer=lambda one, than: newer(None, one, than),  # type: ignore[arg-type]
    )
    return [one.name for one in found]


def test_what_a_package_needs_comes_along_and_nothing_else() -> None:
    kernel = package("kernel", needs="kernel-core-uname-r linux-firmware dracut grubby")
    given = [
        package("kernel-core", needs="kernel-modules", gives="kernel-core-uname-r"),
        package("kernel-modules", needs="kernel-core"),  # a circle
        package("linux-firmware"),
        package("dracut", "049-1"),
        package("grubby", "8.40-2"),
        package("bash", "9-1"),
    ]
    installed = {"dracut": "049-1 x86_64", "grubby": "8.40-1 x86_64", "bash": "4-1 x86_64"}
    assert chosen(kernel, given, installed) == [
        "grubby",
        "kernel",
        "kernel-core",
        "kernel-modules",
        "linux-firmware",
    ]


def test_two_versions_of_what_is_needed_are_refused() -> None:
    given = [package("firmware", "1"), package("firmware", "2")]
    with pytest.raises(InvalidOption, match="firmware-1, firmware-2"):
        chosen(package("kernel", needs="firmware"), given, {})


def test_two_agents_are_refused() -> None:
    assert agent_among([package("kernel")]) is None
    with pytest.raises(InvalidOption):
        agent_among([package("qemu-guest-agent", "1"), package("qemu-guest-agent", "2")])


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0-1", "1.0-2"),
        ("1.9-1", "1.10-1"),
        ("1.0~rc1-1", "1.0-1"),
        ("9-1", "1:1-1"),
        ("1.0a-1", "1.0.1-1"),
        ("5.3.18-8.1", "5.3.18-150300.59"),
    ],
)  # of rpm's own tests/rpmvercmp.at, and SUSE's kernels
def test_versions_sort_as_rpm_sorts_them(older: str, newer: str) -> None:
    assert _key(older) < _key(newer)


def test_names_in_a_relationship_field() -> None:
    said = (
        "kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120) | linux-initramfs-tool, python3:any"
    )
    assert _names(said) == {
        "kmod",
        "linux-base",
        "initramfs-tools",
        "linux-initramfs-tool",
        "python3",
    }


def test_rpm_installs_a_kernel_beside_others() -> None:
    """An upgrade would remove the kernels that are there."""
    files = (package("linux-firmware"), package("kernel"), package("kernel-core"))
    assert Rpm().from_files(files) == (
        ("rpm", "--upgrade", "/p/linux-firmware-1-1"),
        ("rpm", "--install", "/p/kernel-1-1", "/p/kernel-core-1-1"),
    )
    assert Rpm().from_files(files[1:2]) == (("rpm", "--install", "/p/kernel-1-1"),)


@pytest.mark.parametrize(
    ("tools", "program"),
    [(("zypper", "rpm"), "zypper"), (("dnf", "yum"), "dnf"), (("yum",), "yum")],
)
def test_what_fetches_packages_is_the_guests_own(
    tmp_path: Path, tools: tuple[str, ...], program: str
) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    for tool in tools:
        (tmp_path / "usr/bin" / tool).touch()
    guest = Folder(tmp_path)
    commands = Rpm().from_repositories(guest, ["kernel"], [package("qemu-guest-agent")])
    assert commands[-1][0] == program
    assert commands[-1][-2:] == ("kernel", "/p/qemu-guest-agent-1-1")
    assert {"-y", "--non-interactive"} & set(commands[-1])


def test_apt_asks_nothing_and_reads_its_lists_anew(tmp_path: Path) -> None:
    update, install = Dpkg().from_repositories(Folder(tmp_path), ["linux-image-amd64"], [])
    assert update == ("apt-get", "--quiet", "update")
    assert install[:3] == ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get")
    assert install[-2:] == ("install", "linux-image-amd64")
    assert "--yes" in install
