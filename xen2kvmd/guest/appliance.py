# SPDX-License-Identifier: GPL-2.0-or-later
"""The real guest: its disks in a virtual machine of their own, reached through libguestfs.

Whatever a hostile guest's file systems, links or programs do, they do it in there, with a time
limit, and without network but for a package manager's sake.

The disks hang there in the order of their real names, so they are called as they will be under KVM:
what grub-mkconfig, dracut or mkinitrd of the guest find out about its disks, is right. libguestfs
offers the second name /dev/sdX for the same disks; it is never used here, because the appliance's
own disk has one of these names too.
"""

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Self

from xen2kvmd.errors import Failed, Unsupported
from xen2kvmd.guest.archive import packed
from xen2kvmd.guest.devices import xen_order
from xen2kvmd.guest.key import Key
from xen2kvmd.guest.launch import DiskImage, launch, refused
from xen2kvmd.guest.partitions import BIOS_BOOT, SECTOR
from xen2kvmd.guest.search import Found, read_found, search_line
from xen2kvmd.guest.tree import LARGEST, BootCode, Room
from xen2kvmd.guest.watchdog import Watchdog
from xen2kvmd.model import Finding
from xen2kvmd.system.appliances import kill
from xen2kvmd.words import letters

MEMORY = 1024  # MiB; zstd and xz need much of it when a guest packs its initrd
MEMORY_FOR_KEYS = 2560  # argon2id takes up to 1 GiB to try a key (cryptsetup(8), --pbkdf-memory)
CALL = 120.0  # seconds for one operation on files
PROGRAM = 1200.0  # seconds for a program of the guest: an initrd takes a minute under emulation
REMOTE = 5.0  # times as long where disks are read over a network: 1 MB/s was seen
# The binding hides the error number; the appliance speaks English.
ABSENT = tuple(map(os.strerror, (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)))


