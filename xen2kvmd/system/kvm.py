# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether KVM works here: asked by running a guest, however small.

/dev/kvm may be there and open, and yet no guest runs with the CPU that it would get: seen on
virtual machines whose kernel has kvm_pvm, where QEMU aborts with "failed to set MSR". libvirt's
capabilities list kvm all the same.
"""

import subprocess
import tempfile
from pathlib import Path

SECONDS = 10
EXIT_PORT = 0xF4
PROOF = 0x2A  # QEMU's isa-debug-exit ends with (value << 1) | 1

# mov al, PROOF; out EXIT_PORT, al; hlt; jmp to hlt
BOOT_SECTOR = (
    bytes((0xB0, PROOF, 0xE6, EXIT_PORT, 0xF4, 0xEB, 0xFD)).ljust(510, b"\0") + b"\x55\xaa"
)


def works(emulator: str) -> bool:
    """Tell whether a guest's first instructions run under KVM with this QEMU binary."""
    if not Path("/dev/kvm").exists():
        return False
    with tempfile.NamedTemporaryFile(prefix="xen2kvm-kvm-") as sector:
        sector.write(BOOT_SECTOR)
        sector.flush()
        argv = [
            emulator,
            "-accel",
            "kvm",
            "-cpu",
            "host",
            "-machine",
            "pc",
            "-m",
            "16",
            "-nodefaults",
        ]
        argv += ["-display", "none", "-no-reboot", "-boot", "c"]
        argv += ["-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1"]
        argv += ["-drive", f"file={sector.name},format=raw,if=ide,read-only=off,snapshot=on"]
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError):
            return False
    return done.returncode == (PROOF << 1 | 1)
