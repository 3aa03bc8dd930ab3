# SPDX-License-Identifier: GPL-2.0-or-later
"""What tools/sandbox shows instead of the machine: a host with libvirt, a system bus and us.

This runs as root in namespaces of its own: what it mounts and starts goes with them. Folders of
the machine are covered by empty ones or by copies, which lie in the sandbox's state folder.
"""

import os
import re
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
LOGS = Path("/run/sandbox")
KEPT = Path("/var/tmp/.xen2kvm-sandbox-0")
PROGRAMS = ("dbus-daemon", "libvirtd", "ip")  # must be installed

EMPTY = ("/run", "/etc/libvirt", "/var/lib/libvirt", "/var/lib/xen2kvmd", "/var/cache/libvirt")
COPIED = ("/etc/dbus-1", "/usr/share/dbus-1", "/etc/polkit-1", "/usr/share/polkit-1")

POOL = """<pool type='dir'>
  <name>default</name>
  <target><path>/var/lib/libvirt/images</path></target>
</pool>
"""

# virtlogd is one daemon more, which we do not need; cgroups and security labels are the machine's.
QEMU_CONF = """stdio_handler = "file"
security_driver = "none"
namespaces = []
cgroup_controllers = []
"""

WRAPPER = """#!/bin/sh
# {name} of {checkout}, for the sandbox
[ -z "${{DBUS_STARTER_BUS_TYPE:-}}" ] || exec >>{logs}/{name}.log 2>&1
PYTHONPATH={checkout} exec /usr/bin/python3 -m {module} "$@"
"""
WRAPPED = {"xen2kvm": "xen2kvmd.cli", "xen2kvmd": "xen2kvmd"}


class SandboxError(Exception):
    """The host could not be made."""


def make(state: Path) -> None:
    """Make the host; its files lie in the folder `state`."""
    mount_system(state)
    fill_run()
    fill_libvirt(state)
    fill_bus()
    start_daemons()


def run(*command: str | Path) -> None:
    """Run a program that must succeed."""
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


# --- mounts ---------------------------------------------------------------------------------------


def mount_system(state: Path) -> None:
    """Cover the machine's own state and configuration."""
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "proc", "proc", "/proc")
    # A new /sys shows the new network, and no cgroups: libvirt would make some of its own.
    subprocess.run(("umount", "--recursive", "--lazy", "/sys"), stderr=subprocess.DEVNULL)
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    keep(state / "kept")
    for folder, names in (
        ("/usr/bin", []),
        ("/var/lib", ["libvirt", "xen2kvmd"]),
        ("/var/cache", ["libvirt"]),
    ):
        above = own(state, f"{folder}-above")
        for name in names:
            (above / name).mkdir(mode=0o755)
        if folder == "/usr/bin":
            write_wrappers(above)
        mount_above(above, folder)
    for folder in EMPTY:
        run("mount", "--bind", own(state, folder), folder)
    for folder in COPIED:
        run("cp", "--archive", f"{folder}/.", own(state, folder))
        run("mount", "--bind", own(state, folder), folder)
    show_kvm(state / "kvm")


def show_kvm(node: Path) -> None:
    """Give /dev/kvm, where there is one, the group and mode that udev gives it everywhere.

    Without udev it is root's alone. libvirt's probes, run as root, then find KVM and its driver, as
    libvirt-qemu, does not: it takes what it knows for outdated, and probes QEMU anew for each call.
    """
    kvm = Path("/dev/kvm")
    if not kvm.is_char_device():
        return
    os.mknod(node, stat.S_IFCHR | 0o600, kvm.stat().st_rdev)
    shutil.chown(node, group="kvm")
    node.chmod(0o660)
    run("mount", "--bind", node, kvm)


def own(state: Path, folder: str) -> Path:
    """Return the folder of the sandbox's state for a folder of the host."""
    path = state / folder.strip("/").replace("/", "-")
    path.mkdir(mode=0o755, exist_ok=True)
    return path


def mount_above(above: Path, folder: str) -> None:
    """Show the entries of `above` in a folder of the machine too, which is read-only then."""
    run("mount", "-t", "overlay", "-o", f"lowerdir={above}:{folder}", "xen2kvm-sandbox", folder)


def keep(place: Path) -> None:
    """Show the folder that outlives the sandboxes under `place`."""
    KEPT.mkdir(mode=0o700, exist_ok=True)
    if KEPT.is_symlink() or KEPT.stat().st_uid != 0:
        raise SandboxError(f"{KEPT} is not root's: remove it")  # /var/tmp is everybody's
    place.mkdir()
    run("mount", "--bind", KEPT, place)


