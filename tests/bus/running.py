# SPDX-License-Identifier: GPL-2.0-or-later
"""A private system bus, real polkit on it, and the service in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
POLKITD = Path("/usr/lib/polkit-1/polkitd")

_BUS_CONF = """<busconfig>
  <type>system</type>
  <keep_umask/>
  <listen>unix:path={folder}/bus</listen>
  <auth>EXTERNAL</auth>
  {services}
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <include>/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf</include>
  <include>{checkout}/dbus/org.xen2kvm.Migrator1.conf</include>
</busconfig>
"""

# games may do all but what is asked of others' jobs; news may migrate db01 only; lp may migrate and
# name no path; uucp may use a credential; mail is a plain user. Rules as an administrator writes
# them.
_RULES = """
polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.xen2kvm.") != 0) return polkit.Result.NOT_HANDLED;
    if (action.lookup("vm") == "forbidden") return polkit.Result.NO;
    if (subject.user == "sys") return polkit.Result.NO;
    if (subject.user == "games" && !action.id.endsWith("-others")) return polkit.Result.YES;
    if (subject.user == "lp" && action.id == "org.xen2kvm.migrate") return polkit.Result.YES;
    if (subject.user == "uucp" && (action.lookup("path") || "").startsWith("credential:vm1"))
        return polkit.Result.YES;
    if (subject.user == "news" && action.id == "org.xen2kvm.migrate-paths"
        && action.lookup("path") == "/srv/xen/web1.xml"
        && action.lookup("vm") == "db01" && action.lookup("operation") == "migrate"
        && action.lookup("source") == "libvirtxml:/srv/xen/web1.xml"
        && action.lookup("target") == "fast")
        return polkit.Result.YES;
    if (subject.user == "news" && action.lookup("operation") == "restore"
        && action.lookup("path") == "/srv/backup/web1")
        return polkit.Result.YES;
    if (subject.user == "news" && action.id == "org.xen2kvm.cancel-others"
        && action.lookup("job.owner") == "5" && action.lookup("job").startsWith("2026"))
        return polkit.Result.YES;
    return polkit.Result.NOT_HANDLED;
});
"""


# --- the bus --------------------------------------------------------------------------------------


@contextmanager
def running_bus(services: str = "") -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a bus with our policy; gives its address and process."""
    folder = Path(tempfile.mkdtemp(prefix="xen2kvm-bus."))
    folder.chmod(0o755)
    conf = folder / "bus.conf"
    conf.write_text(_BUS_CONF.format(folder=folder, checkout=CHECKOUT, services=services))
    process = subprocess.Popen(
        # It ends with us, and all that is connected to it with it, even when we are killed.
        [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "dbus-daemon",
            f"--config-file={conf}",
            "--nofork",
            "--nosyslog",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until((folder / "bus").exists)
        yield f"unix:path={folder}/bus", process
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


@contextmanager
def running_polkit(address: str, rules: str = _RULES, group: str = "") -> Iterator[None]:
    """Run polkitd with our actions and the rules above, in a mount namespace of its own.

    group is a line that /etc/group has there.
    """
    folder = Path(tempfile.mkdtemp(prefix="xen2kvm-polkit."))
    (folder / "actions").mkdir()
    (folder / "rules").mkdir()
    shutil.copy("/usr/share/polkit-1/actions/org.freedesktop.policykit.policy", folder / "actions")
    shutil.copy(CHECKOUT / "polkit/org.xen2kvm.policy", folder / "actions")
    (folder / "rules/10-test.rules").write_text(rules)
    (folder / "group").write_text(f"{Path('/etc/group').read_text()}{group}\n")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    script = (
        f"mount --bind {folder}/actions /usr/share/polkit-1/actions"
        f" && mount --bind {folder}/rules /etc/polkit-1/rules.d"
        f" && mount --bind {folder}/group /etc/group && exec {POLKITD}"
    )
    process = subprocess.Popen(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", script],
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: has_owner(address, "org.freedesktop.PolicyKit1"))
        yield
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def has_owner(address: str, name: str) -> bool:
    found = subprocess.run(
        ["busctl", f"--address={address}", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
         "org.freedesktop.DBus", "NameHasOwner", "s", name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.strip() == "b true"


def wait_until(claim: Callable[[], bool], *, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


# --- the service ----------------------------------------------------------------------------------


class Daemon:
    """The service in a process of its own, and what a test tells its jobs."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def tell(self, do: str, **order: object) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"do": do, **order}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def events(self, path: str, *events: Mapping[str, object]) -> None:
        self.tell("events", job=id_of(path), events=events)

    def end(self, path: str, state: str = "succeeded", **more: object) -> None:
        self.events(path, {"type": "ended", "state": state, **more})


def id_of(path: str) -> str:
    """Return the id that the test's jobs have given the job at a path."""
    name = path.rpartition("/")[2]
    return name.replace("_", "-") if name.startswith("2026") else name


@contextmanager
def running_daemon(
    address: str,
    library: str,
    *,
    wait: bool = True,
    program: Sequence[str] = ("tests.bus.daemon",),
    **environment: str,
) -> Iterator[Daemon]:
    """Run the service with the test's jobs, or another program of the tests."""
    with tempfile.NamedTemporaryFile("w+", prefix="xen2kvmd-log.") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *program],
            cwd=CHECKOUT,
            env={
                **os.environ,
                "DBUS_SYSTEM_BUS_ADDRESS": address,
                "XEN2KVM_DBUS_LIBRARY": library,
                **environment,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            if wait:
                wait_until(
                    lambda: (
                        has_owner(address, "org.xen2kvm.Migrator1") or process.poll() is not None
                    )
                )
            yield Daemon(process, Path(log.name))
        finally:
            process.kill()
            process.communicate()
            log.seek(0)
            sys.stderr.write(log.read())
