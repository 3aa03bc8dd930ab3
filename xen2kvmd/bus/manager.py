# SPDX-License-Identifier: GPL-2.0-or-later
"""The Manager on the bus: begins jobs, finds them, converts domain XML."""

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from xen2kvmd import __version__
from xen2kvmd.bus import begin, key_descriptors, options, variants
from xen2kvmd.bus.begin import path_of
from xen2kvmd.bus.contract import MANAGER, ROOT
from xen2kvmd.bus.documents import Documents
from xen2kvmd.bus.feed import Feed
from xen2kvmd.bus.guest_name import check_told, label
from xen2kvmd.bus.host_paths import named_paths, told
from xen2kvmd.bus.job import Options
from xen2kvmd.bus.polkit import Action
from xen2kvmd.bus.registry import Registry
from xen2kvmd.bus.service import Call, Guarded, Handler
from xen2kvmd.bus.source_uri import check_source, public
from xen2kvmd.bus.values import MAX_DOCUMENT, backup_name, domain_name, full_path
from xen2kvmd.domain import SourceDomain
from xen2kvmd.errors import Busy, InvalidXml, JobNotFound, NotSettled, Unsupported, VmNotFound
from xen2kvmd.jobs.queue import is_needed
from xen2kvmd.jobs.status import JobState, JobStatus
from xen2kvmd.model import DiskKey, Operation, Request, Restoration, Target
from xen2kvmd.sources import FORMATS
from xen2kvmd.targets import check_target_host
from xen2kvmd.targets.backups import check_backup

LISTED = 1000  # jobs, unless the caller wants more: the reply to 10,000 takes long to write

FEATURES = (
    "list-guests",
    "inspect",
    "plan",
    "migrate",
    "rollback",
    "finalize",
    "backup",
    "restore",
    "hold",
    "priority",
    "reload",
    "job-token",
    "key-descriptors",
    *(f"convert:{name}" for name in FORMATS),
)

# What guards a job, and what guards one that was given a path of this host.
_ACTIONS = {
    Operation.GUESTS: (Action.INSPECT, Action.INSPECT_PATHS),
    Operation.INSPECT: (Action.INSPECT, Action.INSPECT_PATHS),
    Operation.PLAN: (Action.INSPECT, Action.INSPECT_PATHS),
    Operation.MIGRATE: (Action.MIGRATE, Action.MIGRATE_PATHS),
    Operation.BACKUP: (Action.MIGRATE, Action.MIGRATE_PATHS),
}


