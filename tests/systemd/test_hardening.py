# SPDX-License-Identifier: GPL-2.0-or-later
"""Each line of the units that shuts something off does so, and is needed for it."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.systemd.conftest import CHECKOUT, Container
from tests.systemd.probes import HIDDEN

pytestmark = [pytest.mark.guest, pytest.mark.xdist_group("container")]

PROBES = "/usr/local/bin/xen2kvm-probes"

# Lines that say how a unit runs, and not what it may not do.
RUNNING = {
    "BusName", "ExecReload", "ExecStart", "KillMode", "LogExtraFields", "OOMPolicy", "Restart",
    "RestartPreventExitStatus", "RuntimeDirectory", "RuntimeDirectoryMode",
    "RuntimeDirectoryPreserve", "Slice", "StateDirectory", "StateDirectoryMode",
    "SuccessExitStatus", "TimeoutStopSec", "Type", "WatchdogSec",
}  # fmt: skip

# The probe of each line (probes.py), and the lines without which it has no effect.
SERVICE = {
    "CapabilityBoundingSet=": ("capabilities",),
    "DevicePolicy=closed": ("devices",),
    "IPAddressDeny=any": ("packets",),
    "LockPersonality=yes": ("personality",),
    "MemoryDenyWriteExecute=yes": ("writable code",),
    "NoNewPrivileges=yes": ("no new privileges",),
    "PrivateDevices=yes": ("private devices",),
    "PrivateNetwork=yes": ("network",),
    "PrivateTmp=yes": ("private tmp",),
    "ProcSubset=pid": ("the rest of /proc",),
    "ProtectClock=yes": ("clock",),
    "ProtectControlGroups=yes": ("cgroups",),
    "ProtectHome=yes": ("home",),
    "ProtectHostname=yes": ("hostname",),
    "ProtectKernelLogs=yes": ("kernel log",),
    "ProtectKernelModules=yes": ("modules",),
    "ProtectKernelTunables=yes": ("tunables",),
    "ProtectProc=ptraceable": ("processes", "CapabilityBoundingSet="),
    "ProtectSystem=strict": ("everything",),
    "RestrictAddressFamilies=AF_UNIX": ("address families",),
    "RestrictNamespaces=yes": ("namespaces",),
    "RestrictRealtime=yes": ("realtime",),
    "RestrictSUIDSGID=yes": ("setuid files",),
    "SystemCallArchitectures=native": ("other ABIs",),
    "SystemCallErrorNumber=EPERM": ("error number", "SystemCallFilter=@system-service"),
    "SystemCallFilter=@system-service": ("filter of mounts",),
    "SystemCallFilter=~@privileged @resources": ("filter of priorities",),
    "UMask=0077": ("umask",),
}
JOB = {
    "CapabilityBoundingSet=~CAP_SYS_TIME CAP_WAKE_ALARM CAP_SYS_MODULE": ("bounded capabilities",),
    "LockPersonality=yes": ("personality",),
    "NoNewPrivileges=yes": ("no new privileges",),
    "ProtectControlGroups=yes": ("cgroups",),
    "ProtectHostname=yes": ("hostname",),
    "ProtectKernelLogs=yes": ("kernel log",),
    "ProtectKernelTunables=yes": ("tunables",),
    "ProtectSystem=full": ("system",),
    "RestrictRealtime=yes": ("realtime",),
    "SystemCallArchitectures=native": ("other ABIs",),
    "SystemCallErrorNumber=EPERM": ("error number of clock", "SystemCallFilter=~@clock @module"),
    "SystemCallFilter=~@clock @module": ("filter of clock",),
    "UMask=0077": ("umask",),
}
UNITS = {"xen2kvmd.service": SERVICE, "xen2kvm-job@.service": JOB}
LINES = [(unit, line) for unit, table in UNITS.items() for line in table]


def hardening(unit: str) -> list[str]:
    """Return the lines of a unit that shut something off."""
    section = (CHECKOUT / "systemd" / unit).read_text().partition("[Service]\n")[2]
    settings = re.findall(r"^\w+=.*", section.partition("\n[")[0], re.MULTILINE)
    return [line for line in settings if line.partition("=")[0] not in RUNNING]


@pytest.fixture(scope="module")
def probed(container: Container) -> Iterator["Probed"]:
    yield Probed(container)
    container.run("rm", PROBES)


class Probed:
    """What is shut off in a unit with some lines and no others."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._known: dict[tuple[str, ...], dict[str, bool]] = {}
        container.run("cp", str(CHECKOUT / "tests/systemd/probes.py"), PROBES)
        container.run("touch", *(f"/{folder}/{HIDDEN}" for folder in ("dev", "tmp", "root")))
        self._network = container.run("readlink", "/proc/1/ns/net").strip()

    def shut_off(self, *lines: str) -> dict[str, bool]:
        if lines not in self._known:
            properties = [f"--property={line}" for line in lines]
            run = ("systemd-run", "--quiet", "--pipe", "--wait", "--collect", *properties)
            said = self._container.run(*run, "/usr/bin/python3", PROBES, self._network)
            self._known[lines] = json.loads(said)
        return self._known[lines]


@pytest.mark.parametrize("unit", UNITS)
def test_each_line_has_a_probe(unit: str) -> None:
    assert hardening(unit) == list(UNITS[unit])


@pytest.mark.parametrize(("unit", "line"), LINES)
def test_line_is_in_force(probed: Probed, unit: str, line: str) -> None:
    probe, *needed = UNITS[unit][line]
    assert not probed.shut_off(*needed)[probe]
    assert probed.shut_off(*needed, line)[probe]
    assert probed.shut_off(*hardening(unit))[probe]


def test_a_job_still_writes_where_it_has_to(probed: Probed) -> None:
    assert not probed.shut_off(*hardening("xen2kvm-job@.service"))["everything"]
