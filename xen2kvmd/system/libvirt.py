# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt, as far as we need it; the only module that imports its binding."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import libvirt
import libvirt_qemu

from xen2kvmd import xml
from xen2kvmd.errors import (
    ConnectionFailed,
    Failed,
    InvalidXml,
    MigrationError,
    PoolNotFound,
    TargetExists,
)

TARGET_URI = "qemu:///system"


@dataclass(frozen=True)
class Emulator:
    """What the host can run: the QEMU binary, and whether libvirt offers KVM at all."""

    path: str
    kvm: bool


@dataclass(frozen=True)
class Pool:
    """A storage pool, where its volumes lie, and how many bytes are free."""

    name: str
    type: str
    path: str
    available: int


class Host:
    """A connection to the libvirt that will run the guest."""

    def __init__(self, connection: "libvirt.virConnect") -> None:
        self._connection = connection

    def emulator(self, arch: str) -> Emulator:
        """Return the QEMU binary for an architecture. Raises Failed if the host has none."""
        capabilities = xml.parse(self._connection.getCapabilities(), what="The capabilities")
        for found in capabilities.iterfind("guest/arch"):
            if found.get("name") == arch:
                types = {domain.get("type") for domain in found.iterfind("domain")}
                return Emulator(found.findtext("emulator") or "", kvm="kvm" in types)
        raise Failed(
            f"This host's libvirt cannot run {arch} guests.",
            hint=f"Install QEMU's system emulator for {arch} (Debian: qemu-system).",
        )

    # --- what is there already --------------------------------------------------------------------

    def domain_exists(self, name: str) -> bool:
        return self._domain_by(self._connection.lookupByName, name) is not None

    def uuid_exists(self, uuid: str) -> bool:
        return self._domain_by(self._connection.lookupByUUIDString, uuid) is not None

    def network_is_active(self, name: str) -> bool | None:
        """Tell whether a network is active; None if there is none of that name."""
        with _absent(libvirt.VIR_ERR_NO_NETWORK):
            return bool(self._connection.networkLookupByName(name).isActive())
        return None

    def _domain_by(
        self, lookup: "Callable[[str], libvirt.virDomain]", key: str
    ) -> "libvirt.virDomain | None":
        with _absent(libvirt.VIR_ERR_NO_DOMAIN):
            return lookup(key)
        return None

    # --- storage ----------------------------------------------------------------------------------

    def pool(self, name: str) -> Pool:
        """Return an active pool, refreshed. Raises PoolNotFound."""
        found = self._pool(name)
        with _translated(f"Pool '{name}' cannot be refreshed"):
            found.refresh()
            document = xml.parse(found.XMLDesc(), what="The pool's XML")
            return Pool(
                name=name,
                type=document.get("type", ""),
                path=document.findtext("target/path") or "",
                available=found.info()[3],
            )

    def volume_exists(self, pool: str, name: str) -> bool:
        with _absent(libvirt.VIR_ERR_NO_STORAGE_VOL):
            self._pool(pool).storageVolLookupByName(name)
            return True
        return False

    def make_volume(self, pool: str, document: str) -> str:
        """Make a volume from its XML and return its path. Raises TargetExists."""
        with _translated(f"The volume cannot be made in pool '{pool}'"):
            return str(self._pool(pool).createXML(document).path())

    def remove_volume(self, pool: str, name: str) -> None:
        """Remove a volume; nothing happens if there is none."""
        with _absent(libvirt.VIR_ERR_NO_STORAGE_VOL), _translated(f"Volume '{name}' stays"):
            found = self._pool(pool)
            found.refresh()
            found.storageVolLookupByName(name).delete()

    def _pool(self, name: str) -> "libvirt.virStoragePool":
        with _absent(libvirt.VIR_ERR_NO_STORAGE_POOL):
            found = self._connection.storagePoolLookupByName(name)
            if found.isActive():
                return found
            raise PoolNotFound(
                f"Storage pool '{name}' is not active.", hint=f"Start it: virsh pool-start {name}"
            )
        known = ", ".join(sorted(pool.name() for pool in self._connection.listAllStoragePools()))
        raise PoolNotFound(
            f"There is no storage pool '{name}'.",
            hint=f"Pools of this host: {known or 'none'}. See 'virsh pool-list --all'.",
        )

    # --- domains ----------------------------------------------------------------------------------

    def define(self, document: str) -> None:
        """Define a persistent domain, checked against libvirt's schema."""
        with _translated("libvirt does not take the domain XML"):
            self._connection.defineXMLFlags(document, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)

    def domain(self, name: str) -> "Domain | None":
        found = self._domain_by(self._connection.lookupByName, name)
        return None if found is None else Domain(found)

    def console(self, name: str) -> "Console":
        """Open the first serial console of a domain, taking it from whoever has it."""
        stream = self._connection.newStream()
        with _translated(f"The console of '{name}' cannot be opened"):
            domain = self._connection.lookupByName(name)
            domain.openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        return Console(stream)

    def screenshot(self, name: str) -> tuple[str, bytes]:
        """Return the screen of a domain as its MIME type and data."""
        stream = self._connection.newStream()
        data = bytearray()
        with _translated(f"'{name}' gives no screenshot"):
            kind = self._connection.lookupByName(name).screenshot(stream, 0)
            stream.recvAll(lambda _stream, part, _: data.extend(part), None)
            stream.finish()
        return kind, bytes(data)

    def close(self) -> None:
        with suppress(libvirt.libvirtError):
            self._connection.close()


