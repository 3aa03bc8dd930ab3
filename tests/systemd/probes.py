# SPDX-License-Identifier: GPL-2.0-or-later
"""Try what a unit's lines forbid: `probes.py NETNS`, NETNS being the host's network namespace.

Prints for each probe, as JSON, whether the thing is forbidden; a probe that is killed has not found
out. On the host there are files with the name HIDDEN.
"""

import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HIDDEN = "xen2kvm-probe"
MEMORY = "/dev/shm"  # can be written whatever is mounted

LIBC = ctypes.CDLL(None, use_errno=True)
NR_CLOCK_SETTIME, NR_DELETE_MODULE, NR_SETPRIORITY = 227, 176, 141  # of x86-64
NR_UMOUNT, NR_GETPID = 166, 39
X32 = 0x40000000  # the bit of the one other ABI that a 64-bit program can call (linux/unistd.h)
CLONE_NEWUTS = 0x04000000  # sched.h
PER_LINUX32 = 0x0008  # sys/personality.h
SYSLOG_ACTION_SIZE_BUFFER = 10  # syslog(2)
PR_CAPBSET_READ = 23  # linux/prctl.h
CAP_SYS_MODULE, CAP_SYS_TIME, CAP_WAKE_ALARM = 16, 25, 35  # linux/capability.h

Probe = Callable[[], bool]


def raises(act: Callable[[], object], *numbers: int) -> bool:
    try:
        act()
    except OSError as error:
        return error.errno in numbers
    return False


def call(number: int, *arguments: int | bytes | None) -> int:
    """Return the error number of a system call that is made wrongly: it never does anything."""
    return ctypes.get_errno() if LIBC.syscall(number, *arguments) < 0 else 0


def in_child(act: Callable[[], int]) -> int:
    """Return what a child process gets, or the negative signal that kills it."""
    pid = os.fork()
    if pid == 0:
        os._exit(act())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1], 16)


def not_written(path: str) -> bool:
    """Whether a folder is on a file system that is mounted read-only."""
    probe = Path(path) / f"{HIDDEN}-{os.getpid()}"
    if raises(probe.touch, errno.EROFS):
        return True
    probe.unlink()
    return False


def no_unreadable_file() -> bool:
    with tempfile.NamedTemporaryFile(dir=MEMORY) as file:
        os.chmod(file.name, 0)
        return raises(Path(file.name).read_bytes, errno.EACCES)


def no_setuid_file() -> bool:
    with tempfile.NamedTemporaryFile(dir=MEMORY) as file:
        return raises(lambda: os.chmod(file.name, 0o4700), errno.EPERM)


def no_device() -> bool:
    """Whether /dev/net/tun, if it were there, would be refused."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        node = f"{folder}/tun"
        return raises(lambda: os.mknod(node, 0o20600, os.makedev(10, 200)), errno.EPERM)


def no_packet() -> bool:
    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.sendto(b"", ("127.0.0.1", 9))

    return raises(send, errno.EPERM, errno.EAFNOSUPPORT)


def no_cgroup() -> bool:
    probe = Path("/sys/fs/cgroup") / HIDDEN
    if raises(probe.mkdir, errno.EROFS):
        return True
    probe.rmdir()
    return False


PROBES: dict[str, Probe] = {
    "address families": lambda: raises(
        lambda: socket.socket(socket.AF_INET).close(), errno.EAFNOSUPPORT
    ),
    "bounded capabilities": lambda: (
        not any(
            LIBC.prctl(PR_CAPBSET_READ, capability, 0, 0, 0)
            for capability in (CAP_SYS_MODULE, CAP_SYS_TIME, CAP_WAKE_ALARM)
        )
    ),
    "capabilities": lambda: status("CapEff") == 0 and no_unreadable_file(),
    "cgroups": no_cgroup,
    "clock": lambda: call(NR_CLOCK_SETTIME, 0, None) == errno.EPERM,
    "devices": no_device,
    "error number": lambda: in_child(lambda: call(NR_UMOUNT, None, 0)) == errno.EPERM,
    "error number of clock": lambda: (
        in_child(lambda: call(NR_CLOCK_SETTIME, 0, None)) == errno.EPERM
    ),
    "filter of clock": lambda: (
        in_child(lambda: call(NR_CLOCK_SETTIME, 0, None)) in (errno.EPERM, -signal.SIGSYS)
    ),
    "filter of priorities": lambda: (
        in_child(lambda: call(NR_SETPRIORITY, 0, 0, 0)) in (errno.EPERM, -signal.SIGSYS)
    ),
    "filter of mounts": lambda: (
        in_child(lambda: call(NR_UMOUNT, None, 0)) in (errno.EPERM, -signal.SIGSYS)
    ),
    "home": lambda: not os.path.exists(f"/root/{HIDDEN}"),
    "hostname": lambda: raises(lambda: socket.sethostname(socket.gethostname()), errno.EPERM),
    "kernel log": lambda: LIBC.klogctl(SYSLOG_ACTION_SIZE_BUFFER, None, 0) < 0,
    "modules": lambda: call(NR_DELETE_MODULE, b"no-such-module", 0) == errno.EPERM,
    "namespaces": lambda: LIBC.unshare(CLONE_NEWUTS) < 0,
    "network": lambda: os.readlink("/proc/self/ns/net") != sys.argv[1],
    "no new privileges": lambda: status("NoNewPrivs") == 1,
    "other ABIs": lambda: in_child(lambda: call(X32 + NR_GETPID)) == -signal.SIGSYS,
    "packets": no_packet,
    "personality": lambda: LIBC.personality(PER_LINUX32) < 0,
    "private devices": lambda: not os.path.exists(f"/dev/{HIDDEN}"),
    "private tmp": lambda: not os.path.exists(f"/tmp/{HIDDEN}"),
    "processes": lambda: not os.path.exists("/proc/1"),
    "realtime": lambda: raises(
        lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)), errno.EPERM
    ),
    "setuid files": no_setuid_file,
    "system": lambda: all(map(not_written, ("/usr", "/etc", "/boot"))),
    "everything": lambda: all(map(not_written, ("/usr", "/etc", "/boot", "/var/lib", "/srv"))),
    "the rest of /proc": lambda: not os.path.exists("/proc/meminfo"),
    "tunables": lambda: raises(
        lambda: os.close(os.open("/proc/sys/net/ipv4/ip_forward", os.O_RDWR)),
        errno.EROFS,
        errno.ENOENT,
    ),
    "umask": lambda: os.umask(0o077) == 0o077,
    "writable code": lambda: raises(
        lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC), errno.EPERM
    ),
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: in_child(probe) == 1 for name, probe in PROBES.items()}))
