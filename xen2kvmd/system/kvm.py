# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether KVM works here: asked by running a guest, however small.

/dev/kvm may be there and open, and yet no guest runs with the CPU that it would get: seen on
virtual machines whose kernel has kvm_pvm, where QEMU aborts with "failed to set MSR", or where the
firmware takes 10 s, a hundred times as long as under emulation, and Linux does not come up at all.
libvirt's capabilities list kvm all the same.
"""

import subprocess
import tempfile
import time
from pathlib import Path

SECONDS = 20  # for emulation, which takes 0.1 on an idle machine
LEAST = 2.0  # seconds that KVM has in any case
TIMES = 10  # or so many times as long as emulation takes on this machine, busy as it is
EXIT_PORT = 0xF4
PROOF = 0x2A  # QEMU's isa-debug-exit ends with (value << 1) | 1

# mov al, PROOF; out EXIT_PORT, al; hlt; jmp to hlt
BOOT_SECTOR = (
    bytes((0xB0, PROOF, 0xE6, EXIT_PORT, 0xF4, 0xEB, 0xFD)).ljust(510, b"\0") + b"\x55\xaa"
)


def works(emulator: str) -> bool:
    """Tell whether a guest's first instructions run under KVM with this QEMU binary.

    A KVM that is much slower than emulation is as good as none.
    """
    if not Path("/dev/kvm").exists():
        return False
    begun = time.monotonic()
    if not _boots(emulator, "tcg", "max", seconds=SECONDS):
        return False
    emulated = time.monotonic() - begun
    return _boots(emulator, "kvm", "host", seconds=max(LEAST, TIMES * emulated))


def _boots(emulator: str, accelerator: str, cpu: str, *, seconds: float) -> bool:
    with tempfile.NamedTemporaryFile(prefix="xen2kvm-kvm-") as sector:
        sector.write(BOOT_SECTOR)
        sector.flush()
        argv = [emulator, "-accel", accelerator, "-cpu", cpu, "-machine", "pc", "-m", "16"]
        argv += ["-nodefaults", "-display", "none", "-no-reboot", "-boot", "c"]
        argv += ["-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1"]
        argv += ["-drive", f"file={sector.name},format=raw,if=ide,read-only=off,snapshot=on"]
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError):
            return False
    return done.returncode == (PROOF << 1 | 1)
