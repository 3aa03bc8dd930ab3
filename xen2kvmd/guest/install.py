# SPDX-License-Identifier: GPL-2.0-or-later
"""Install in the guest what it lacks: a kernel with virtio drivers, the QEMU guest agent.

It is done to the overlay before the plan is made, for a plan, too: which kernel a repository has,
what its package pulls in, and whether it can be installed at all, nobody knows without doing it.
So the plan shows the packages that came, and all that the rules then do with that very kernel.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import unified_diff

from xen2kvmd.errors import Failed, InsufficientSpace
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.kernel_install import own_arguments
from xen2kvmd.guest.kernel_packages import AGENT, agent_among, kernel_among, kernel_package
from xen2kvmd.guest.managers import Command, Manager, Package, manager_of
from xen2kvmd.guest.selection import select
from xen2kvmd.guest.tree import escaped
from xen2kvmd.model import Change, Facts, Finding, Installed, Severity
from xen2kvmd.system.package_files import PackageFile
from xen2kvmd.words import LINE

FOLDER = "/var/tmp/xen2kvm-packages"  # always the same: it is part of commands in the plan
LOG = f"{FOLDER}/log"
LINES = 12  # of a package manager's output that an error shows
SPARE = 20 << 20  # bytes that stay free beside the packages
# Services of a package are not to start in the appliance (Debian's policy-rc.d, invoke-rc.d(8)).
POLICY = "/usr/sbin/policy-rc.d"
RULE = "install_packages"
GUIDE = "15.2.3 (2)"
SUMMARY = "Install what the guest lacks to run under KVM."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Allowed:
    """What the caller gives and allows for a guest that lacks something."""

    files: tuple[PackageFile, ...] = ()
    repositories: bool = False
    agent: bool = False  # the guest agent is asked for


@dataclass(frozen=True)
class Intent:
    """What is to be installed. network: a repository is needed, so the appliance needs one."""

    manager: Manager
    commands: tuple[Command, ...]
    names: tuple[str, ...]  # packages that have to be there afterwards
    network: bool
    findings: tuple[Finding, ...] = field(default=())


def prepare(guest: Appliance, facts: Facts, allowed: Allowed) -> Intent | Installed:
    """Decide what to install, and put the files for it into the guest.

    Returns what was "installed", nothing, where the guest lacks nothing, or nothing can be done
    about it. Raises InvalidOption or InsufficientSpace for files that are of no use.
    """
    kernel = not (facts.kernels and facts.virtio)
    given = any(file.path.name.startswith(AGENT) for file in allowed.files)
    agent = not facts.agent and (allowed.agent or given)
    if not (kernel or agent):
        return Installed(findings=_unused(allowed, ()))
    manager = manager_of(guest, facts)
    if manager is None:
        return Installed(findings=(_unknown(facts),))
    fitting = tuple(file for file in allowed.files if file.fits(manager.kind, facts.arch))
    packages = tuple(manager.describe(guest, path) for path in _upload(guest, fitting))
    heads = {
        **({kernel_package(facts)[0]: kernel_among(packages, facts)} if kernel else {}),
        **({AGENT: agent_among(packages)} if agent else {}),
    }
    chosen = select(
        [head for head in heads.values() if head],
        packages,
        installed=manager.installed(guest),
        is_newer=lambda package, than: manager.is_newer(guest, package, than),
    )
    for package in packages:
        if package not in chosen:
            guest.remove(package.file)
    network = allowed.repositories
    names = tuple(name for name, head in heads.items() if head is None) if network else ()
    if not names and not chosen:
        guest.call("rm_rf", FOLDER)
        return Installed(findings=_unused(allowed, ()))
    commands = (
        manager.from_repositories(guest, names, chosen) if network else manager.from_files(chosen)
    )
    wanted = (*names, *(package.name for package in chosen))
    return Intent(manager, commands, wanted, network, _unused(allowed, chosen))


def install(guest: Appliance, intent: Intent) -> Installed:
    """Run the package manager, take away what was put into the guest, and tell what changed.

    Raises Failed with the end of its output if it fails, or if a package did not come.
    """
    manager = intent.manager
    before = manager.installed(guest)
    guest.call("mkdir_p", FOLDER)
    policy = manager.kind == "deb" and not guest.exists(POLICY)
    if policy:
        guest.write(POLICY, "#!/bin/sh\nexit 101\n")
        guest.call("chmod", 0o755, POLICY)
    with own_arguments(guest):
        for command in intent.commands:
            _run(guest, command)
    after = manager.installed(guest)
    missing = [name for name in intent.names if name not in after]
    if missing:
        raise Failed(
            f"{' '.join(intent.commands[-1])} did not install {', '.join(missing)} in the guest: "
            f"{_tail(guest)}",
            hint="Check that a repository configured in the guest has this package.",
        )
    if policy:
        guest.remove(POLICY)
    guest.call("rm_rf", FOLDER)
    shown = [_change("a program of the guest", command=command) for command in intent.commands]
    return Installed(
        changes=(*shown, _change("installed packages", diff=_diff(before, after))),
        findings=intent.findings,
        agent=AGENT in after and AGENT not in before,
    )


def _upload(guest: Appliance, files: tuple[PackageFile, ...]) -> tuple[str, ...]:
    """Put files into a folder of the guest's, if there is room; return their paths there."""
    guest.call("rm_rf", FOLDER)
    guest.call("mkdir_p", FOLDER)
    size = sum(file.size for file in files)
    room = guest.room(FOLDER)
    if room and room.size < size + SPARE:
        raise InsufficientSpace(
            f"The guest has {room.size >> 20} MiB free in /var/tmp; the packages that fit it have "
            f"{size >> 20} MiB.",
            hint="Give only those that this guest needs, or make room in it.",
        )
    for file in files:
        guest.call("upload", str(file.path), f"{FOLDER}/{file.path.name}")
    return tuple(f"{FOLDER}/{file.path.name}" for file in files)


