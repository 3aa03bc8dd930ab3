# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether KVM works here, or on another host: asked by running a guest, however small.

/dev/kvm may be there and open, and yet no guest runs with the CPU that it would get: seen on
virtual machines whose kernel has kvm_pvm, where QEMU aborts with "failed to set MSR", or where KVM
interprets each instruction of a guest's kernel, a hundred times as slowly as QEMU's emulation does,
and Linux does not come up at all. libvirt's capabilities list kvm all the same.
"""

import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from xen2kvmd.system.ssh import Connection

EMULATORS = ("qemu-system-x86_64", "qemu-kvm", "/usr/libexec/qemu-kvm")  # Red Hat's is the last
SECONDS = 20.0  # for emulation, which takes 0.4 on an idle machine, or for KVM without it
LEAST = 3.0  # seconds that KVM has in any case; one that interprets takes 40
TIMES = 10  # or so many times as long as emulation takes on this machine, busy as it is
TURNS = 100_000_000  # of a loop, which KVM takes through in the time that QEMU needs to start
EXIT_PORT = 0xF4
PROOF = 0x2A  # QEMU's isa-debug-exit ends with (value << 1) | 1

# Loaded at 0x7c00. In 32-bit protected mode, a KVM that interprets is as slow as in a kernel's.
_CODE = bytes.fromhex(
    "fa"  #                     cli
    "31c0 8ed8"  #              xor ax, ax; mov ds, ax
    "0f0116 267c"  #            lgdt [0x7c26]
    "0f20c0 0c01 0f22c0"  #     mov eax, cr0; or al, 1; mov cr0, eax
    "ea 177c 0800"  #           jmp 8:0x7c17
    f"b9 {TURNS.to_bytes(4, 'little').hex()}"  # 0x17: mov ecx, TURNS
    "49 75fd"  #                dec ecx; jnz to dec
    f"b0{PROOF:02x} e6{EXIT_PORT:02x}"  #          mov al, PROOF; out EXIT_PORT, al
    "f4 ebfd"  #                hlt; jmp to hlt
    "0f00 2c7c0000"  #          0x26: the descriptor table's limit, and its address: 0x7c2c
    "0000000000000000"  #       0x2c: no segment
    "ffff0000009acf00"  #       8: code, 4 GiB from 0, 32 bits
)
BOOT_SECTOR = _CODE.ljust(510, b"\0") + b"\x55\xaa"


# On another host the sector comes by standard input, and what is begun must end by itself.
FAR = r"""
[ -e /dev/kvm ] || exit
sector=$(mktemp) || exit
trap 'rm -f "$sector"' EXIT
cat >"$sector"
seconds=$1; shift
timeout "$seconds" "$@" -drive "file=$sector,format=raw,if=ide,read-only=off,snapshot=on"
"""


def under_xen() -> bool:
    """Tell whether this host runs under Xen: it may have the processors, and yet no KVM."""
    kind = Path("/sys/hypervisor/type")  # of the kernel's ABI, sysfs-hypervisor-xen
    return kind.exists() and kind.read_text().strip() == "xen"


def emulator() -> str:
    """Return the path of this host's QEMU, or ""."""
    return next(filter(None, map(shutil.which, EMULATORS)), "")


def works(emulator: str) -> bool:
    """Tell whether a small guest runs under KVM with this QEMU binary, and fast enough.

    A KVM that is much slower than emulation is as good as none.
    """
    return Path("/dev/kvm").exists() and _is_of_use(partial(_boots, emulator))


def works_on(host: Connection, emulator: str) -> bool:
    """Tell the same of the QEMU binary of another host."""
    return _is_of_use(partial(_boots_on, host, emulator))


def _is_of_use(boots: Callable[[str, str, float], bool]) -> bool:
    begun = time.monotonic()
    emulates = boots("tcg", "max", SECONDS)  # SUSE's QEMU does with a package of its own only
    emulated = time.monotonic() - begun
    return boots("kvm", "host", max(LEAST, TIMES * emulated) if emulates else SECONDS)


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
