# SPDX-License-Identifier: GPL-2.0-or-later
"""One function for each thing that a migration needs of this host."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from xen2kvmd.errors import Failed
from xen2kvmd.host.packages import PACKAGES, PackageFamily, install
from xen2kvmd.system import command, host_grub, kvm

UEFI = tuple(map(Path, ("/usr/share/OVMF", "/usr/share/qemu", "/usr/share/edk2/ovmf")))
FIRMWARE = ("OVMF_CODE*", "ovmf-x86_64*code*")
IMAGES = Path("/var/lib/libvirt/images")
STATE = Path("/var/lib/xen2kvmd")
ANSWER = 20.0  # seconds that libvirt has to answer
APPLIANCE = 300.0  # seconds that an appliance may take to start without KVM
GIB = 1 << 30


class State(StrEnum):
    """What came of a check."""

    OK = "ok"
    ADVICE = "advice"  # some guests, or some comfort, need it
    LACKING = "lacking"  # no migration works without
    UNKNOWN = "unknown"  # only root can tell


@dataclass(frozen=True)
class Check:
    """A thing that was looked at: what was found, and the command, or the words, that mend it."""

    name: str
    state: State
    says: str
    mend: str = ""


def check_all(family: PackageFamily | None, *, appliance: bool) -> Iterator[Check]:
    """Look at all; the appliance takes seconds, without KVM half a minute."""
    for check in (_programs, _modules, _kvm, _libvirt, _firmware, _boot_code, _bus, _space):
        yield from check(family)
    if appliance:
        yield from _appliance(family)


def _programs(family: PackageFamily | None) -> Iterator[Check]:
    for program, needed_by in (
        ("qemu-img", ""),
        ("setpriv", ""),
        ("ssh", "sources and disks over ssh (xen+ssh://), and other target hosts"),
        ("virt-v2v", "Windows guests, and --engine v2v"),
        ("nbdkit", "virt-v2v, which starts it"),
    ):
        if path := shutil.which(program):
            yield Check(program, State.OK, path)
        elif needed_by:
            says = f"not installed; needed by {needed_by}"
            yield Check(program, State.ADVICE, says, install([program], family))
        else:
            yield Check(program, State.LACKING, "not installed", install([program], family))


def _modules(family: PackageFamily | None) -> Iterator[Check]:
    """Look for the modules of Python; each belongs to the system's own Python."""
    needs = [need for need in PACKAGES if need.startswith("python ")]
    missing = [need for need in needs if importlib.util.find_spec(need.split()[1]) is None]
    if missing:
        says = f"missing for {sys.executable}: {', '.join(need.split()[1] for need in missing)}"
        yield Check("python modules", State.LACKING, says, install(missing, family))
    else:
        yield Check("python modules", State.OK, f"all {len(needs)} are there")


def _kvm(family: PackageFamily | None) -> Iterator[Check]:
    qemu = kvm.emulator()
    if not qemu:
        yield Check("qemu", State.LACKING, "not installed", install(["qemu"], family))
        return
    yield Check("qemu", State.OK, qemu)
    if os.geteuid() != 0:
        yield _only_root("kvm")
    elif kvm.works(qemu):
        yield Check("kvm", State.OK, "a guest's first instructions ran")
    else:
        yield Check("kvm", State.ADVICE, _why_no_kvm(), _load_kvm(_cpu_flags()))


def _cpu_flags() -> frozenset[str]:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return frozenset(line.split())
    return frozenset()


def _why_no_kvm() -> str:
    there = Path("/dev/kvm").exists()
    return (
        f"{'/dev/kvm is there, but no guest runs' if there else 'no /dev/kvm'}: guests would be "
        "emulated, slowly"
    )


def _load_kvm(flags: frozenset[str]) -> str:
    """Return what gives a host KVM, by the processor's flags in /proc/cpuinfo."""
    for flag, module in (("vmx", "kvm_intel"), ("svm", "kvm_amd")):
        if flag in flags:
            return f"modprobe {module}"
    return "Enable VT-x or AMD-V in the firmware; in a virtual machine, nested virtualisation."


