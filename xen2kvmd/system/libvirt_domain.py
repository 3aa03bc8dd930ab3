# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain of libvirt."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import libvirt
import libvirt_qemu

from xen2kvmd import xml
from xen2kvmd.errors import Failed
from xen2kvmd.system.libvirt_errors import absent, either, translated

log = logging.getLogger(__name__)

NAMESPACE = "urn:xen2kvm:migration:1"  # of what we write into the metadata of domains
LOOK = 0.5  # seconds between two looks at a domain that is to stop
_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_BLOCKED: "idle",
    libvirt.VIR_DOMAIN_PAUSED: "paused",
    libvirt.VIR_DOMAIN_SHUTDOWN: "in shutdown",
    libvirt.VIR_DOMAIN_SHUTOFF: "shut off",
    libvirt.VIR_DOMAIN_CRASHED: "crashed",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "pmsuspended",
}


class Domain:
    """A domain of the host."""

    def __init__(self, domain: "libvirt.virDomain") -> None:
        self._domain = domain

    @property
    def name(self) -> str:
        return str(self._domain.name())

    @property
    def uuid(self) -> str:
        return str(self._domain.UUIDString())

    def state(self) -> str:
        """Return the state in the words of virsh(1)."""
        return _STATES.get(self._state(), "no state")

    def _state(self) -> int:
        return either(  # 0.9.2
            lambda: int(self._domain.state()[0]), lambda: int(self._domain.info()[0])
        )

    def disk_size(self, dev: str) -> int:
        """Return the size of a disk in bytes, 0 where this driver of libvirt does not tell."""
        with suppress(libvirt.libvirtError):
            return int(self._domain.blockInfo(dev)[0])
        return 0

    def xml(self) -> str:
        """Return the XML by which it starts next time."""
        return str(self._domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def described(self) -> str:
        """Return the same, or "" if the domain is gone."""
        with absent(libvirt.VIR_ERR_NO_DOMAIN):
            return self.xml()
        return ""

    def current(self) -> str:
        """Return the XML as the domain runs, or as it would start."""
        return str(self._domain.XMLDesc())

    def definition(self) -> str:
        """Return the XML that defines it anew, with its passwords."""
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
        return str(self._domain.XMLDesc(flags))

    def made_by(self) -> str:
        """Return the id of the job that has defined it, "" for none, or if it is gone."""
        with absent(libvirt.VIR_ERR_NO_DOMAIN):
            mark = xml.parse(self.xml()).find(f"metadata/{{{NAMESPACE}}}migration")
            return "" if mark is None else mark.get("job", "")
        return ""

    def irreplaceable(self) -> str:
        """Return why another domain cannot take its place, "" if it can."""
        if self.is_active():
            return "it runs"
        if self._domain.hasManagedSaveImage():
            return "its memory is saved on disk"
        return "it has snapshots" if self._domain.snapshotNum() else ""

    def is_active(self) -> bool:
        """Tell whether it runs, or is paused. Raises libvirtError if it is gone."""

        def anew() -> bool:
            return bool(self._domain.connect().lookupByUUIDString(self.uuid).ID() != -1)

        return either(lambda: bool(self._domain.isActive()), anew)  # 0.7.3

    def _is_persistent(self) -> bool:
        return either(lambda: bool(self._domain.isPersistent()), lambda: True)  # 0.7.3; as a rule

    def vanishes(self) -> bool:
        """Tell whether it is a transient one that has stopped: libvirt forgets it, or has."""
        with absent(libvirt.VIR_ERR_NO_DOMAIN):
            return not (self.is_active() or self._is_persistent())
        return True

    def start(self, *, paused: bool) -> None:
        with translated("The domain does not start"):
            if paused:
                self._domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
            else:
                self._domain.create()

    def is_saved(self) -> bool | None:
        """Tell whether the domain's memory was saved, and its disks with it in mid-work.

        None where this libvirt does not tell: 0.8.0, that of xend 1.0.1.
        """
        return either(lambda: bool(self._domain.hasManagedSaveImage()), lambda: None)

    def autostarts(self) -> bool | None:
        """Tell whether the domain starts with its host; a transient one never does.

        None where this libvirt does not tell, as that of a xend before 3.0.4 (RHEL 5).
        """
        if not self._is_persistent():
            return False
        return either(lambda: bool(self._domain.autostart()), lambda: None)

    def set_autostart(self, *, on: bool) -> bool:
        """Let the domain start with its host, or not; tell whether this libvirt can.

        A transient one never does.
        """
        with translated("libvirt does not change whether the domain starts with its host"):
            if not self._is_persistent():
                return True
            return either(lambda: not self._domain.setAutostart(int(on)), lambda: False)

    def mark(self, job_id: str) -> bool:
        """Write into the metadata which job migrated the domain away; "" takes it out again.

        Tells whether this driver of libvirt can.
        """
        text = f'<migrated job="{job_id}"/>' if job_id else None
        with suppress(libvirt.libvirtError):
            kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
            self._domain.setMetadata(kind, text, "xen2kvm", NAMESPACE, 0)
            return True
        return False

    def shut_down(self, seconds: float, waiting: Callable[[float], None]) -> bool:
        """Ask the guest to shut down, and wait; tell whether it did.

        waiting is called with the share of the time that is over; it may raise to leave. Raises
        Failed where libvirt cannot ask: of a guest without Xen's drivers, for one.
        """
        with absent(libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
            if self.is_paused():
                return False  # nothing in it runs that could heed us
            if self.is_active():
                self._domain.shutdown()
        return self.stops_within(seconds, waiting)

    def stop(self, seconds: float, waiting: Callable[[float], None]) -> None:
        """Ask the guest to shut down; destroy it if it cannot be asked, or does not in time."""
        try:
            down = self.shut_down(seconds, waiting)
        except Failed as error:
            log.warning("The guest '%s' is destroyed: %s", self.name, error)
            down = False
        if not down:
            self.destroy()

    def stops_within(
        self, seconds: float, waiting: Callable[[float], None] = lambda _: None
    ) -> bool:
        """Wait for the domain to stop by itself; tell whether it did."""
        begun = time.monotonic()
        while self._runs():
            passed = time.monotonic() - begun
            if passed >= seconds:
                return False
            waiting(passed / seconds)
            time.sleep(min(LOOK, seconds - passed))
        return True

    def _runs(self) -> bool:
        with absent(libvirt.VIR_ERR_NO_DOMAIN):  # a transient one is gone when it stops
            return self.is_active()
        return False

    def resume(self) -> None:
        with translated("The domain does not run on"):
            self._domain.resume()

    def is_paused(self) -> bool:
        with absent(libvirt.VIR_ERR_NO_DOMAIN):  # a transient one may be gone by now
            return bool(self._state() == libvirt.VIR_DOMAIN_PAUSED)
        return False

    def destroy(self) -> None:
        """Stop the domain at once, if it runs."""
        with absent(libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
            if self.is_active():
                self._domain.destroy()

    def put_aside(self) -> None:
        """Forget the domain alone: its disks and UEFI variables stay."""
        self._domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)

    def undefine(self, *, nvram: bool = True) -> None:
        """Forget the domain and its UEFI variables; its disks stay.

        Xen's driver of libvirt keeps no such variables, and refuses to be told about them.
        """
        flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_NVRAM * nvram
        # 0.9.4; xend's driver takes no flags, and says that of these.
        codes = () if nvram else (libvirt.VIR_ERR_INVALID_ARG,)
        with absent(libvirt.VIR_ERR_NO_DOMAIN):
            either(
                lambda: self._domain.undefineFlags(flags), lambda: self._domain.undefine(), *codes
            )

    def merge(self, device: str, base: str, waiting: Callable[[float], None]) -> None:
        """Write a running domain's disk into the file under it, which it has from then on."""
        with translated(f"Disk '{device}' cannot be merged into {base}"):
            flags = libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE
            if not self._domain.blockJobInfo(device):  # one may go on from before
                self._domain.blockCommit(device, base, None, 0, flags)
            while not self._may_pivot(device, waiting):
                time.sleep(LOOK)
            self._domain.blockJobAbort(device, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)

    def _may_pivot(self, device: str, waiting: Callable[[float], None]) -> bool:
        job = self._domain.blockJobInfo(device)
        if not job:
            raise Failed(
                f"The merge of disk '{device}' ended by itself.",
                hint="The domain's log in /var/log/libvirt/qemu may tell why.",
            )
        waiting(job["cur"] / job["end"] if job["end"] else 0.0)
        disks = xml.parse(self._domain.XMLDesc()).iterfind("devices/disk")  # as it runs
        return any(
            disk.find(f"target[@dev='{device}']") is not None
            and disk.find("mirror[@ready='yes']") is not None
            for disk in disks
        )

    def agent_answers(self) -> bool:
        """Tell whether the guest's agent answers within a second."""
        with suppress(libvirt.libvirtError):
            libvirt_qemu.qemuAgentCommand(self._domain, '{"execute": "guest-ping"}', 1, 0)
            return True
        return False

    def addresses(self) -> tuple[str, ...]:
        """Return the IP addresses that libvirt's own DHCP servers gave to the domain."""
        source = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE
        with suppress(libvirt.libvirtError):
            nics = self._domain.interfaceAddresses(source) or {}
            return tuple(address["addr"] for nic in nics.values() for address in nic["addrs"] or ())
        return ()

    def screen_text(self) -> str:
        """Return what a VGA text screen shows, "" where that cannot be read.

        Characters and their colours alternate at physical address 0xb8000 in text mode.
        """
        with suppress(libvirt.libvirtError):
            cells = self._domain.memoryPeek(0xB8000, 80 * 25 * 2, libvirt.VIR_MEMORY_PHYSICAL)
            rows = [cells[row * 160 : row * 160 + 160 : 2] for row in range(25)]
            lines = [row.decode("cp437").replace("\0", " ").rstrip() for row in rows]
            return "\n".join(lines).strip()
        return ""


def domains(connection: "libvirt.virConnect") -> "list[libvirt.virDomain]":
    """Return all domains; the driver of xend has no list of them, and libvirt has since 0.9.13."""
    return either(connection.listAllDomains, lambda: list(_one_by_one(connection)))


def _one_by_one(connection: "libvirt.virConnect") -> "Iterator[libvirt.virDomain]":
    for number in connection.listDomainsID():
        with absent(libvirt.VIR_ERR_NO_DOMAIN):  # any more
            yield connection.lookupByID(number)
    for name in connection.listDefinedDomains():
        with absent(libvirt.VIR_ERR_NO_DOMAIN):
            yield connection.lookupByName(name)
