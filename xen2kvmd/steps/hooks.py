# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the administrator's own programs between the steps: /etc/xen2kvm/hooks.d/PHASE/NAME.

Described in xen2kvm-hooks(7). What a caller of the service asks for never names a program, but sets
that the administrator has made, in hook-sets.d/SET: whoever may migrate would be root.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cattrs

from xen2kvmd.errors import Cancelled, HookFailed, HookRefused
from xen2kvmd.jobs.step import Run, Step, nothing
from xen2kvmd.model import Finding, Request
from xen2kvmd.steps import context
from xen2kvmd.system import hooks
from xen2kvmd.system.hooks import Hook
from xen2kvmd.system.supervised import End, supervise

log = logging.getLogger(__name__)

FOLDER = Path("/etc/xen2kvm/hooks.d")
SETS = "hook-sets.d"  # beside it
SCHEMA = 1  # raised when a key changes its meaning or goes
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEPT = 500  # characters of a hook's last line that the report shows

FIRST, FAILED = "pre-migrate", "failed"

# Whether a failure fails the job: not where the guest runs already, or all is undone anyway.
PHASES = (
    (FIRST, True),
    ("post-shutdown", True),
    ("post-define", True),
    ("post-migrate", False),
    (FAILED, False),
)


def do(run: Run, phase: str, *, folder: Path = FOLDER) -> None:
    """Run the hooks of a phase, one after another in the order of their names.

    The first phase looks at the hooks of all: what would be refused after hours is refused now.
    Raises HookRefused, HookFailed if one fails whose failure counts, or Cancelled.
    """
    found = [hooks.find(each, PHASES) for each in folders(context.request(run), folder=folder)]
    if phase == FIRST:
        for path in (
            path for every in found for one in every.values() for path in one.not_executable
        ):
            run.finding(_not_executable(path))
    for hook in (hook for every in found for hook in every[phase].hooks):
        run.fraction(0.0, f"hook {hook.name}")
        _run(run, hook, error=None)


def undo(run: Run, *, folder: Path = FOLDER) -> None:
    """Run the hooks of the phase `failed`, after all later steps were undone."""
    for each in folders(context.request(run), folder=folder):
        for hook in hooks.find(each, PHASES)[FAILED].hooks:
            _run(run, hook, error=_error(run))


def folders(request: Request, *, folder: Path = FOLDER) -> Iterator[Path]:
    """Yield the folder of all jobs' hooks, then of each set asked for. Raises HookRefused."""
    yield folder
    sets = folder.with_name(SETS)
    for name in request.hooks:
        if not (sets / name).is_dir():
            known = sorted(path.name for path in sets.iterdir()) if sets.is_dir() else ()
            raise HookRefused(
                f"There is no set of hooks '{name}' in {sets}.",
                hint=f"Sets of this host: {', '.join(known) or 'none'}. See xen2kvm-hooks(7).",
            )
        yield sets / name


def hooks_step(phase: str, *, folder: Path = FOLDER) -> Step:
    """Return the step that runs the hooks of a phase; undoing the first runs `failed`."""
    back = partial(undo, folder=folder) if phase == FIRST else nothing
    return Step(phase, partial(do, phase=phase, folder=folder), back, weight=0)


def _run(run: Run, hook: Hook, *, error: Mapping[str, str] | None) -> None:
    said = ""

    def tell(line: str) -> None:
        nonlocal said
        said = line.strip() or said
        log.info("hook %s: %s", hook.name, line)

    log.info("hook %s begins; it has %g seconds", hook.name, hook.timeout)
    outcome = supervise(
        [str(hook.path)],
        stdin=json.dumps(message(run, hook.phase, error)).encode() + b"\n",
        environment=_environment(run, hook.phase),
        timeout=hook.timeout,
        # While all is undone, the wish to cancel is what brought us here.
        stopped=run.cancelled if error is None else lambda: False,
        tell=tell,
    )
    log.info("hook %s ended (%s), exit code %d", hook.name, outcome.end.value, outcome.code)
    if outcome.end is End.STOPPED:
        raise Cancelled(f"The job was cancelled in the hook {hook.name}.")
    if outcome.end is End.ITSELF and outcome.code == 0:
        return
    why = (
        f"was not done after {hook.timeout:g} seconds and was ended"
        if outcome.end is End.TIME
        else f"failed with exit code {outcome.code}"
    )
    text = f"The hook {hook.name} {why}."
    hint = f"Its output is in the log of the job; {hook.path} belongs to this host's administrator."
    if hook.required and error is None:
        raise HookFailed(text, hint=hint, said=said[:KEPT])
    run.finding(Finding("hook-failed", text, hint=hint, said=said[:KEPT]))


def message(run: Run, phase: str, error: Mapping[str, str] | None) -> dict[str, Any]:
    """Return what a hook is given as JSON; the keys are described in xen2kvm-hooks(7)."""
    request, plan = context.request(run), context.plan(run)
    return {
        "schema": SCHEMA,
        "phase": phase,
        "job": run.id,
        "folder": str(run.folder),
        "source": request.source,
        "vm": plan.source_name,
        "name": plan.name,
        "target": request.target,
        "pool": request.pool,
        "directory": request.directory,
        "disks": [
            {
                "dev": disk.source.dev,
                "source": disk.source.path,
                "source_format": disk.source.format,
                "parts": cattrs.unstructure(disk.source.parts),
                "size": disk.source.size,
                "target": disk.volume.path,
                "pool": disk.volume.pool,
                "format": disk.volume.format,
            }
            for disk in plan.disks
        ],
        "results": {
            event["key"]: event["value"]
            for event in run.journal.events
            if event["type"] == "result"
        },
        "error": error,
    }


def _error(run: Run) -> dict[str, str]:
    """Return why the job is undone, as its journal has it."""
    event = next(event for event in run.journal.events if event["type"] == "rollback")
    text, _, hint = event["error_message"].partition("\n")
    said = event.get("error_said", "")
    return {"name": event["error_name"], "message": text, "hint": hint, "said": said}


def _environment(run: Run, phase: str) -> dict[str, str]:
    """Return a hook's whole environment: it shall not depend on who started the service."""
    scratch = {"TMPDIR": os.environ["TMPDIR"]} if "TMPDIR" in os.environ else {}
    return {
        "PATH": PATH,
        "LC_ALL": "C.UTF-8",
        "XEN2KVM_JOB": run.id,
        "XEN2KVM_PHASE": phase,
    } | scratch


def _not_executable(path: Path) -> Finding:
    return Finding(
        "hook-not-executable",
        f"{path} is not executable and was not run.",
        hint=f"If it is a hook: chmod +x {path}",
    )