def _run(guest: Appliance, command: Command) -> None:
    """Run a package manager; all it says, on both of its outputs, goes into a file."""
    log.info("in the guest: %s", " ".join(command))
    try:
        guest.output("sh", "-c", 'exec "$@" >>"$0" 2>&1', LOG, *command)
    except Failed as error:
        raise Failed(
            error.message,
            hint="Its output says what is missing; nothing was changed outside the job.",
            said=_tail(guest) or error.said,
        ) from error


def _tail(guest: Appliance) -> str:
    """Return the end of what the package managers said, as one line; "" if it is out of reach."""
    try:
        size = guest.size(LOG)
        said = bytes(guest.call("pread", LOG, LINE, max(0, size - LINE))) if size else b""
    except Failed:
        return ""  # the appliance was ended: a time limit
    cut = 1 if size > LINE else 0  # the first line may be a part of one
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines()[cut:]]
    return escaped("; ".join([line for line in lines if line][-LINES:]))


def _diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return how the list of packages changed."""
    old, new = (
        [f"{name} {version}\n" for name, version in sorted(packages.items())]
        for packages in (before, after)
    )
    lines = unified_diff(old, new, n=0)
    return escaped("".join(line for line in lines if not line.startswith(("---", "+++", "@@"))))


def _change(place: str, *, diff: str = "", command: Command = ()) -> Change:
    return Change(RULE, GUIDE, SUMMARY, place, diff=diff, command=command)


def _unused(allowed: Allowed, chosen: tuple[Package, ...]) -> tuple[Finding, ...]:
    taken = {package.file.rpartition("/")[2] for package in chosen}
    names = [file.path.name for file in allowed.files if file.path.name not in taken]
    if not names:
        return ()
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return (
        Finding(
            "packages-not-used",
            f"The guest does not need these packages, or they are not for it: {shown}.",
            Severity.INFO,
        ),
    )


def _unknown(facts: Facts) -> Finding:
    return Finding(
        "package-manager-unknown",
        f"How packages of {facts.product or facts.distro} are installed is not known: nothing is.",
        Severity.WARNING,
        hint="Install the kernel, or the agent, in the guest under Xen.",
    )
