# SPDX-License-Identifier: GPL-2.0-or-later
"""Hooks of jobs in real workers: what they are told, and what their failing does."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from xen2kvmd.jobs.status import JobState, JobStatus
from xen2kvmd.jobs.store import JobRecord, Store

CHECKOUT = Path(__file__).parents[2]
JOB = "20260101-abcdef"


class Lab:
    def __init__(self, folder: Path) -> None:
        self.hooks = folder / "hooks.d"
        self.out = folder / "out"
        self.store = Store(folder / "jobs")
        self.out.mkdir()
        self.process: subprocess.Popen[bytes] | None = None

    def hook(self, name: str, script: str) -> None:
        path = self.hooks / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\nout={self.out}\n{script}\n")
        path.chmod(0o755)

    def begin(self, name: str = "web1", *, sets: Sequence[str] = (), target: str = "") -> None:
        self.store.create(
            JobRecord(
                id=JOB, operation="migrate", vm="web1-xen", source="libvirtxml:/x",
                target="default", owner_uid=0, created_at=1,
                spec={"operation": "migrate", "source": "libvirtxml:/x", "name": name,
                      "pool": "default", "hooks": sets, "target": target},
            )
        )  # fmt: skip
        argv = [sys.executable, "-m", "tests.steps.hooked", JOB, "--jobs", str(self.store.folder)]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "TEST_HOOKS": str(self.hooks)}
        self.process = subprocess.Popen(
            [*argv, "--events", str(self.out / "events")], env=environment
        )

    def end(self) -> JobStatus:
        assert self.process
        assert self.process.wait(timeout=50) == 0
        return self.store.status(JOB)

    def run(self, name: str = "web1", *, sets: Sequence[str] = (), target: str = "") -> JobStatus:
        self.begin(name, sets=sets, target=target)
        return self.end()

    def wait_for(self, name: str) -> None:
        deadline = time.monotonic() + 50
        while not (self.out / name).exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def cancel(self) -> None:
        assert self.process
        (self.store.path(JOB) / "cancel").touch()
        self.process.terminate()

    def log(self) -> str:
        return (self.store.path(JOB) / "log").read_text()

    def made(self) -> bool:
        return (self.store.path(JOB) / "made").exists()

    def report(self) -> Any:
        return json.loads(self.store.text(JOB, "report.json"))

    def told(self, name: str) -> Any:
        return json.loads((self.out / name).read_text())


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_hook_is_told_of_the_job_and_its_output_is_in_the_log(lab: Lab) -> None:
    lab.hook("pre-migrate/10-first", "cat > $out/told; echo hello from $XEN2KVM_PHASE")
    status = lab.run()
    assert status.state is JobState.SUCCEEDED
    told = lab.told("told")
    assert told["disks"] == [
        {
            "dev": "xvda", "source": "/srv/a.img", "source_format": "raw", "parts": [],
            "size": 1 << 30,
            "target": "/images/web1.qcow2", "pool": "default", "format": "qcow2",
        }
    ]  # fmt: skip
    expected = {"schema": 1, "phase": "pre-migrate", "job": JOB, "vm": "web1-xen", "error": None}
    assert {key: told[key] for key in expected} == expected
    assert "hook pre-migrate/10-first: hello from pre-migrate" in lab.log()


def test_hook_is_told_of_another_target_host(lab: Lab) -> None:
    lab.hook("post-define/10-tell", "cat > $out/told")
    lab.run(target="qemu+ssh://root@kvm2/system")
    assert lab.told("told")["target"] == "qemu+ssh://root@kvm2/system"


def test_failing_hook_fails_the_job_and_all_is_undone(lab: Lab) -> None:
    lab.hook("post-define/10-no", "echo not today >&2; exit 7")
    lab.hook("failed/10-tell", "cat > $out/told")
    status = lab.run()
    assert (status.state, status.error_name) == (JobState.FAILED, "HookFailed")
    assert "post-define/10-no failed with exit code 7.\n" in status.error_message
    assert "not today" not in status.error_message  # everybody may read it
    assert lab.report()["error_said"] == "not today"
    assert not lab.made()
    told = lab.told("told")["error"]
    assert (told["name"], told["said"]) == ("HookFailed", "not today")


def test_hook_that_fails_when_the_guest_runs_is_a_finding(lab: Lab) -> None:
    lab.hook("post-migrate/10-no", "echo not today; exit 7")
    status = lab.run()
    assert (status.state, lab.made()) == (JobState.SUCCEEDED, True)
    (found,) = status.findings
    assert (found["id"], found["said"]) == ("hook-failed", "not today")
    assert "not today" not in found["message"]


def test_policy_is_set_by_the_settings(lab: Lab) -> None:
    lab.hook("pre-migrate/10-no", "exit 7")
    lab.hook("post-migrate/10-no", "exit 8")
    (lab.hooks / "hooks.conf").write_text(
        "[pre-migrate/10-no]\non-failure = warn\n[post-migrate]\non-failure = fail\n"
    )
    status = lab.run()
    assert [found["id"] for found in status.findings] == ["hook-failed"]
    assert "post-migrate/10-no failed with exit code 8" in status.error_message
    assert not lab.made()


def test_hook_over_its_time_is_ended_and_fails_the_job(lab: Lab) -> None:
    lab.hook("post-define/10-slow", "touch $out/begun; sleep 600")
    (lab.hooks / "hooks.conf").write_text("[post-define]\ntimeout = 1\n")
    status = lab.run()
    assert (lab.out / "begun").exists()
    assert "was not done after 1 seconds and was ended" in status.error_message
    assert (status.error_name, lab.made()) == ("HookFailed", False)


def test_cancel_in_a_hook_ends_it_and_undoes(lab: Lab) -> None:
    lab.hook("post-define/10-slow", "touch $out/begun; sleep 600")
    lab.hook("failed/10-tell", "cat > $out/told; sleep 0.5; touch $out/whole")
    lab.begin()
    lab.wait_for("begun")
    lab.cancel()
    status = lab.end()
    assert (status.state, lab.made()) == (JobState.CANCELLED, False)
    assert lab.told("told")["error"]["name"] == "Cancelled"
    assert (lab.out / "whole").exists()  # the hook for this very case is not ended by the cancel


def test_failed_hooks_come_after_undo_and_their_failing_is_a_finding(lab: Lab) -> None:
    lab.hook("failed/10-no", f"ls {lab.store.path(JOB)} > $out/listing; exit 1")
    status = lab.run("broken")
    assert status.error_name == "InvalidDisk"
    assert [found["id"] for found in status.findings] == ["hook-failed"]
    assert "made" not in (lab.out / "listing").read_text().split()


def test_unsafe_hook_of_a_late_phase_is_refused_before_anything_is_done(lab: Lab) -> None:
    lab.hook("pre-migrate/10-first", "touch $out/ran")
    lab.hook("post-migrate/10-open", "true")
    (lab.hooks / "post-migrate/10-open").chmod(0o777)
    status = lab.run()
    assert status.error_name == "HookRefused"
    assert not (lab.out / "ran").exists()


def test_hook_without_permission_to_run_is_a_finding(lab: Lab) -> None:
    lab.hook("post-define/10-off", "touch $out/ran")
    (lab.hooks / "post-define/10-off").chmod(0o644)
    status = lab.run()
    assert [found["id"] for found in status.findings] == ["hook-not-executable"]
    assert not (lab.out / "ran").exists()


def test_sets_that_are_asked_for_run_after_the_hooks_of_all(lab: Lab) -> None:
    lab.hook("pre-migrate/10-a", "echo all >>$out/order")
    for name in ("dns", "net", "other"):
        lab.hook(f"../hook-sets.d/{name}/pre-migrate/10-a", f"echo {name} >>$out/order")
    lab.hook("../hook-sets.d/net/failed/10-f", "touch $out/told")
    (lab.hooks / "../hook-sets.d/net/hooks.conf").write_text("[pre-migrate/10-a]\ntimeout = 9\n")
    status = lab.run("broken", sets=["net", "dns"])
    assert status.error_name == "InvalidDisk"
    assert (lab.out / "order").read_text().split() == ["all", "net", "dns"]
    assert "it has 9 seconds" in lab.log()
    assert (lab.out / "told").exists()


def test_set_that_is_not_there_is_told_before_anything_is_done(lab: Lab) -> None:
    lab.hook("../hook-sets.d/net/pre-migrate/10-a", "touch $out/run")
    status = lab.run(sets=["net", "dsn"])
    assert status.error_name == "HookRefused"
    assert "no set of hooks 'dsn'" in status.error_message
    assert "Sets of this host: net." in status.error_message
    assert not (lab.out / "run").exists()
    assert not lab.made()