class Domain:
    """A domain of the host."""

    def __init__(self, domain: "libvirt.virDomain") -> None:
        self._domain = domain

    def xml(self) -> str:
        return str(self._domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def is_active(self) -> bool:
        return bool(self._domain.isActive())

    def start(self, *, paused: bool) -> None:
        with _translated("The domain does not start"):
            self._domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)

    def resume(self) -> None:
        with _translated("The domain does not run on"):
            self._domain.resume()

    def is_paused(self) -> bool:
        return bool(self._domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED)

    def destroy(self) -> None:
        """Stop the domain at once, if it runs."""
        with _absent(libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
            if self._domain.isActive():
                self._domain.destroy()

    def undefine(self) -> None:
        """Forget the domain and its UEFI variables; its disks stay."""
        with _absent(libvirt.VIR_ERR_NO_DOMAIN):
            self._domain.undefineFlags(
                libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
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


class Console:
    """The serial console of a running domain."""

    def __init__(self, stream: "libvirt.virStream") -> None:
        self._stream = stream

    def read(self) -> bytes:
        """Wait for output and return it; b"" at its end, also after `close`."""
        try:
            return bytes(self._stream.recv(1 << 16))
        except libvirt.libvirtError:
            return b""

    def write(self, data: bytes) -> None:
        with _translated("The console takes no input"):
            self._stream.send(data)

    def close(self) -> None:
        with suppress(libvirt.libvirtError):
            self._stream.abort()


@contextmanager
def connected(uri: str = TARGET_URI) -> Iterator[Host]:
    """Connect to a libvirt for the time of the block. Raises ConnectionFailed."""
    libvirt.registerErrorHandler(lambda *_: None, None)  # it prints to stderr otherwise
    try:
        connection = libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise ConnectionFailed(
            f"libvirt at {uri} cannot be reached: {error.get_error_message()}.",
            hint="Is libvirtd (or virtqemud) installed and running on this host?",
        ) from error
    host = Host(connection)
    try:
        yield host
    finally:
        host.close()


_EXISTS = (libvirt.VIR_ERR_STORAGE_VOL_EXIST, libvirt.VIR_ERR_DOM_EXIST)
_BAD_XML = (libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_ERR_XML_INVALID_SCHEMA)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Raise libvirt's errors as ours; `what` begins the sentence."""
    try:
        yield
    except libvirt.libvirtError as error:
        kind: type[MigrationError] = Failed
        if error.get_error_code() in _EXISTS:
            kind = TargetExists
        elif error.get_error_code() in _BAD_XML:
            kind = InvalidXml
        raise kind(f"{what}: {error.get_error_message()}.") from error


class _absent:
    """Leave the block quietly if libvirt says, with one of the codes, that the thing is not there.

    A class, because only an __exit__ that returns bool tells mypy that the block may be left early.
    """

    def __init__(self, *codes: int) -> None:
        self._codes = codes

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        if not isinstance(error, libvirt.libvirtError):
            return False
        if error.get_error_code() in self._codes:
            return True
        raise Failed(f"libvirt failed: {error.get_error_message()}.") from error
