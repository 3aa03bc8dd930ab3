# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/sandbox: a host inside, nothing changed outside, nothing left afterwards."""

import fcntl
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

SANDBOX = str(Path(__file__).parents[2] / "tools/sandbox")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="the sandbox is root's"),
    pytest.mark.skipif("XEN2KVM_SANDBOX" in os.environ, reason="we are in a sandbox already"),
]


def run(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SANDBOX, *command], input=given, capture_output=True, text=True, timeout=60, check=False
    )


def output(*command: str) -> str:
    done = run(*command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def abandoned() -> set[Path]:
    """Return the state folders that no living sandbox has locked."""
    found = set()
    for state in Path("/var/tmp").glob("xen2kvm-sandbox.*"):
        with suppress(OSError):
            lock = os.open(state, os.O_RDONLY)
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.add(state)
            os.close(lock)
    return found


def processes_of(mark: str) -> list[str]:
    """Return the processes that have a word in their command line; zombies have none."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in line:
            lines.append(line)
    return lines


def machine() -> dict[str, object]:
    """Describe what of the machine a sandbox could spoil."""
    folders = ("/etc", "/usr/share/dbus-1", "/usr/share/polkit-1", "/var/lib/libvirt", "/run")
    described: dict[str, object] = {
        folder: {str(p): p.lstat().st_mtime_ns for p in Path(folder).rglob("*") if not p.is_dir()}
        for folder in folders
    }
    described["entries"] = [sorted(os.listdir(f)) for f in ("/usr/bin", "/var/lib", "/var/cache")]
    described["mounts"] = Path("/proc/self/mounts").read_text()
    described["cgroups"] = [Path(base) for base, _, _ in os.walk("/sys/fs/cgroup")]
    described["links"] = sorted(os.listdir("/sys/class/net"))
    return described


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before, mounted = abandoned(), Path("/proc/self/mounts").read_text()
    yield
    assert not abandoned() - before
    assert Path("/proc/self/mounts").read_text() == mounted


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Give a sandbox whose command notes the signals that it gets, and ends at the first one."""
    script = tmp_path / "command"
    script.write_text(
        "trap 'echo INT >>got; exit 3' INT; trap 'echo TERM >>got; exit 4' TERM\n"
        f"touch ready; while :; do sleep 0.05; done # {tmp_path}\n"
    )
    sandbox = subprocess.Popen([SANDBOX, "bash", script], cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 30
    while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    yield sandbox
    sandbox.terminate()
    sandbox.wait(20)


def test_exit_code_passes_through() -> None:
    assert run("bash", "-c", "exit 42").returncode == 42
    assert run("--", "false").returncode == 1
    assert run("bash", "-c", "kill -9 $$").returncode == 128 + 9


def test_command_that_is_none_is_said() -> None:
    done = run("no-such-program")
    assert done.returncode == 127
    assert "no-such-program" in done.stderr


def test_standard_input_passes_through() -> None:
    assert run("cat", given="one\ntwo\n").stdout == "one\ntwo\n"


def test_bus_is_private_and_starts_polkit() -> None:
    names = output("busctl", "list", "--no-legend", "--acquired")
    assert {line.split()[0] for line in names.splitlines()} == {"org.freedesktop.DBus"}
    script = "pkcheck -a org.freedesktop.policykit.exec -p $$"
    assert run("bash", "-c", script).returncode == 0  # root may
    other = ("setpriv", "--reuid=nobody", "--clear-groups", "bash", "-c", script)
    assert run(*other).returncode == 2  # would have to authenticate


def test_pool_and_network_are_active() -> None:
    script = "virsh pool-info default; virsh net-info default; stat -c %a /var/lib/libvirt/images"
    lines = [" ".join(line.split()) for line in output("bash", "-c", script).splitlines()]
    assert {"State: running", "Active: yes", "711"} <= set(lines)
    assert [line for line in lines if line.startswith("Autostart")] == ["Autostart: yes"] * 2


def test_volume_is_made_in_the_sandbox_only() -> None:
    script = "virsh vol-create-as default sandbox-test 1M && ls /var/lib/libvirt/images"
    assert "sandbox-test" in output("bash", "-c", script).splitlines()
    assert not Path("/var/lib/libvirt/images/sandbox-test").exists()


def test_machine_is_unchanged() -> None:
    before = machine()
    output("bash", "-c", "virsh net-dumpxml default; touch /var/lib/xen2kvmd/x /run/x")
    assert machine() == before


def test_shell_greets_and_takes_commands() -> None:
    done = run(given="echo $((6 * 7)) $debian_chroot; exit 5\n")
    assert done.returncode == 5
    assert "42 xen2kvm" in done.stdout
    assert "sandbox" in done.stderr


def test_sigterm_reaches_the_command_once(running: subprocess.Popen[bytes], tmp_path: Path) -> None:
    running.terminate()
    assert running.wait(20) == 4
    assert (tmp_path / "got").read_text() == "TERM\n"
    assert not processes_of(str(tmp_path))


def test_killed_sandbox_is_tidied_up_by_the_next(
    running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    running.kill()
    running.wait()
    deadline = time.monotonic() + 10
    while processes_of(str(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not processes_of(str(tmp_path))
    assert abandoned()
    output("true")


def test_terminal_is_the_commands_and_ctrl_c_comes_once(tmp_path: Path) -> None:
    code = (
        "import os, signal, time\n"
        "assert os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()\n"
        "got = []\n"
        "signal.signal(signal.SIGINT, lambda *_: got.append(1))\n"
        "print('ready', flush=True)\n"
        "end = time.monotonic() + 1.5\n"
        "while time.monotonic() < end: time.sleep(0.1)\n"
        "print('times', len(got), flush=True)\n"
        "raise SystemExit(6)\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(SANDBOX, [SANDBOX, "python3", "-c", code])
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    while not seen.endswith(b"\n") or b"times" not in seen:
        seen += os.read(terminal, 1000)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 6
    assert b"times 1" in seen


def test_ctrl_c_while_starting_leaves_nothing() -> None:
    for delay in (0.05, 0.15, 0.25):
        sandbox = subprocess.Popen([SANDBOX, "sleep", "60"], start_new_session=True)
        time.sleep(delay)
        os.killpg(sandbox.pid, signal.SIGINT)
        assert sandbox.wait(20) in (128 + signal.SIGINT, -signal.SIGINT)


def test_two_at_once_do_not_meet(running: subprocess.Popen[bytes]) -> None:
    script = "virsh vol-list default; ls /proc | grep -c '^[0-9]'; ip -o link show virbr0"
    assert "virbr0" in output("bash", "-c", script)
    assert running.poll() is None
