# SPDX-License-Identifier: GPL-2.0-or-later
"""A libvirt: the one that will run the guest, or the one that it comes from.

Only libvirt*.py here import its binding.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import libvirt

from xen2kvmd import xml
from xen2kvmd.errors import Failed, MigrationError
from xen2kvmd.model import CephPool
from xen2kvmd.system.libvirt_console import Console
from xen2kvmd.system.libvirt_domain import Domain, domains
from xen2kvmd.system.libvirt_emulator import Emulator, emulator
from xen2kvmd.system.libvirt_errors import absent, lost, translated, unreachable
from xen2kvmd.system.libvirt_link import opened
from xen2kvmd.system.libvirt_pool import (
    Pool,
    active,
    key_of,
    look,
    of_export,
    of_folder,
    overlays,
    refresh,
    released,
)
from xen2kvmd.system.libvirt_uri import is_remote, ssh_address, virsh, with_program
from xen2kvmd.system.ssh import as_program
from xen2kvmd.words import one_line

TARGET_URI = "qemu:///system"
TRIES, PAUSE = 5, 0.5  # to create a domain; seconds between two
_DOMAIN_0 = 0  # its id: Xen's host itself, which libvirt lists among its guests
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Host:
    """A connection to a libvirt."""

    def __init__(self, connection: "libvirt.virConnect", uri: str) -> None:
        self._connection = connection
        self._uri = uri
        self.remote = is_remote(uri)  # its paths are not ours

    def name(self) -> str:
        """Return the name of the host, as it calls itself."""
        return str(self._connection.getHostname())

    def virsh(self, *words: str) -> str:
        """Return what virsh does something there by, for a person to type here."""
        return virsh("" if self._uri == TARGET_URI else self._uri, *words)

    def emulator(self, arch: str) -> Emulator:
        """Return the QEMU binary for an architecture. Raises Failed if the host has none."""
        return emulator(self._connection.getCapabilities(), arch)

    # --- what is there already --------------------------------------------------------------------

    def domain_exists(self, name: str) -> bool:
        return self._domain_by(self._connection.lookupByName, name) is not None

    def uuid_exists(self, uuid: str) -> bool:
        return self._domain_by(self._connection.lookupByUUIDString, uuid) is not None

    def network_is_active(self, name: str) -> bool | None:
        """Tell whether a network is active; None if there is none of that name."""
        with absent(libvirt.VIR_ERR_NO_NETWORK):
            return bool(self._connection.networkLookupByName(name).isActive())
        return None

    def network_autostarts(self, name: str) -> bool:
        """Tell whether a network is there and starts with its host."""
        with absent(libvirt.VIR_ERR_NO_NETWORK):
            return bool(self._connection.networkLookupByName(name).autostart())
        return False

    def _domain_by(
        self, lookup: "Callable[[str], libvirt.virDomain]", key: str
    ) -> "libvirt.virDomain | None":
        with absent(libvirt.VIR_ERR_NO_DOMAIN):
            return lookup(key)
        return None

    # --- storage ----------------------------------------------------------------------------------

    def pool(self, name: str) -> Pool:
        """Return an active pool, refreshed. Raises PoolNotFound."""
        found = self._pool(name)
        with translated(f"Pool '{name}' cannot be refreshed"):
            return look(found)

    def pool_is_active(self, name: str) -> bool:
        """Tell whether a pool is there and active."""
        with absent(libvirt.VIR_ERR_NO_STORAGE_POOL):
            return bool(self._connection.storagePoolLookupByName(name).isActive())
        return False

    def pool_autostarts(self, name: str) -> bool:
        """Tell whether a pool is there and starts with its host."""
        with absent(libvirt.VIR_ERR_NO_STORAGE_POOL):
            return bool(self._connection.storagePoolLookupByName(name).autostart())
        return False

    def pool_folder(self, name: str) -> str:
        """Return where a pool's volumes lie, active or not; "" if there is no such pool."""
        with absent(libvirt.VIR_ERR_NO_STORAGE_POOL):
            document = self._connection.storagePoolLookupByName(name).XMLDesc()
            return xml.parse(document, what="The pool's XML").findtext("target/path") or ""
        return ""

    def netfs_pool(self, server: str, directory: str) -> str:
        """Return the name of the pool that has a server's export, active or not; "" for none."""
        return of_export(self._connection, server, directory)

    def folder_pool(self, folder: str) -> str:
        """Return the name of the pool whose volumes are files in a folder, active or not; or ""."""
        return of_folder(self._connection, folder)

    def define_pool(self, document: str) -> None:
        """Define a pool which starts with its host, and make its folder."""
        with translated("The pool cannot be made"):
            pool = self._connection.storagePoolDefineXML(document)
            pool.build()
            pool.setAutostart(1)

    def start_pool(self, name: str) -> None:
        with translated(f"The pool '{name}' does not start"):
            self._connection.storagePoolLookupByName(name).create()

    def stop_pool(self, name: str) -> None:
        """Stop a pool; nothing happens if it does not run, or is not there."""
        with absent(libvirt.VIR_ERR_NO_STORAGE_POOL):
            pool = self._connection.storagePoolLookupByName(name)
            if pool.isActive():
                with translated(f"The pool '{name}' cannot be stopped"):
                    released(pool.destroy)

    def undefine_pool(self, name: str) -> None:
        """Forget a pool and remove its folder, which is empty; nothing happens if there is none."""
        with absent(libvirt.VIR_ERR_NO_STORAGE_POOL):
            pool = self._connection.storagePoolLookupByName(name)
            with suppress(libvirt.libvirtError):  # there is no folder yet
                pool.delete()
            pool.undefine()

    def volume_exists(self, pool: str, name: str) -> bool:
        with absent(libvirt.VIR_ERR_NO_STORAGE_VOL):
            self._pool(pool).storageVolLookupByName(name)
            return True
        return False

    def overlays(self) -> list[tuple[str, str]]:
        """Return what volumes build on, and the volumes, by their paths, as libvirt knows them."""
        pools = self._connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)
        return [found for pool in pools for found in overlays(pool)]

    def make_volume(self, pool: str, document: str, *, metadata: bool = False) -> str:
        """Make a volume from its XML and return its path. Raises TargetExists.

        metadata is for qcow2: without it libvirt takes no notice of <allocation>.
        """
        flags = libvirt.VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA if metadata else 0
        with translated(f"The volume cannot be made in pool '{pool}'"):
            return str(self._pool(pool).createXML(document, flags).path())

    def volume_taken(self, pool: str, name: str) -> int:
        """Return how many bytes of its pool a volume has taken, 0 if there is none."""
        found = self._pool(pool)
        with absent(libvirt.VIR_ERR_NO_STORAGE_VOL):
            return int(found.storageVolLookupByName(name).info()[2])
        return 0

    def remove_volume(self, pool: str, name: str) -> None:
        """Remove a volume; nothing happens if there is none."""
        found = self._pool(pool)
        with absent(libvirt.VIR_ERR_NO_STORAGE_VOL):
            refresh(found)
            volume = found.storageVolLookupByName(name)
            with translated(f"Volume '{name}' stays"):
                released(volume.delete)

    def key(self, pool: CephPool) -> bytes:
        """Return the key of a pool's user, b"" where it has none. Raises Failed."""
        return key_of(self._connection, pool) if pool.user else b""

    def _pool(self, name: str) -> "libvirt.virStoragePool":
        return active(self._connection, name, self.virsh)

    # --- domains ----------------------------------------------------------------------------------

    def define(self, document: str) -> None:
        """Define a persistent domain, checked against libvirt's schema."""
        with translated("libvirt does not take the domain XML"):
            self._connection.defineXMLFlags(document, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)

    def create(self, document: str) -> None:
        """Start a transient domain from its XML.

        libvirt refuses that for the moment in which it is removing the one before it.
        """
        with translated("The domain does not start"):
            for _ in range(TRIES):
                with absent(libvirt.VIR_ERR_OPERATION_FAILED):
                    self._connection.createXML(document)
                    return
                time.sleep(PAUSE)
            self._connection.createXML(document)

    def find(self, key: str) -> "Domain | None":
        """Return the domain of this name or, where there is none, of this UUID; never Domain-0."""
        found = self._domain_by(self._connection.lookupByName, key)
        if found is None and _UUID.fullmatch(key):
            found = self._domain_by(self._connection.lookupByUUIDString, key)
        return None if found is None or found.ID() == _DOMAIN_0 else Domain(found)

    def domains(self) -> "list[Domain]":
        """Return all domains, by name."""
        with translated("libvirt does not list its domains"):
            found = domains(self._connection)
        guests = [Domain(domain) for domain in found if domain.ID() != _DOMAIN_0]
        return sorted(guests, key=lambda domain: domain.name)

    def volume_size(self, path: str) -> int:
        """Return the size of the volume at a path, 0 where it is in no pool that libvirt knows."""
        with suppress(libvirt.libvirtError):
            return int(self._connection.storageVolLookupByPath(path).info()[1])
        return 0

    def domain(self, name: str) -> "Domain | None":
        found = self._domain_by(self._connection.lookupByName, name)
        return None if found is None else Domain(found)

    def console(self, name: str) -> "Console":
        """Open the first serial console of a domain, taking it from whoever has it."""
        stream = self._connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
        with translated(f"The console of '{name}' cannot be opened"):
            domain = self._connection.lookupByName(name)
            domain.openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        return Console(stream)

    def screenshot(self, name: str) -> tuple[str, bytes]:
        """Return the screen of a domain as its MIME type and data."""
        stream = self._connection.newStream()
        data = bytearray()
        with translated(f"'{name}' gives no screenshot"):
            kind = self._connection.lookupByName(name).screenshot(stream, 0)
            stream.recvAll(lambda _stream, part, _: data.extend(part), None)
            stream.finish()
        return kind, bytes(data)

    def is_alive(self) -> bool:
        """Tell whether the connection still stands."""
        with suppress(libvirt.libvirtError):
            return bool(self._connection.isAlive())
        return False

    def close(self) -> None:
        with suppress(libvirt.libvirtError):
            self._connection.close()


@contextmanager
def connected(uri: str = TARGET_URI) -> Iterator[Host]:
    """Connect to a libvirt for the time of the block. Raises ConnectionFailed, also if it is lost.

    By ssh also HostKeyUnknown or SourceAuthFailed. Nobody is asked for anything: `open` has no
    callback for credentials.
    """
    with ExitStack() as until_closed:
        by = uri
        if is_remote(uri):
            by = with_program(uri, until_closed.enter_context(as_program(ssh_address(uri))))
        try:
            connection = opened(by, told=uri)
        except libvirt.libvirtError as error:
            raise unreachable(uri, error.get_error_message()) from error
        host = Host(connection, uri)
        until_closed.callback(host.close)
        try:
            yield host
        except MigrationError as error:
            cause = error.__cause__
            if isinstance(cause, libvirt.libvirtError) and not host.is_alive():
                raise lost(uri, cause.get_error_message()) from error
            raise
        except libvirt.libvirtError as error:
            said = one_line(error.get_error_message())
            if not host.is_alive():
                raise lost(uri, said) from error
            raise Failed(f"libvirt failed: {said}.") from error
