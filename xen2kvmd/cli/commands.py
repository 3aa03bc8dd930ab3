# SPDX-License-Identifier: GPL-2.0-or-later
"""What each command does: one call or two, and something to read."""

import argparse
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from xen2kvmd.cli import show
from xen2kvmd.cli.asked import backup_of, options_of, source_of
from xen2kvmd.cli.documents import decode, format_of, read_document, show_diff, write_document
from xen2kvmd.cli.exits import exit_code
from xen2kvmd.cli.follow import follow
from xen2kvmd.cli.service import CallFailed, Service, connected, job_path, plain, variants
from xen2kvmd.errors import InvalidOption

Arguments = argparse.Namespace


async def _start(service: Service, arguments: Arguments, member: str) -> str:
    """Start a job about the guest of the arguments; return its path."""
    source, guest, given = source_of(arguments)
    options = variants([*given, *options_of(arguments)])
    descriptors = [descriptor for _, descriptor in arguments.keys.handed]
    body = (source, guest, options)
    (path,) = await service.manager(member, "ssa{sv}", *body, descriptors=descriptors)
    return str(path)


async def _migrate(arguments: Arguments) -> int:
    async with connected(ask=arguments.ask_password) as service:
        path = await _start(service, arguments, "Migrate")
        # Who gives a digest has seen the plan.
        seen = arguments.json or arguments.plan_digest
        on_plan = None if seen else partial(_show_plan, service, path)
        return await _see_it_end(service, path, arguments, on_plan=on_plan)


async def _settle(arguments: Arguments, *, member: str) -> int:
    async with connected(ask=arguments.ask_password) as service:
        options = variants(options_of(arguments))
        (path,) = await service.job(job_path(arguments.job), member, "a{sv}", options)
        return await _see_it_end(service, path, arguments)


async def _backup(arguments: Arguments) -> int:
    async with connected(ask=arguments.ask_password) as service:
        source, guest, given = source_of(arguments)
        options = variants([*given, *options_of(arguments)])
        body = (source, guest, arguments.folder or "", options)
        (path,) = await service.manager("Backup", "sssa{sv}", *body)
        return await _see_it_end(service, path, arguments)


async def _restore(arguments: Arguments) -> int:
    async with connected(ask=arguments.ask_password) as service:
        options = variants(options_of(arguments))
        body = (backup_of(arguments), options)
        (path,) = await service.manager("Restore", "sa{sv}", *body)
        return await _see_it_end(service, path, arguments)


async def _see_it_end(
    service: Service,
    path: str,
    arguments: Arguments,
    *,
    on_plan: Callable[[], Awaitable[None]] | None = None,
) -> int:
    """Follow a job that was begun, and say how it ended; or print its id, with --detach."""
    if arguments.detach:
        job_id = (await service.properties(path))["Id"]
        if arguments.json:
            _print_json({"job": job_id})
        else:
            print(job_id)
        return 0
    end = await follow(service, path, as_json=arguments.json, on_plan=on_plan)
    if not arguments.json:
        show.end(end, await _report_of(service, path, end))
    return exit_code(end["ErrorName"])