class Appliance:
    """A Tree over a guest's disks. Made by open(), ended by close() or by `with`."""

    def __init__(
        self,
        handle: Any,
        disks: Sequence[DiskImage],
        *,
        keys: Sequence[Key],
        root: str,
        arguments: str,
        patience: float,
    ) -> None:
        self._guestfs = handle
        self.keys = tuple(keys)
        self.root = root
        self.arguments = arguments
        # The pid is not asked for later: a handle does one call at a time.
        self._watchdog = Watchdog(partial(kill, handle.get_pid()), patience=patience)
        self.joined = tuple(volume for disk in disks for volume in disk.joined)
        self.devices = {f"/dev/vd{letters(n)}": disk.dev for n, disk in enumerate(disks)}

    @classmethod
    def open(
        cls,
        disks: Sequence[DiskImage],
        *,
        writable: bool,
        emulate: bool,
        remote: bool = False,
        network: bool = False,
        keys: Sequence[Key] = (),
        root: str = "",
        arguments: str = "",
        on_process: Callable[[int], None] | None = None,
    ) -> Self:
        """Start the appliance with these disks; remote: they are read over a network.

        With network, what is in it reaches what this host does, the host itself at 169.254.2.2.
        keys open the encrypted disks. root is the device under Xen of the guest's root, or a
        subvolume (btrfsvol:/dev/xvda1/@), "" where that is to be found out; arguments are those
        that the Xen host gives its kernel. on_process learns the pid of its QEMU.
        """
        ordered = sorted(disks, key=lambda disk: xen_order(disk.dev))
        memory = MEMORY_FOR_KEYS if keys else MEMORY
        handle = launch(ordered, writable=writable, emulate=emulate, network=network, memory=memory)
        patience = REMOTE if remote else 1.0
        opened = cls(handle, ordered, keys=keys, root=root, arguments=arguments, patience=patience)
        if on_process:
            on_process(handle.get_pid())
        return opened

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            with suppress(Failed):
                self.close()

    def close(self) -> None:
        """Write everything to the disks and end the appliance; nothing happens the second time."""
        handle, self._guestfs = self._guestfs, None
        if handle is None:
            return
        try:
            if not self._watchdog.bitten:
                handle.umount_all()
                handle.shutdown()
        except RuntimeError as error:
            raise refused("The guest's disks could not be closed", error) from error
        finally:
            handle.close()

    # --- Tree -------------------------------------------------------------------------------------

    def exists(self, path: str) -> bool:
        return self._stat(path, follow=False) is not None

    def is_file(self, path: str) -> bool:
        state = self._stat(path)
        return state is not None and stat.S_ISREG(state["st_mode"])

    def read(self, path: str) -> str:
        return self._read(path).decode("utf-8", "surrogateescape")

    def head(self, path: str, size: int) -> bytes:
        if not self.is_file(path):
            raise Unsupported(f"{path} of the guest is not a regular file.")
        return bytes(self.call("pread", path, size, 0))

    def read_link(self, path: str) -> str:
        state = self._stat(path, follow=False)
        if state is None or not stat.S_ISLNK(state["st_mode"]):
            return ""
        return str(self.call("readlink", path))

    def write(self, path: str, text: str) -> None:
        if made := not self.exists(path):
            self.call("mkdir_p", path.rpartition("/")[0] or "/")
        elif not self.is_file(path):
            raise Unsupported(f"{path} of the guest is not a regular file.")
        self.call("write", path, text.encode("utf-8", "surrogateescape"))
        if made:
            self.call("chmod", 0o644, path)

    def remove(self, path: str) -> None:
        self.call("rm_f", path)

    def link(self, path: str, target: str) -> None:
        self.call("mkdir_p", path.rpartition("/")[0] or "/")
        self.call("ln_sf", target, path)

    def copy(self, source: str, path: str) -> None:
        if not self.is_file(source):
            raise Unsupported(f"{source} of the guest is not a regular file.")
        self.call("mkdir_p", path.rpartition("/")[0])
        with NamedTemporaryFile() as file:  # cp would follow links out of the guest's root
            self.call("download", source, file.name)
            self.call("upload", file.name, path)

    def size(self, path: str) -> int:
        state = self._stat(path)
        return state["st_size"] if state and stat.S_ISREG(state["st_mode"]) else 0

    def room(self, path: str) -> Room | None:
        state = self._stat(path)
        if state is None or not stat.S_ISDIR(state["st_mode"]):
            return None
        free = self.call("statvfs", path)
        files = free["ffree"] if free["files"] else None
        return Room(free["bfree"] * free["frsize"], files, free["fsid"])

    def glob(self, pattern: str) -> tuple[str, ...]:
        found: list[str] = self.call("glob_expand", pattern, directoryslash=False)
        return tuple(sorted(found))

    def search(self, folder: str, words: Sequence[str]) -> tuple[Found, ...]:
        return read_found(self.shell(search_line(f"/sysroot{folder}", words)))

    def run(self, *command: str) -> None:
        self.output(*command)

    def attempt(
        self, *command: str, failing: Finding, code: BootCode | None = None
    ) -> tuple[Finding, ...]:
        try:
            self.run(*command)
        except Failed as error:
            if code:
                self.install(code)
            message = f"{error.message} {failing.message}"
            return (replace(failing, message=message, said=error.said),)
        return ()

    def divide(self, disk: str, start: int, sectors: int) -> None:
        device = self._device(disk)
        self.call("part_add", device, "p", start, start + sectors - 1)
        made = next(
            part["part_num"]
            for part in self.call("part_list", device)
            if part["part_start"] == start * SECTOR
        )
        self.call("part_set_gpt_type", device, made, BIOS_BOOT)

    def install(self, code: BootCode) -> None:
        device = self._device(code.disk)
        modules = Path(code.modules)
        with packed(sorted([*modules.glob("*.mod"), *modules.glob("*.lst")])) as archive:
            self.call("mkdir_p", code.into)
            self.call("tar_in", archive, code.into)
        self.write_bytes(device, code.core, offset=code.sector * SECTOR)
        self.write_bytes(device, code.boot, offset=0)

    # --- what rules do not see: disks, file systems, programs that answer -------------------------

    def output(self, *command: str, seconds: float = PROGRAM) -> str:
        """Run a program of the guest in the guest; return what it printed."""
        failing = f"{' '.join(command)} failed in the guest"
        with self._limit(seconds, command[0], failing=failing):
            return str(self._guestfs.command(list(command)))

    def call(self, name: str, *arguments: object, **options: object) -> Any:
        """Call libguestfs. Raises Failed if that fails or is not done in time."""
        with self._limit(CALL, name, failing=f"The guest's disks could not be worked on ({name})"):
            return getattr(self._guestfs, name)(*arguments, **options)

    def shell(self, line: str) -> str:
        """Run a line in a shell of the appliance, not of the guest; return what it printed."""
        with self._limit(PROGRAM, line, failing="The guest's disks could not be worked on"):
            return str(self._guestfs.debug("sh", [line]))

    def read_bytes(self, device: str, *, offset: int, size: int) -> bytes:
        """Read from a disk."""
        return b"".join(
            self.call("pread_device", device, min(LARGEST, size - at), offset + at)
            for at in range(0, size, LARGEST)
        )

    def write_bytes(self, device: str, data: bytes, *, offset: int) -> None:
        """Write to a disk."""
        for at in range(0, len(data), LARGEST):
            self.call("pwrite_device", device, data[at : at + LARGEST], offset + at)

    def partitions(self) -> tuple[str, ...]:
        """Return the partitions of the guest's disks: /dev/vda1."""
        found: list[str] = self.call("list_partitions")
        return tuple(sorted({re.sub(r"^/dev/[shv]d", "/dev/vd", name) for name in found}))

    # --- within -----------------------------------------------------------------------------------

    def _device(self, disk: str) -> str:
        return next(name for name, dev in self.devices.items() if dev == disk)

    def _stat(self, path: str, *, follow: bool = True) -> dict[str, int] | None:
        """Return the state of a path, or None where there is nothing or links lead nowhere."""
        try:
            with self._limit(CALL, "stat", failing=f"{path} of the guest cannot be looked at"):
                found: dict[str, int] = (
                    self._guestfs.statns(path) if follow else self._guestfs.lstatns(path)
                )
                return found
        except Failed as error:
            if error.said.endswith(ABSENT):
                return None
            raise

    def _read(self, path: str) -> bytes:
        state = self._stat(path)
        if state is None or not stat.S_ISREG(state["st_mode"]):
            raise Unsupported(f"{path} of the guest is not a regular file.")
        if state["st_size"] > LARGEST:
            raise Unsupported(f"{path} of the guest is too large for a configuration file.")
        # read_file takes 0.2 s where pread takes 1 ms: it sends a file, this an answer.
        return bytes(self.call("pread", path, LARGEST, 0))

    @contextmanager
    def _limit(self, seconds: float, what: str, *, failing: str) -> Iterator[None]:
        if self._guestfs is None:
            raise Failed("The appliance is closed.")
        try:
            with self._watchdog.limit(seconds, f"In the guest, {what}"):
                yield
        except (RuntimeError, UnicodeDecodeError) as error:  # of a name that is not UTF-8
            raise refused(failing, error) from error