def write_wrappers(folder: Path) -> None:
    """Write the commands that run this checkout."""
    for name, module in WRAPPED.items():
        text = WRAPPER.format(name=name, module=module, checkout=CHECKOUT, logs=LOGS)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


# --- files ----------------------------------------------------------------------------------------


def fill_run() -> None:
    """Make what services expect under /run."""
    for name in ("dbus", "libvirt", "lock", "sandbox", "xen2kvmd"):
        Path("/run", name).mkdir()
    Path("/run/lock").chmod(0o1777)
    for name in ("seats", "sessions", "users", "machines"):
        Path("/run/systemd", name).mkdir(parents=True)  # polkitd ends without them


def fill_libvirt(state: Path) -> None:
    """Configure libvirt as it is after its installation, with its own pool and network started."""
    etc = Path("/etc/libvirt")
    (etc / "libvirtd.conf").write_text('log_outputs = "3:stderr"\n')
    (etc / "qemu.conf").write_text(QEMU_CONF)
    network = Path("/usr/share/libvirt/networks/default.xml").read_text()
    for folder, text in ((etc / "qemu/networks", network), (etc / "storage", POOL)):
        (folder / "autostart").mkdir(parents=True)
        (folder / "default.xml").write_text(text)
        (folder / "autostart/default.xml").symlink_to(folder / "default.xml")
    Path("/var/lib/libvirt/images").mkdir(mode=0o711)
    # libvirt asks QEMU for its capabilities for 8 s under emulation, and checks the answers' age.
    capabilities = Path("/var/cache/libvirt/qemu/capabilities")
    capabilities.mkdir(parents=True)
    run("mount", "--bind", state / "kept", capabilities)


def fill_bus() -> None:
    """Install our own files, as a package does; of the machine's services, only polkit starts."""
    dbus = Path("/usr/share/dbus-1")
    for service in (dbus / "system-services").glob("*.service"):
        if service.stem != "org.freedesktop.PolicyKit1":
            service.unlink()
    install("dbus/*.conf", dbus / "system.d")
    install("dbus/*.service", dbus / "system-services")
    install("dbus/*.xml", dbus / "interfaces")
    install("polkit/*.policy", Path("/usr/share/polkit-1/actions"))
    # The bus starts services by itself: its setuid helper wants a bus that is not root's.
    text = (dbus / "system.conf").read_text()
    text = re.sub(r"<(user|servicehelper|pidfile)>.*?</\1>|<(fork|syslog)/>", "", text)
    (dbus / "system.conf").write_text(text)


def install(pattern: str, folder: Path) -> None:
    """Copy files of the checkout into a folder."""
    folder.mkdir(exist_ok=True)
    for path in CHECKOUT.glob(pattern):
        shutil.copyfile(path, folder / path.name)


# --- daemons --------------------------------------------------------------------------------------


def start_daemons() -> None:
    """Start the bus and libvirt; the bus starts the others when somebody calls them."""
    run("ip", "link", "set", "lo", "up")
    bus = start("dbus-daemon", "--system", "--nofork", "--nosyslog", "--nopidfile")
    libvirt = start("libvirtd")
    wait_for(Path("/run/dbus/system_bus_socket"), bus)
    wait_for(Path("/run/libvirt/libvirt-sock"), libvirt)


def start(*command: str) -> subprocess.Popen[bytes]:
    """Start a daemon as a system does: in a session and an environment of its own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("LIBGUESTFS_", "SUPERMIN_", "XEN2KVM"))
    }
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    with log_of(command[0]).open("w") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"PATH": path, "HOME": "/root", "LANG": "C.UTF-8"} | kept,
            start_new_session=True,
            preexec_fn=unblock_signals,
        )


def unblock_signals() -> None:
    """Undo what tools/sandbox blocked for itself."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def log_of(daemon: str) -> Path:
    """Return the file with a daemon's output."""
    return LOGS / f"{daemon}.log"


def wait_for(socket: Path, daemon: subprocess.Popen[bytes], seconds: int = 60) -> None:
    """Wait for a daemon to listen."""
    deadline = time.monotonic() + seconds
    while not socket.is_socket():
        if daemon.poll() is not None or time.monotonic() > deadline:
            logs = "".join(log.read_text() for log in LOGS.glob("*.log"))
            raise SandboxError(f"no daemon listens on {socket}\n{logs}")
        time.sleep(0.01)
