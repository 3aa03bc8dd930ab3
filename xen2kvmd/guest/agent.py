# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the QEMU guest agent: only where somebody wants it, and never without a word."""

import re
from collections.abc import Iterator

from xen2kvmd.guest.kernel_packages import AGENT
from xen2kvmd.guest.programs import find_program, has
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Facts, Family, Finding, Severity
from xen2kvmd.rule import rule

UNITS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
# Red Hat's script of SysV is called after the program (qemu-guest-agent of RHEL 6).
SCRIPTS = (AGENT, "qemu-ga")
UPSTART = tuple(f"/etc/init/{name}.conf" for name in SCRIPTS)
_INSTALL = re.compile(r"^(?:WantedBy|RequiredBy)=", re.MULTILINE)
LATER = "xen2kvm-guest-agent.service"
_WANTED = "/etc/systemd/system/multi-user.target.wants"
_UNIT = """\
# Written by xen2kvm. Installs the QEMU guest agent from this guest's repositories, then goes away;
# it is tried again at each start until that worked.
[Unit]
Description=Install the QEMU guest agent
ConditionVirtualization=!xen
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
TimeoutStartSec=1h
{commands}
ExecStart={systemctl} enable {agent}.service
ExecStart={systemctl} --no-block start {agent}.service
ExecStart={rm} -f {wanted}/{unit} /etc/systemd/system/{unit}
"""


@rule(guide="")
def agent_at_first_start(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let the guest install the QEMU guest agent from its repositories when it is first started."""
    if not case.agent or case.facts.agent:
        return
    commands = _installing(guest, case.facts)
    if case.facts.init != "systemd" or not commands:
        yield Finding(
            "agent-not-installed",
            "The QEMU guest agent was asked for, and is not installed: nothing here can do it "
            f"{'at the first start of a guest without systemd' if commands else 'in this guest'}.",
            Severity.WARNING,
            hint="Give its package (--packages), or allow --guest-repositories.",
        )
        return
    guest.write(
        f"/etc/systemd/system/{LATER}",
        _UNIT.format(
            commands="\n".join(f"ExecStart={command}" for command in commands),
            systemctl=find_program(guest, "systemctl") or "/bin/systemctl",
            rm=find_program(guest, "rm") or "/bin/rm",
            agent=AGENT,
            wanted=_WANTED,
            unit=LATER,
        ),
    )
    guest.link(f"{_WANTED}/{LATER}", f"/etc/systemd/system/{LATER}")
    yield Finding(
        "agent-at-first-start",
        "The guest installs the QEMU guest agent from its repositories when it is first started.",
        Severity.INFO,
        hint=f"If its network is not up by then, see 'systemctl status {LATER}' there.",
    )


@rule(guide="")
def agent_enabled(guest: Tree, case: Case) -> Iterator[Finding]:
    """Enable the QEMU guest agent, which is installed or was just now."""
    if not (case.agent and case.facts.agent):
        return
    if case.facts.init == "systemd":
        yield from _enable_unit(guest)
    elif not any(map(guest.exists, UPSTART)):  # a job of upstart's starts by what it says itself
        _enable_script(guest)


def _enable_unit(guest: Tree) -> Iterator[Finding]:
    """Enable the unit, unless it is. One that nothing wants is started by udev (Debian's)."""
    path = next(
        (f"{at}/{AGENT}.service" for at in UNITS if guest.exists(f"{at}/{AGENT}.service")), ""
    )
    if guest.read_link(path) == "/dev/null":
        yield Finding(
            "agent-masked",
            f"The QEMU guest agent is asked for, and masked in the guest: {path}.",
            Severity.WARNING,
            hint=f"In the guest: systemctl unmask {AGENT} && systemctl enable --now {AGENT}",
            place=path,
        )
        return
    folders = (at for kind in ("wants", "requires") for at in guest.glob(f"{UNITS[0]}/*.{kind}"))
    enabled = any(guest.exists(f"{at}/{AGENT}.service") for at in folders)
    if guest.is_file(path) and _INSTALL.search(guest.read(path)) and not enabled:
        guest.run("systemctl", "enable", f"{AGENT}.service")


def _enable_script(guest: Tree) -> None:
    """Enable the script of SysV's init, unless it starts in runlevel 3 or 2 already."""
    for name in SCRIPTS:
        starts = (f"/etc/rc{level}.d/S*{name}" for level in "32")
        if guest.exists(f"/etc/init.d/{name}") and not any(map(guest.glob, starts)):
            if has(guest, "chkconfig"):
                guest.run("chkconfig", name, "on")
            else:
                guest.run("update-rc.d", name, "defaults")


def _installing(guest: Tree, facts: Facts) -> tuple[str, ...]:
    """Return the commands that install the agent, with full paths: old systemds want these."""
    match facts.family:
        case Family.DEBIAN if path := find_program(guest, "apt-get"):
            env = find_program(guest, "env") or "/usr/bin/env"
            install = "--yes --no-install-recommends -o DPkg::Lock::Timeout=600 install"
            return (
                f"-{path} --quiet update",
                f"{env} DEBIAN_FRONTEND=noninteractive {path} --quiet {install} {AGENT}",
            )
        case Family.SUSE if path := find_program(guest, "zypper"):
            return (f"{path} --non-interactive install --no-recommends {AGENT}",)
        case Family.REDHAT:
            path = find_program(guest, "dnf") or find_program(guest, "yum")
            return (f"{path} -y install {AGENT}",) if path else ()
        case _:
            return ()