def _libvirt(family: PackageFamily | None) -> Iterator[Check]:
    if not shutil.which("virsh"):
        yield Check("libvirt", State.LACKING, "not installed", install(["libvirt"], family))
        return
    if os.geteuid() != 0:
        yield _only_root("libvirt")
        return
    try:
        _virsh("uri")
    except Failed as error:
        yield Check("libvirt", State.LACKING, _line(error), _start_libvirt())
        return
    yield Check("libvirt", State.OK, "qemu:///system answers")
    pool, network = (
        f"virsh {kind}-start default && virsh {kind}-autostart default" for kind in ("pool", "net")
    )
    define = f"virsh pool-define-as default dir --target {IMAGES} && virsh pool-build default"
    for name, kind, mend, make in (
        ("pool default", "pool", pool, f"{define} && {pool}"),
        ("network default", "net", network, "Name another with --network or --bridge."),
    ):
        listed = f"{kind}-list"
        if "default" in _virsh(listed, "--name").split():
            if "default" in _virsh(listed, "--name", "--autostart").split():
                yield Check(name, State.OK, "active")
            else:
                says = "active, but does not start with this host"
                yield Check(name, State.ADVICE, says, f"virsh {kind}-autostart default")
        elif "default" in _virsh(listed, "--name", "--all").split():
            yield Check(name, State.ADVICE, "not active", mend)
        else:
            yield Check(name, State.ADVICE, "there is none", make)


def _virsh(*arguments: str) -> str:
    return command.run(["virsh", "-c", "qemu:///system", *arguments], timeout=ANSWER).decode()


def _start_libvirt() -> str:
    """Return what starts libvirt: one daemon, or one for each driver since libvirt 8."""
    for folder in (Path("/usr/lib/systemd/system"), Path("/lib/systemd/system")):
        if (folder / "libvirtd.service").exists():
            return "systemctl enable --now libvirtd.service"
    sockets = " ".join(f"virt{part}d.socket" for part in ("qemu", "network", "storage", "nodedev"))
    return f"systemctl enable --now {sockets}"


def _firmware(family: PackageFamily | None) -> Iterator[Check]:
    if any(path for folder in UEFI for form in FIRMWARE for path in folder.glob(form)):
        yield Check("uefi", State.OK, "firmware for UEFI guests is there")
    else:
        yield Check("uefi", State.ADVICE, "no firmware for UEFI guests", install(["uefi"], family))


def _boot_code(family: PackageFamily | None) -> Iterator[Check]:
    """Look for GRUB's boot code, which paravirtualised guests often lack (guest/boot_code.py)."""
    found = [folder for folder in host_grub.MODULES if (folder / "boot.img").exists()]
    if found:
        yield Check("boot code", State.OK, str(found[0]))
    else:
        says = "no GRUB for guests that have no boot code"
        yield Check("boot code", State.ADVICE, says, install(["grub"], family))


def _bus(family: PackageFamily | None) -> Iterator[Check]:
    if Path("/run/dbus/system_bus_socket").exists():
        yield Check("system bus", State.OK, "runs")
    else:
        mend = "systemctl start dbus.socket"
        mend = mend if shutil.which("dbus-daemon") else install(["dbus"], family)
        yield Check("system bus", State.LACKING, "no /run/dbus/system_bus_socket", mend)
    if shutil.which("pkcheck"):
        yield Check("polkit", State.OK, "installed")
    else:
        yield Check("polkit", State.LACKING, "not installed", install(["polkit"], family))


def _space(_family: PackageFamily | None) -> Iterator[Check]:
    """Look at the room for disks, and for the overlays and the console's log of jobs."""
    for name, folder, enough in (("disks", IMAGES, 10 * GIB), ("jobs", STATE, 2 * GIB)):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        says = f"{free / GIB:.1f} GiB free in {there}"
        if free >= enough:
            yield Check(f"space for {name}", State.OK, says)
        else:
            says += f"; less than {enough // GIB} GiB is little"
            yield Check(f"space for {name}", State.ADVICE, says, f"du -xh -d 3 {there} | sort -h")


def _appliance(family: PackageFamily | None) -> Iterator[Check]:
    """Start an appliance, as each job does; the proof is better than any list of packages."""
    if os.geteuid() != 0:
        yield _only_root("appliance")
        return
    try:
        command.run([sys.executable, "-P", "-m", "xen2kvmd.host.appliance"], timeout=APPLIANCE)
    except Failed as error:
        needs = [] if _has_kernel() else ["kernel"]
        needs += [] if importlib.util.find_spec("guestfs") else ["python guestfs"]
        mend = install(needs, family) if needs else "libguestfs-test-tool"
        yield Check("appliance", State.LACKING, _line(error), mend)
    else:
        yield Check("appliance", State.OK, "libguestfs' appliance starts")


def _has_kernel() -> bool:
    """Tell whether there is a kernel with its modules, of which libguestfs makes the appliance."""
    versions = (image.name.removeprefix("vmlinuz-") for image in Path("/boot").glob("vmlinuz-*"))
    return any(Path("/lib/modules", version, "kernel").is_dir() for version in versions)


def _only_root(name: str) -> Check:
    return Check(name, State.UNKNOWN, "only root can tell", "sudo xen2kvm check-host")


def _line(error: Failed) -> str:
    """Return the last line of what a program said: the reason."""
    return error.message.strip().splitlines()[-1]
