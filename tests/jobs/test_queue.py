# SPDX-License-Identifier: GPL-2.0-or-later
"""The queue decides from the jobs there are, and from nothing else."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from xen2kvmd.jobs.queue import DAY, next_due, outdated, ready
from xen2kvmd.jobs.status import JobState, JobStatus, fold
from xen2kvmd.jobs.store import JobRecord, Store
from xen2kvmd.model import Limits

NOW = 1_000 * DAY
SHOWN = {field.name for field in fields(JobStatus)} - {"target"}  # which is an option here


def job(name: str, *, settled: Mapping[str, Any] = MappingProxyType({}), **more: Any) -> JobStatus:
    """Return a job that was asked for with a source and options, and what became of it."""
    asked = {key: more.pop(key) for key in ("operation", "source") if key in more}
    options = {key: more.pop(key) for key in list(more) if key not in SHOWN}
    record = JobRecord(
        id=name,
        operation=asked.get("operation", "migrate"),
        vm=name,
        source=asked.get("source", "libvirtxml:/x.xml"),
        target="",
        owner_uid=0,
        created_at=int(name.strip("abcdef") or "0"),
        spec=options,
    )
    return replace(record.status(settled), **more)


def begun(*jobs: JobStatus, running: tuple[str, ...] = (), **limits: int) -> list[str]:
    found = ready(jobs, running, Limits(**{"at_once": 9, **limits}), now=NOW)
    return [status.id for status in found]


def test_the_oldest_begin_first_and_the_rest_waits() -> None:
    assert begun(job("3"), job("1"), job("2"), at_once=2) == ["1", "2"]
    assert begun(job("3"), job("1"), job("2"), at_once=2, running=("1",)) == ["2"]


def test_a_higher_priority_passes() -> None:
    assert begun(job("1"), job("2", priority=5), job("3", priority=-1), at_once=2) == ["2", "1"]


def test_held_and_early_jobs_wait_and_let_others_pass() -> None:
    early = job("1", not_before=NOW + 1)
    due = job("3", not_before=NOW)
    assert begun(early, job("2", held=True), due, job("4")) == ["3", "4"]
    assert next_due([early, due, job("5", not_before=NOW + 9)], now=NOW) == NOW + 1
    assert next_due([job("1", not_before=NOW + 1, held=True)], now=NOW) == 0


def test_a_host_is_not_asked_for_more_than_it_shall_give() -> None:
    jobs = [
        job("1", source="xen+ssh://xen1/system"),
        job("2", source="xen+ssh://XEN1/system", operation="plan"),
        job("3", source="xen+ssh://xen2/system"),
        job("4"),
        job("5"),
        job("6", source="xen+ssh://xen1.:2222/system", operation="backup"),
        job("7", path_map=[{"old": "/d", "host": "ssh://root@xen1:22", "new": "/e"}]),
        job("8", path_map=[{"old": "/d", "host": "", "new": "/e"}]),
    ]
    assert begun(*jobs, source=1) == ["1", "3", "4", "5", "8"]
    assert begun(*jobs, source=1, running=("2",)) == ["3", "4", "5", "8"]
    assert begun(*jobs, source=1, running=("7",)) == ["3", "4", "5", "8"]


def test_a_target_is_not_written_to_by_more_than_it_shall_take() -> None:
    jobs = [job("1"), job("2", pool="default"), job("3", pool="fast"), job("4")]
    assert begun(*jobs, target=1) == ["1", "3"]
    assert begun(job("1", operation="plan"), job("2"), target=1) == ["1", "2"]
    assert begun(job("1"), job("2", target="qemu+ssh://kvm2/system"), target=1) == ["1", "2"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"pool": "fast"}, {"disk_pools": [["xvdb", "fast"]]}),
        ({}, {"pool": "fast", "disk_pools": [["xvdb", "default"]]}),
        ({"nfs_export": "nas1:/exports/vm"}, {"pool": "nfs-nas1-exports-vm"}),
        ({"directory": "/srv/kvm"}, {"directory": "/srv/../srv/kvm/"}),
        ({"directory": "/srv/kvm"}, {"operation": "restore", "directory": "/srv/kvm"}),
        ({"backup_disks": "/srv/old"}, {"operation": "backup", "backup_disks": "/srv/old"}),
        ({"backup_pool": "old", "target": "qemu+ssh://kvm2/system"}, {"pool": "old"}),
    ],
)
def test_all_targets_of_a_job_are_counted(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert begun(job("1", **one), job("2", **other), target=1) == ["1"]
    assert begun(job("1", **one), job("2", **other), target=1, running=("2",)) == []
    assert begun(job("1", **one), job("2", **other), target=2) == ["1", "2"]


def test_folder_counts_as_the_pool_that_has_it_once_a_job_has_told() -> None:
    """Also where that job is over, and where the folder is of another host."""
    there: dict[str, Any] = {"target": "qemu+ssh://root@kvm2/system"}
    told = {"type": "placed", "asked": "kvm2 /srv/kvm", "pool": "kvm2 fast"}
    folder = job("1", directory="/srv/kvm/", **there)
    pool, same = job("2", pool="fast", **there), job("3", directory="/srv/kvm", **there)
    other = job("4", directory="/srv/kvm")  # of this host
    assert begun(folder, pool, same, other, target=1) == ["1", "2", "4"]
    knowing = fold(folder, told)
    assert begun(knowing, pool, same, other, target=1) == ["1", "4"]
    assert begun(knowing, pool, same, other, target=1, running=("2",)) == ["4"]
    over = replace(knowing, state=JobState.SUCCEEDED)
    assert begun(over, pool, same, other, target=1) == ["2", "4"]
    both = job("5", directory="/srv/kvm", disk_pools=[["xvdb", "fast"]], **there)
    assert begun(over, both, target=1) == ["5"]  # it counts once


def test_what_the_youngest_job_told_of_a_folder_counts() -> None:
    told = {"type": "placed", "asked": "/srv/kvm", "pool": "fast"}
    earlier = fold(job("1", directory="/srv/kvm", state=JobState.FAILED), {**told, "pool": "slow"})
    later = fold(job("2", directory="/srv/kvm", state=JobState.FAILED), told)
    waiting = (job("3", directory="/srv/kvm"), job("4", pool="fast"), job("5", pool="slow"))
    assert begun(later, earlier, *waiting, target=1) == ["3", "5"]


def test_images_that_stay_where_they_are_take_no_pool() -> None:
    assert begun(job("1"), job("2", in_place=True), target=1) == ["1", "2"]


@pytest.mark.parametrize("operation", ["rollback", "finalize", "list-guests"])
def test_what_is_done_at_once_does_not_wait(operation: str) -> None:
    assert begun(job("1"), job("2", operation=operation), at_once=1, running=("1",)) == ["2"]


@pytest.mark.parametrize("operation", ["backup", "restore"])
def test_what_copies_disks_waits(operation: str) -> None:
    assert begun(job("1"), job("2", operation=operation), at_once=1, running=("1",)) == []


def test_finalize_waits_where_it_merges(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, in_place in (("1", True), ("2", False)):
        store.create(JobRecord(name, "migrate", name, "xen:///", "", 0, 7, {"in_place": in_place}))
        store.create(JobRecord(f"{name}0", "finalize", name, "", "", 0, 8, {"migration": name}))
    jobs = (job("3"), *(store.status(f"{name}0") for name in "12"))
    assert begun(*jobs, at_once=1, running=("3",)) == ["20"]


def over(name: str, age: int, **more: Any) -> JobStatus:
    given = {"state": JobState.FAILED, "finished_at": NOW - age * DAY, **more}
    return job(name, **given)


def forgotten(*jobs: JobStatus, **limits: int) -> list[str]:
    return [old.id for old in outdated(jobs, Limits(**limits), now=NOW)]


def test_the_oldest_that_are_over_are_forgotten() -> None:
    jobs = [over("1", 9), over("2", 2), over("3", 5), job("4")]
    assert forgotten(*jobs, kept=2) == ["1"]
    assert forgotten(*jobs, days=4) == ["3", "1"]
    assert forgotten(*jobs, kept=0, days=0) == []


def test_a_job_that_could_not_undo_all_is_kept() -> None:
    left = ({"id": "left-behind"},)
    jobs = [
        over("1", 9, findings=left),
        over("2", 8, findings=({"id": "resumed"},)),
        over("3", 7, state=JobState.INTERRUPTED, started_at=1),
        over("4", 6, state=JobState.INTERRUPTED),
        over("5", 5, state=JobState.CANCELLED, findings=left),
        over("6", 4, operation="finalize", state=JobState.SUCCEEDED, findings=left),
        over("7", 3, operation="plan", state=JobState.INTERRUPTED, started_at=1),
    ]
    assert forgotten(*jobs, days=1) == ["7", "6", "4", "2"]


def test_a_migration_is_kept_until_it_is_settled() -> None:
    open_one = over("1", 99, state=JobState.SUCCEEDED)
    settled = over("2", 99, state=JobState.SUCCEEDED, result={"settled": "finalize by job x"})
    assert forgotten(open_one, settled, days=1) == ["2"]
