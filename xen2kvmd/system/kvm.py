# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether KVM works here, or on another host: asked by running a guest, however small.

/dev/kvm may be there and open, and yet no guest runs with the CPU that it would get: seen on
virtual machines whose kernel has kvm_pvm, where QEMU aborts with "failed to set MSR", or where the
firmware takes 10 s, a hundred times as long as under emulation, and Linux does not come up at all.
libvirt's capabilities list kvm all the same.
"""

import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from xen2kvmd.system.ssh import Connection

SECONDS = 20  # for emulation, which takes 0.1 on an idle machine
LEAST = 2.0  # seconds that KVM has in any case
TIMES = 10  # or so many times as long as emulation takes on this machine, busy as it is
EXIT_PORT = 0xF4
PROOF = 0x2A  # QEMU's isa-debug-exit ends with (value << 1) | 1

# mov al, PROOF; out EXIT_PORT, al; hlt; jmp to hlt
BOOT_SECTOR = (
    bytes((0xB0, PROOF, 0xE6, EXIT_PORT, 0xF4, 0xEB, 0xFD)).ljust(510, b"\0") + b"\x55\xaa"
)


# On another host the sector comes by standard input, and what is begun must end by itself.
FAR = r"""
[ -e /dev/kvm ] || exit
sector=$(mktemp) || exit
trap 'rm -f "$sector"' EXIT
cat >"$sector"
seconds=$1; shift
timeout "$seconds" "$@" -drive "file=$sector,format=raw,if=ide,read-only=off,snapshot=on"
"""


def works(emulator: str) -> bool:
    """Tell whether a guest's first instructions run under KVM with this QEMU binary.

    A KVM that is much slower than emulation is as good as none.
    """
    return Path("/dev/kvm").exists() and _is_of_use(partial(_boots, emulator))


def works_on(host: Connection, emulator: str) -> bool:
    """Tell the same of the QEMU binary of another host."""
    return _is_of_use(partial(_boots_on, host, emulator))


def _is_of_use(boots: Callable[[str, str, float], bool]) -> bool:
    begun = time.monotonic()
    if not boots("tcg", "max", SECONDS):
        return False
    emulated = time.monotonic() - begun
    return boots("kvm", "host", max(LEAST, TIMES * emulated))


def _boots(emulator: str, accelerator: str, cpu: str, seconds: float) -> bool:
    with tempfile.NamedTemporaryFile(prefix="xen2kvm-kvm-") as sector:
        sector.write(BOOT_SECTOR)
        sector.flush()
        drive = f"file={sector.name},format=raw,if=ide,read-only=off,snapshot=on"
        return _proves([*_argv(emulator, accelerator, cpu), "-drive", drive], seconds)


def _boots_on(host: Connection, emulator: str, accelerator: str, cpu: str, seconds: float) -> bool:
    argv = _argv(emulator, accelerator, cpu)
    command = shlex.join(["sh", "-c", FAR, "sh", f"{seconds:.0f}", *argv])
    return _proves([*host.argv, host.address, command], seconds + LEAST, stdin=BOOT_SECTOR)


def _argv(emulator: str, accelerator: str, cpu: str) -> list[str]:
    argv = [emulator, "-accel", accelerator, "-cpu", cpu, "-machine", "pc", "-m", "16"]
    argv += ["-nodefaults", "-display", "none", "-no-reboot", "-boot", "c"]
    return [*argv, "-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1"]


def _proves(argv: Sequence[str], seconds: float, *, stdin: bytes = b"") -> bool:
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=seconds, check=False)
    except (subprocess.TimeoutExpired, OSError):
        return False
    return done.returncode == (PROOF << 1 | 1)