class Manager:
    """The object at the root."""

    path = ROOT
    interface = MANAGER
    setters: Mapping[str, Handler] = {}

    def __init__(
        self, jobs: Registry, feed: Feed, *, max_active: int, reload: Callable[[], Awaitable[None]]
    ) -> None:
        self._jobs = jobs
        self._feed = feed
        self._max_active = max_active
        self._reload_config = reload
        self._documents = Documents()
        self.handlers: Mapping[str, Handler] = {
            "ListGuests": self._list_guests,
            "Inspect": self._inspect,
            "Plan": self._plan,
            "Migrate": self._migrate,
            "Backup": self._backup,
            "Restore": self._restore,
            "ConvertXml": self._convert_xml,
            "ListJobs": self._list_jobs,
            "GetJob": self._get_job,
            "CancelJob": self._cancel_job,
            "PruneJobs": self._prune_jobs,
            "Reload": self._reload,
        }

    def properties(self) -> Mapping[str, object]:
        return {
            "Version": __version__,
            "Features": list(FEATURES),
            "ActiveJobs": self._feed.active,
            "MaxActiveJobs": self._max_active,
        }

    # --- jobs begin -------------------------------------------------------------------------------

    async def _list_guests(self, call: Call, source: str, given: Options) -> Guarded:
        return await self._start(call, Operation.GUESTS, source=source, vm="", given=given)

    async def _inspect(self, call: Call, source: str, vm: str, given: Options) -> Guarded:
        return await self._start(call, Operation.INSPECT, source=source, vm=vm, given=given)

    async def _plan(self, call: Call, source: str, vm: str, given: Options) -> Guarded:
        return await self._start(call, Operation.PLAN, source=source, vm=vm, given=given)

    async def _migrate(self, call: Call, source: str, vm: str, given: Options) -> Guarded:
        return await self._start(call, Operation.MIGRATE, source=source, vm=vm, given=given)

    async def _backup(
        self, call: Call, source: str, vm: str, folder: str, given: Options
    ) -> Guarded:
        in_folder = folder or "pool" not in given
        place = {"backup_disks": full_path("folder", folder)} if in_folder else {}
        return await self._start(call, Operation.BACKUP, source=source, vm=vm, given=given, **place)

    async def _start(
        self,
        call: Call,
        operation: Operation,
        *,
        source: str,
        vm: str,
        given: Options,
        **fields: Any,
    ) -> Guarded:
        asked = begin.read(call, given)
        check_source(source)
        kept = tuple(DiskKey(key.selector, file=key.name) for key in asked.handed)
        values = {**asked.values, "keys": (*asked.values.get("keys", ()), *kept)}
        request = Request(operation, source, domain_name(vm), **values, **fields)
        check_told(request, uid=call.uid)
        check_target_host(request)
        check_backup(request)
        secrets = key_descriptors.read(call.brought, asked.handed)
        described = await self._described(request, uid=call.uid)
        about = {
            "vm": described.name if described else label(request),
            "source": public(source),
            "target": _target(request),
            "operation": str(operation),
        }
        paths = tuple(named_paths(request, described))

        async def do() -> list[Any]:
            return await begin.begin(
                self._jobs, call, request, token=asked.token, about=about, secrets=secrets
            )

        action = _ACTIONS[operation][bool(paths)]
        details = {**about, "path": told(paths)} if paths else about
        replaces = request.overwrite and operation is Operation.MIGRATE
        also = (Action.OVERWRITE,) if replaces else ()
        return Guarded(action, do, details, quiet=asked.quiet, also=also)

    async def _described(self, request: Request, *, uid: int) -> SourceDomain | None:
        """Return the guest that the caller's document describes, if there is one.

        It is read here, so that one that cannot be migrated is refused before a job is made.
        """
        if not request.document:
            return None
        found = await self._documents.describe(request, uid=uid)
        if request.vm not in ("", found.name):  # polkit's rules decide by the name: it is true
            raise VmNotFound(
                f"The document describes the guest '{found.name}', not '{request.vm}'."
            )
        return found

    def _restore(self, call: Call, backup: str, given: Options) -> Guarded:
        asked = begin.read(call, given)
        read = backup_name if asked.values.get("backup_pool") else full_path
        spec = Restoration(Operation.RESTORE, read("backup", backup), **asked.values)
        where = f"{spec.backup_pool}/{backup}" if spec.backup_pool else backup
        about = {
            "vm": "",
            "source": f"backup:{where}",
            "target": spec.directory,
            "operation": str(Operation.RESTORE),
        }

        async def do() -> list[Any]:
            return await begin.begin(self._jobs, call, spec, token=asked.token, about=about)

        details = {**about, "path": told(tuple(filter(None, (where, spec.directory))))}
        return Guarded(Action.MIGRATE_PATHS, do, details, quiet=asked.quiet)

    # --- jobs there are ---------------------------------------------------------------------------

    def _list_jobs(self, call: Call, given: Options) -> Guarded:
        values = options.read(call.member, given)
        states = values.get("state") or tuple(JobState)
        owner, operation = values.get("owner"), values.get("operation")

        def fits(job: JobStatus) -> bool:
            return (
                job.state in states
                and owner in (None, job.owner_uid)
                and operation in (None, job.operation)
            )

        async def do() -> list[Any]:
            jobs = sorted(filter(fits, self._jobs.all()), key=lambda job: job.created_at)
            if limit := values.get("limit", LISTED):
                jobs = jobs[-limit:]
            return [
                [
                    [path_of(job.id), job.id, job.operation, job.vm, job.state, job.progress]
                    for job in jobs
                ]
            ]

        return Guarded(Action.NONE, do)

    def _get_job(self, _call: Call, job_id: str) -> Guarded:
        async def do() -> list[Any]:
            return [self._feed.object(job_id).path]

        return Guarded(Action.NONE, do)

    def _cancel_job(self, call: Call, job_id: str, given: Options) -> Guarded:
        return self._feed.object(job_id).cancel(call, given)

    def _prune_jobs(self, call: Call, given: Options) -> Guarded:
        values = options.read(call.member, given)

        async def do() -> list[Any]:
            before = time.time_ns() // 1000 - values.get("older-than", 0) * 1_000_000
            states = values.get("states") or tuple(JobState)
            old = [
                job.id
                for job in self._jobs.all()
                if job.state.final
                and job.finished_at <= before
                and job.state in states
                and not is_needed(job)
            ]
            for job_id in old:
                with suppress(JobNotFound, Busy, NotSettled):  # somebody else was faster
                    await self._jobs.remove(job_id)
            return [len(old)]

        quiet = values.get("auth.no_user_interaction", False)
        return Guarded(Action.MANAGE_JOBS, do, {"operation": "prune"}, quiet=quiet)

    def _reload(self, call: Call, given: Options) -> Guarded:
        quiet = options.read(call.member, given).get("auth.no_user_interaction", False)

        async def do() -> list[Any]:
            await self._reload_config()
            return []

        return Guarded(Action.MANAGE_JOBS, do, {"operation": "reload"}, quiet=quiet)

    # --- without a job ----------------------------------------------------------------------------

    def _convert_xml(self, call: Call, form: str, config: str, given: Options) -> Guarded:
        values = dict(options.read(call.member, given))
        quiet = values.pop("auth.no_user_interaction", False)
        if form not in FORMATS:
            raise Unsupported(
                f"The format '{form[:64]}' is not one that can be converted.",
                hint=f"It is {' or '.join(FORMATS)}.",
            )
        if len(config.encode("utf-8", "replace")) > MAX_DOCUMENT:
            raise InvalidXml(f"The document is longer than {MAX_DOCUMENT} bytes.")
        target = Target(**values)

        async def do() -> list[Any]:
            domain_xml, findings = await self._documents.convert(form, config, target, uid=call.uid)
            return [domain_xml, variants.findings(findings)]

        return Guarded(Action.CONVERT, do, {"operation": "convert"}, quiet=quiet)


def _target(request: Request) -> str:
    """Return where the disks go, as far as the call tells it.

    Several places are told in words that no rule of polkit's for one pool matches.
    """
    if request.operation is Operation.BACKUP:
        return request.backup_disks or request.backup_pool
    host = public(request.target)
    place = request.directory or request.nfs_export or request.pool
    if not (request.disk_pools or request.backup_pool):
        return f"{host} {place}".strip()
    first = place or ("" if request.in_place else "default")
    pools = (f"{host} {pool}".strip() for pool in (first, *dict(request.disk_pools).values()))
    places = dict.fromkeys(filter(None, (*pools, request.backup_pool)))
    return told(tuple(places), are="places")
