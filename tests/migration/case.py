# SPDX-License-Identifier: GPL-2.0-or-later
"""A migration that can be had again and again at some of its stages.

A guest of a libvirt that runs comes in the place of a domain with a disk, and its own disk is
backed up: every step has something to undo. The steps that start an appliance are done once, and
what is there then is kept; workers of the test, and not of the service, go on from there.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.migration.cut import STOP
from tests.migration.sandbox import CHECKOUT, Sandbox
from tests.migration.test_undo import JOBS
from tests.migration.xenhost import HOST_DOWN, HOST_UP, URI, shell
from xen2kvmd.jobs.process import EX_TEMPFAIL
from xen2kvmd.jobs.store import JobRecord
from xen2kvmd.model import Operation, Settlement

NOW, KEPT, IMAGES = "/srv/now", "/srv/kept", "/var/lib/libvirt/images"
OLD = f"""
<domain type='qemu'>
  <name>tiny1</name> <uuid>6d1f6a52-2b5c-4a2e-9d4c-8f8c8c6a1c11</uuid>
  <memory>65536</memory>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file'>
      <driver name='qemu' type='qcow2'/>
      <source file='{IMAGES}/tiny1-vda.qcow2'/> <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
"""
# Of the stage $1 there is NAME.xml and NAME.qcow2 of the domain $2; the source has the state $3.
RESTORE = f"""
set -e
rm -rf {NOW} {IMAGES}/* {IMAGES}/.tiny1*
cp -a --sparse=always {KEPT}/$1 {NOW}
for undo in destroy undefine; do virsh $undo tiny1 || true; done
cp -a --sparse=always {KEPT}/$2.qcow2 {IMAGES}/tiny1-vda.qcow2
virsh define {KEPT}/$2.xml
virsh autostart tiny1
virsh pool-refresh default
[ $2 = old ] || virsh start tiny1
virsh -c {URI} $3 tiny1 || true
virsh -c {URI} autostart tiny1
"""
# Keep the domain as it is, and what its job left, as a stage.
KEEP_NEW = f"""
set -e
virsh destroy tiny1
virsh dumpxml --inactive tiny1 >{KEPT}/new.xml
cp -a --sparse=always {IMAGES}/tiny1-vda.qcow2 {KEPT}/new.qcow2
cp -a --sparse=always {NOW} {KEPT}/migrated
"""
# All that a migration may change, but for its job's folder.
WORLD = f"""
cd /
find {IMAGES} {NOW}/backups {NOW}/disks -type f -printf '%p %s %T@\\n' | sort
virsh list --all; virsh dumpxml tiny1 | sort; virsh dominfo tiny1 | grep Autostart
virsh pool-list --all; virsh vol-list default
virsh -c {URI} domstate tiny1; virsh -c {URI} dominfo tiny1 | grep Autostart
cut -d' ' -f2 /proc/self/mounts
"""


class Case:
    """The migration `job`, in the folder NOW, and the world that it found."""

    def __init__(self, sandbox: Sandbox, guest: Path) -> None:
        self.sandbox = sandbox
        self.job = ""
        shell(sandbox, HOST_UP, str(guest / "guest.xml"))
        shell(sandbox, f"mkdir -p {KEPT}/begun/{{jobs,backups,disks}} {NOW}/disks")
        shell(
            sandbox, f'qemu-img create -f qcow2 {KEPT}/old.qcow2 1M; echo "$1" >{KEPT}/old.xml', OLD
        )
        begun = sandbox.run(
            *("xen2kvm", "migrate", "--detach", "--hold", "--no-verify", "--overwrite"),
            *("--network", "default", "--backup-disks", f"{NOW}/disks", "-c", URI, "tiny1"),
        )
        assert begun.code == 0, begun.err
        self.job = begun.out.strip()
        shell(sandbox, f"cp -a {JOBS}/{self.job} {KEPT}/begun/jobs")
        assert sandbox.run("xen2kvm", "cancel", self.job).code == 0

        self.restore("begun", "old", "start")
        self.before = self.world()
        self._reach("inspect", "inspected")
        self._reach("plan", "planned")
        self._reach("convert", "converted")
        self.restore("converted", "old", "destroy")
        assert (self.work(self.job), self.state(self.job)) == (0, "succeeded"), self.log()
        shell(sandbox, KEEP_NEW)

    def close(self) -> None:
        self.sandbox.run("virsh", "destroy", "tiny1")
        shell(self.sandbox, f"virsh undefine tiny1; rm -rf {IMAGES}/* {NOW} {KEPT}")
        shell(self.sandbox, HOST_DOWN)

    def _reach(self, step: str, stage: str) -> None:
        """Do the steps up to this one, and keep what is there then; who goes on is the first."""
        assert self.work(self.job, STOP, step) == EX_TEMPFAIL, self.log()
        journal = f"{NOW}/jobs/{self.job}/journal"
        shell(self.sandbox, f"""sed -i '/"type": "started"/d' {journal}""")
        shell(self.sandbox, f"cp -a --sparse=always {NOW} {KEPT}/{stage}")

    def restore(self, stage: str, domain: str, source: str) -> None:
        """Let all be as it was at a stage; the source gets a command of virsh."""
        shell(self.sandbox, RESTORE, stage, domain, source)

    def let_resume(self) -> None:
        """Let the migration be one that goes on if its process dies."""
        record = f"{NOW}/jobs/{self.job}/job.json"
        shell(self.sandbox, f"""sed -i 's/"resume": false/"resume": true/' {record}""")

    def settle(self, operation: Operation) -> str:
        """Return a new job that goes back on the migration, or accepts it."""
        asked = Settlement(
            operation, self.job, shutdown_timeout=1, remove_target=True, remove_backup=True
        )
        folder = f"{NOW}/jobs/settle{len(self.sandbox.run('ls', f'{NOW}/jobs').out.split())}"
        record = JobRecord(
            id=folder.rpartition("/")[2], operation=operation, vm="tiny1", source=URI, target="",
            owner_uid=0, created_at=1, spec=asdict(asked),
        )  # fmt: skip
        text = json.dumps(asdict(record))
        shell(self.sandbox, f'mkdir {folder}; echo "$1" >{folder}/job.json', text)
        return record.id

    def work(self, job: str, *cut: str) -> int:
        """Run a worker to its end, or to where it is cut off."""
        program = (f"{CHECKOUT}/tests/migration/cut.py", *cut) if cut else ("-m", "xen2kvmd.job")
        where = ("--jobs", f"{NOW}/jobs", "--events", f"{NOW}/nobody")
        argv = ("env", f"PYTHONPATH={CHECKOUT}", "/usr/bin/python3", *program, job, *where)
        return self.sandbox.run(*argv).code

    def world(self) -> str:
        ended = self.sandbox.run("bash", "-c", WORLD)
        return ended.out + ended.err

    def log(self) -> str:
        return self.sandbox.run("sh", "-c", f"tail -30 {NOW}/jobs/*/log").out

    def events(self, job: str) -> list[Any]:
        journal = self.sandbox.run("cat", f"{NOW}/jobs/{job}/journal").out
        return [json.loads(line) for line in journal.splitlines()]

    def state(self, job: str) -> str:
        return str(self.events(job)[-1].get("state"))

    def findings(self, job: str) -> set[str]:
        events = self.events(job)
        return {event["finding"]["id"] for event in events if event["type"] == "finding"}
