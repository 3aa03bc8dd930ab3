# SPDX-License-Identifier: GPL-2.0-or-later
"""A job on the bus."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from xen2kvmd.bus import begin, options, variants
from xen2kvmd.bus.begin import path_of
from xen2kvmd.bus.callers import Callers
from xen2kvmd.bus.contract import JOB
from xen2kvmd.bus.library import Variant
from xen2kvmd.bus.polkit import Action
from xen2kvmd.bus.registry import Registry
from xen2kvmd.bus.service import Call, Guarded
from xen2kvmd.domain import masked
from xen2kvmd.errors import AlreadySettled, InvalidOption, NotFinished
from xen2kvmd.jobs.status import JobState, JobStatus
from xen2kvmd.model import Operation, ReportFormat, Settlement

MAX_PRIORITY = 1000
MAX_LINES = 1000  # of a log, in one reply
_INFO = 6  # syslog's priority of a line that names none

Options = Mapping[str, Variant]


class JobObject:
    """Shows a status, and does what is asked of its job."""

    interface = JOB
    setters: Mapping[str, Callable[..., Guarded]] = {}

    def __init__(self, status: JobStatus, jobs: Registry, callers: Callers) -> None:
        self.status = status
        self.path = path_of(status.id)
        self.ended = asyncio.Event()
        self._jobs = jobs
        self._callers = callers
        self.handlers: Mapping[str, Callable[..., Guarded]] = {
            "Cancel": self.cancel,
            "Remove": self.remove,
            "Hold": partial(self._hold, held=True),
            "Release": partial(self._hold, held=False),
            "SetPriority": self._set_priority,
            "Rollback": partial(self._settle, operation=Operation.ROLLBACK),
            "Finalize": partial(self._settle, operation=Operation.FINALIZE),
            "Wait": self._wait,
            "GetLog": self._get_log,
            "GetPlan": self._get_plan,
            "GetReport": self._get_report,
        }

    def properties(self) -> Mapping[str, object]:
        return properties(self.status)

    def cancel(self, call: Call, given: Options) -> Guarded:
        async def do() -> list[Any]:
            await self._jobs.cancel(self.status.id)
            return []

        return self._guarded(call, given, own=Action.CANCEL, others=Action.CANCEL_OTHERS, do=do)

    def remove(self, call: Call, given: Options) -> Guarded:
        force = options.read(call.member, given).get("force", False)

        async def do() -> list[Any]:
            await self._jobs.remove(self.status.id, force=force)
            return []

        return self._guarded(call, given, own=Action.CANCEL, others=Action.MANAGE_JOBS, do=do)

    def _hold(self, call: Call, given: Options, *, held: bool) -> Guarded:
        """Hold or release the job; what somebody else holds, its owner may not release."""
        status = self.status
        owners = not status.held or status.held_by in (-1, status.owner_uid)

        async def do() -> list[Any]:
            await self._jobs.arrange(status.id, held=held, held_by=call.uid)
            return []

        own = Action.CANCEL if owners else Action.MANAGE_JOBS
        return self._guarded(call, given, own=own, others=Action.MANAGE_JOBS, do=do)

    def _set_priority(self, call: Call, priority: int, given: Options) -> Guarded:
        """Change the priority. To raise it, or set one above 0, the owner needs a further right."""
        if abs(priority) > MAX_PRIORITY:
            raise InvalidOption(f"A priority goes from {-MAX_PRIORITY} to {MAX_PRIORITY}.")

        async def do() -> list[Any]:
            await self._jobs.arrange(self.status.id, priority=priority)
            return []

        lower = priority <= min(0, self.status.priority)
        own = Action.CANCEL if lower else Action.MANAGE_JOBS
        return self._guarded(call, given, own=own, others=Action.MANAGE_JOBS, do=do)

    def _settle(self, call: Call, given: Options, *, operation: Operation) -> Guarded:
        """Begin a job that goes back on this migration, or accepts it."""
        asked = begin.read(call, given)
        spec = Settlement(operation, self.status.id, **asked.values)
        about = self._about() | {"operation": str(operation)}

        async def do() -> list[Any]:
            self._check_succeeded()
            return await begin.begin(self._jobs, call, spec, token=asked.token, about=about)

        action = Action.ROLLBACK if operation is Operation.ROLLBACK else Action.FINALIZE
        return Guarded(action, do, about, quiet=asked.quiet)

    def _check_succeeded(self) -> None:
        status = self.status
        if status.operation != Operation.MIGRATE or status.state is not JobState.SUCCEEDED:
            raise NotFinished(
                f"The job {status.id} is no migration that has succeeded.",
                hint="One that failed has undone what it did; one that runs can be cancelled.",
            )
        if settled := status.result.get("settled"):
            raise AlreadySettled(f"The migration {status.id} is settled: {settled}.")

    def _wait(self, call: Call, given: Options) -> Guarded:
        options.read(call.member, given)

        async def do() -> list[Any]:
            await self._callers.while_there(call.sender, self.ended.wait())
            return [self.status.state, self.status.error_name, self.status.error_message]

        return Guarded(Action.NONE, do)

    def _get_log(self, call: Call, after: int, max_lines: int, given: Options) -> Guarded:
        async def do() -> list[Any]:
            most = min(max_lines or MAX_LINES, MAX_LINES)
            lines, at = await self._jobs.log_lines(self.status.id, after, most)
            return [[_line(line) for line in lines], at]

        return self._readable(call, given, do)

    def _get_plan(self, call: Call, given: Options) -> Guarded:
        async def do() -> list[Any]:
            text = await self._jobs.file(self.status.id, "plan.json")
            return [await asyncio.to_thread(_without_passwords, text)]

        return self._readable(call, given, do)

    def _get_report(self, call: Call, given: Options) -> Guarded:
        form = options.read(call.member, given).get("report-format", ReportFormat.JSON)
        return self._readable(call, given, lambda: self._file(f"report.{form}"))

    async def _file(self, name: str) -> list[Any]:
        return [await self._jobs.file(self.status.id, name)]

    def _readable(
        self, call: Call, given: Options, do: Callable[[], Awaitable[list[Any]]]
    ) -> Guarded:
        return self._guarded(call, given, own=Action.OWNER, others=Action.READ_LOG_OTHERS, do=do)

    def _guarded(
        self,
        call: Call,
        given: Options,
        *,
        own: Action,
        others: Action,
        do: Callable[[], Awaitable[list[Any]]],
    ) -> Guarded:
        values = options.read(call.member, given)
        action = own if call.uid == self.status.owner_uid else others
        quiet = values.get("auth.no_user_interaction", False)
        return Guarded(action, do, self._about(), quiet=quiet)

    def _about(self) -> dict[str, str]:
        """Return what polkit's rules and dialogs know of the job."""
        return {
            "vm": self.status.vm,
            "source": self.status.source,
            "target": self.status.target,
            "operation": self.status.operation,
            "job": self.status.id,
            "job.owner": str(self.status.owner_uid),
        }


