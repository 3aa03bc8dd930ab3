# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's package managers: what they are asked, and the commands that install.

They run in the guest's root, in the appliance: a package of the guest's is read by the guest's own
dpkg or rpm, which knows its compression and its signatures, and never by this host.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from xen2kvmd.errors import Failed
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.programs import has
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Facts, Family

Command = tuple[str, ...]


@dataclass(frozen=True)
class Package:
    """A package in a file, as the guest's package manager reads it."""

    file: str  # path in the guest
    name: str
    version: str
    needs: frozenset[str]  # names and capabilities, without versions
    gives: frozenset[str]


class Manager(Protocol):
    """How a guest's packages are managed."""

    kind: str  # deb or rpm: what its files are called

    def installed(self, guest: Appliance) -> dict[str, str]:
        """Return the guest's packages: each name with its version or versions."""

    def describe(self, guest: Appliance, path: str) -> Package:
        """Read a package's file. Raises Failed where the package manager cannot."""

    def is_newer(self, guest: Appliance, package: Package, than: str) -> bool:
        """Tell whether a package would be an upgrade of that version."""

    def from_files(self, packages: Sequence[Package]) -> tuple[Command, ...]:
        """Return the commands that install these files, and fetch nothing."""

    def from_repositories(
        self, guest: Tree, names: Sequence[str], files: Sequence[Package]
    ) -> tuple[Command, ...]:
        """Return the commands that install both, and what they need from repositories."""


def manager_of(guest: Tree, facts: Facts) -> Manager | None:
    """Return the package manager of a guest's distribution, or None where that is not known."""
    match facts.family:
        case Family.DEBIAN if has(guest, "dpkg"):
            return Dpkg()
        case Family.SUSE | Family.REDHAT if has(guest, "rpm"):
            return Rpm()
        case _:
            return None


class Dpkg:
    """Debian, Ubuntu: dpkg(1), and apt-get(8), which takes files since 1.1 (Debian 9)."""

    kind = "deb"
    # A question of a package would find nobody to answer it (debconf(7)); a file that the
    # administrator changed stays as it is (dpkg(1), --force-confold).
    _QUIET = ("env", "DEBIAN_FRONTEND=noninteractive")
    _FIELDS = "${Package}\\t${Version}\\t${Depends}, ${Pre-Depends}\\t${Provides}\\n"

    def installed(self, guest: Appliance) -> dict[str, str]:
        form = "${Package}\\t${Version}\\t${Architecture}\\t${Status}\\n"
        found: dict[str, list[str]] = {}
        for line in guest.output("dpkg-query", "--show", f"--showformat={form}").splitlines():
            name, version, arch, status = [*line.split("\t"), "", "", ""][:4]
            if status.endswith(" ok installed"):
                found.setdefault(name, []).append(f"{version} {arch}")
        return {name: ", ".join(sorted(versions)) for name, versions in found.items()}

    def describe(self, guest: Appliance, path: str) -> Package:
        said = guest.output("dpkg-deb", "--show", f"--showformat={self._FIELDS}", path)
        name, version, needs, gives = [*said.rstrip("\n").split("\t"), "", "", ""][:4]
        return Package(path, name, version, _names(needs), _names(gives) | {name})

    def is_newer(self, guest: Appliance, package: Package, than: str) -> bool:
        now = than.partition(" ")[0]
        try:
            guest.output("dpkg", "--compare-versions", package.version, "gt", now)
        except Failed:
            return False
        return True

    def from_files(self, packages: Sequence[Package]) -> tuple[Command, ...]:
        files = (package.file for package in packages)
        return ((*self._QUIET, "dpkg", "--force-confold", "--install", *files),)

    def from_repositories(
        self, guest: Tree, names: Sequence[str], files: Sequence[Package]
    ) -> tuple[Command, ...]:
        options = ("Dpkg::Options::=--force-confold", "APT::Keep-Downloaded-Packages=false")
        return (
            ("apt-get", "--quiet", "update"),
            (
                *(*self._QUIET, "apt-get", "--quiet", "--yes", "--no-install-recommends"),
                *(word for option in options for word in ("-o", option)),
                *("install", *names, *(package.file for package in files)),
            ),
        )


class Rpm:
    """SUSE and the Red Hat kind: rpm(8), and zypper(8), dnf(8) or yum(8), which take files, too."""

    kind = "rpm"
    _EVR = "%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}"

    def installed(self, guest: Appliance) -> dict[str, str]:
        form = f"%{{NAME}}\\t{self._EVR} %{{ARCH}}\\n"
        found: dict[str, list[str]] = {}
        for line in guest.output("rpm", "-qa", "--queryformat", form).splitlines():
            name, _, version = line.partition("\t")
            found.setdefault(name, []).append(version)
        return {name: ", ".join(sorted(versions)) for name, versions in found.items()}

    def describe(self, guest: Appliance, path: str) -> Package:
        form = f"%{{NAME}}\\t{self._EVR}\\t[%{{REQUIRENAME}} ]\\t[%{{PROVIDENAME}} ]\\n"
        said = guest.output("rpm", "-qp", "--queryformat", form, path)
        name, version, needs, gives = [*said.rstrip("\n").split("\t"), "", "", ""][:4]
        return Package(path, name, version, frozenset(needs.split()), frozenset(gives.split()))

    def is_newer(self, guest: Appliance, package: Package, than: str) -> bool:
        return _key(package.version) > _key(than.split(", ")[-1].partition(" ")[0])

    def from_files(self, packages: Sequence[Package]) -> tuple[Command, ...]:
        """Kernels are installed beside those that are there: an upgrade would remove these."""
        kernels = [one.file for one in packages if one.name.startswith("kernel")]
        others = [one.file for one in packages if not one.name.startswith("kernel")]
        upgrade = (("rpm", "--upgrade", *others),) if others else ()
        return (*upgrade, ("rpm", "--install", *kernels)) if kernels else upgrade

    def from_repositories(
        self, guest: Tree, names: Sequence[str], files: Sequence[Package]
    ) -> tuple[Command, ...]:
        wanted = (*names, *(package.file for package in files))
        if has(guest, "zypper"):
            agreed = ("--no-recommends", "--auto-agree-with-licenses")
            return (("zypper", "--non-interactive", "install", *agreed, *wanted),)
        return (("dnf" if has(guest, "dnf") else "yum", "-y", "install", *wanted),)


def _names(relations: str) -> frozenset[str]:
    """Return the names in a relationship field: "a (>= 1), b:any | c" (deb-control(5))."""
    return frozenset(re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9.+-]*)", relations))


def _key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Sort versions as rpmvercmp(7) does: numbers as numbers, above letters; "~" below all."""
    epoch, colon, rest = version.partition(":")
    parts = re.findall(r"\d+|[A-Za-z]+|~", rest if colon else version)
    keys = [(int(epoch) if colon else 0, 0, "")]
    for part in parts:
        if part == "~":
            keys.append((-1, 0, ""))
        else:
            keys.append((2, int(part), "") if part.isdigit() else (1, 0, part))
    return (*keys, (0, 0, ""))