async def _report_of(service: Service, path: str, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the report of a job with news, where the caller may read it without a password."""
    if job["FinishedAt"] and (job["ErrorName"] or job["Findings"]):
        options = variants([("auth.no_user_interaction", "b", True)])
        with suppress(CallFailed):
            (text,) = await service.job(path, "GetReport", "a{sv}", options)
            return dict(plain(json.loads(text)))
    return show.NO_REPORT


async def _show_plan(service: Service, path: str) -> None:
    """Show the plan of a migration that goes on."""
    (text,) = await service.job(path, "GetPlan", "a{sv}", {})
    show.plan(plain(json.loads(text)), diffs=False)
    print(flush=True)


async def _plan(arguments: Arguments) -> int:
    async with connected(ask=arguments.ask_password) as service:
        path = await _start(service, arguments, "Plan")
        end = await follow(service, path, as_json=False, quiet=arguments.json)
        if end["ErrorName"]:
            show.end(end, as_json=arguments.json)
            return exit_code(end["ErrorName"])
        (text,) = await service.job(path, "GetPlan", "a{sv}", {})
        plan = plain(json.loads(text))
        if arguments.json:
            _print_json(plan)
        else:
            show.plan(plan, diffs=not arguments.no_diff)
            show.digest(plan)
        blocked = any(finding["severity"] == "blocker" for finding in plan["findings"])
        return exit_code("Blocked" if blocked else "")


async def _guests(arguments: Arguments) -> int:
    async with connected(ask=arguments.ask_password) as service:
        (path,) = await service.manager("ListGuests", "sa{sv}", arguments.connect, {})
        end = await follow(service, path, as_json=False, quiet=True)
        if end["ErrorName"]:
            show.end(end, as_json=arguments.json)
            return exit_code(end["ErrorName"])
        (text,) = await service.job(path, "GetReport", "a{sv}", {})
        found = plain(json.loads(text))["made"]["guests"]
        if arguments.json:
            _print_json(found)
        else:
            show.guests(found)
        return 0


async def _inspect(arguments: Arguments) -> int:
    async with connected(ask=arguments.ask_password) as service:
        path = await _start(service, arguments, "Inspect")
        end = await follow(service, path, as_json=False, quiet=arguments.json)
        if end["ErrorName"]:
            show.end(end, as_json=arguments.json)
            return exit_code(end["ErrorName"])
        (text,) = await service.job(path, "GetReport", "a{sv}", {})
        made = plain(json.loads(text))["made"]
        if arguments.json:
            _print_json({"facts": made["facts"], "disks": made["disks"]})
        else:
            show.guest(made["facts"])
            show.disks(made["disks"])
        return 0


async def _jobs(arguments: Arguments) -> int:
    async with connected(ask=arguments.ask_password) as service:
        limit = variants([("limit", "u", arguments.number)])
        (found,) = await service.manager("ListJobs", "a{sv}", limit)
        jobs = await service.all_properties([job[0] for job in found])
        if arguments.json:
            _print_json(jobs)
        else:
            show.jobs(jobs)
        return 0


async def _show(arguments: Arguments) -> int:
    async with connected(ask=arguments.ask_password) as service:
        path = job_path(arguments.job)
        job = await service.properties(path)
        if arguments.json:
            _print_json(job)
        else:
            show.job(job, await _report_of(service, path, job))
        return 0


async def _follow(arguments: Arguments) -> int:
    async with connected(ask=arguments.ask_password) as service:
        path = job_path(arguments.job)
        end = await follow(service, path, as_json=arguments.json)
        if not arguments.json:
            show.end(end, await _report_of(service, path, end))
        return exit_code(end["ErrorName"])


async def _cancel(arguments: Arguments) -> int:
    async with connected(ask=arguments.ask_password) as service:
        path = job_path(arguments.job)
        await service.job(path, "Cancel", "a{sv}", {})
        end = await follow(service, path, as_json=arguments.json)
        if not arguments.json:
            show.end(end, await _report_of(service, path, end))
        return 0 if end["State"] == "cancelled" else exit_code(end["ErrorName"] or "Failed")


async def _report(arguments: Arguments) -> int:
    if arguments.output and arguments.format == "text" and not arguments.json:
        raise InvalidOption("-o FILE needs --format html or json.")
    async with connected(ask=arguments.ask_password) as service:
        path = job_path(arguments.job)
        form = "json" if arguments.json else arguments.format
        wanted = variants([("report-format", "s", "html" if form == "html" else "json")])
        (text,) = await service.job(path, "GetReport", "a{sv}", wanted)
        if form == "text":
            show.report(plain(json.loads(text)))
            return 0
        if form == "json":
            text = json.dumps(plain(json.loads(text)), indent=1)
        write_document(arguments.output, text.rstrip("\n") + "\n")
        return 0


async def _log(arguments: Arguments) -> int:
    async with connected(ask=arguments.ask_password) as service:
        path, after = job_path(arguments.job), 0
        while True:
            lines, after = await service.job(path, "GetLog", "tua{sv}", after, 1000, {})
            if not lines:
                return 0
            for time, priority, text in plain(lines):
                if arguments.json:
                    print(json.dumps({"time": time, "priority": priority, "message": text}))
                else:
                    show.log_line(time, priority, text)


async def _remove(arguments: Arguments) -> int:
    async with connected(ask=arguments.ask_password) as service:
        await service.job(
            job_path(arguments.job), "Remove", "a{sv}", variants(options_of(arguments))
        )
        return 0


async def _arrange(arguments: Arguments, *, member: str) -> int:
    async with connected(ask=arguments.ask_password) as service:
        await service.job(job_path(arguments.job), member, "a{sv}", {})
        return 0


async def _priority(arguments: Arguments) -> int:
    async with connected(ask=arguments.ask_password) as service:
        path = job_path(arguments.job)
        await service.job(path, "SetPriority", "ia{sv}", arguments.priority, {})
        return 0


async def _convert_xml(arguments: Arguments) -> int:
    if arguments.guest == "-":
        document = decode(sys.stdin.buffer.read(), "standard input")
    else:
        document = read_document(arguments.guest)
    async with connected(ask=arguments.ask_password) as service:
        options = variants(options_of(arguments))
        body = (str(arguments.input or format_of(document)), document, options)
        xml, found = await service.manager("ConvertXml", "ssa{sv}", *body)
    findings = plain(found)
    if arguments.json:
        _print_json({"domain_xml": xml, "findings": findings})
    elif arguments.diff:
        show_diff(document, xml, name=arguments.guest)
    else:
        print(xml, end="")
    if not arguments.json:
        show.findings(findings, to_stderr=True)
    return 0


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=1))


COMMANDS: dict[str, Callable[[Arguments], Coroutine[Any, Any, int]]] = {
    "guests": _guests,
    "inspect": _inspect,
    "plan": _plan,
    "migrate": _migrate,
    "jobs": _jobs,
    "show": _show,
    "follow": _follow,
    "cancel": _cancel,
    "hold": partial(_arrange, member="Hold"),
    "release": partial(_arrange, member="Release"),
    "priority": _priority,
    "backup": _backup,
    "restore": _restore,
    "rollback": partial(_settle, member="Rollback"),
    "finalize": partial(_settle, member="Finalize"),
    "report": _report,
    "log": _log,
    "remove": _remove,
    "convert-xml": _convert_xml,
}