def _without_passwords(text: str) -> str:
    """Mask what opens the guest's display: who may plan may not have what root alone can read."""
    if "passwd" not in text:
        return text
    plan = json.loads(text)
    plan["domain_xml"] = masked(plan["domain_xml"])
    return json.dumps(plan, indent=1) + "\n"


def properties(status: JobStatus) -> dict[str, object]:
    """Return the values of the Job interface's properties."""
    return {
        "Id": status.id,
        "Operation": status.operation,
        "Vm": status.vm,
        "Source": status.source,
        "Target": status.target,
        "OwnerUid": status.owner_uid,
        "CreatedAt": variants.unsigned(status.created_at),
        "Priority": status.priority,
        "NotBefore": variants.unsigned(status.not_before),
        "Held": status.held,
        "State": str(status.state),
        "Phase": status.step,
        "Activity": status.activity,
        "Progress": round(float(status.progress), 3),  # less than that is no news
        "ProgressValid": status.progress_valid,
        "BytesDone": variants.unsigned(status.bytes_done),
        "BytesTotal": variants.unsigned(status.bytes_total),
        "Rate": variants.unsigned(status.rate),
        "StartedAt": variants.unsigned(status.started_at),
        "FinishedAt": variants.unsigned(status.finished_at),
        "ExpectedEndTime": variants.unsigned(status.expected_end_at),
        "Cancellable": status.cancellable,
        "ErrorName": status.error_name,
        "ErrorMessage": status.error_message,
        "Findings": variants.findings(status.findings),
        "Result": variants.strings(status.result),
    }


def _line(line: str) -> list[Any]:
    """Return a line of a log as (usec, priority, text)."""
    time, _, rest = line.partition(" ")
    priority, _, text = rest.partition(" ")
    if not (time.isdecimal() and priority.isdecimal()):
        return [0, _INFO, line]
    return [variants.unsigned(int(time)), min(int(priority), 7), text]
