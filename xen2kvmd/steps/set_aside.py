# SPDX-License-Identifier: GPL-2.0-or-later
"""Put aside what the new guest replaces, and throw it away when the new guest has booted.

Files are renamed within their folders, so that nothing is copied and nothing can run full; the
domain's XML lies in the job's folder meanwhile. All this is where the new guest goes: on another
host over ssh.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from xen2kvmd import xml
from xen2kvmd.errors import Failed, MigrationError, TargetExists
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import (
    BootFile,
    Finding,
    Request,
    Severity,
    SourceDisk,
    Target,
    Volume,
)
from xen2kvmd.steps import context
from xen2kvmd.steps.define import check_stopped
from xen2kvmd.system.libvirt import Host
from xen2kvmd.system.target_files import TargetFiles, files_of
from xen2kvmd.targets import check_unused, ssh_address, target_host


def findings(
    request: Request,
    target: Target,
    disks: Iterable[SourceDisk],
    host: Host,
    boot_files: Iterable[BootFile] = (),
) -> Iterator[Finding]:
    """Tell what will be replaced; a disk of the source never is.

    Another host may have the source's disks, by whatever name of it: there a path is enough.
    Raises TargetExists if somebody uses a file, and Unsupported for what is none.
    """
    if not request.overwrite:
        return
    made = (*target.volumes, *target.boot_files)
    there = [volume.path for volume in made if _is_there(host, volume)]
    own = {path for disk in disks if host.remote or not disk.host for path in disk.paths}
    own |= {file.path for file in boot_files}
    others = []
    for path in there:
        if path in own or (not host.remote and any(_is_same(path, one) for one in own)):
            yield Finding(
                "overwrites-source",
                f"{path}, which would be replaced, belongs to the source.",
                Severity.BLOCKER,
                hint="Choose another name for the target with --name, or another place.",
            )
        else:
            others.append(path)
    if others:
        with files_of(ssh_address(request)) as files:
            check_unused(host, files, others, made, name=target.name)
    if host.domain_exists(target.name):
        there.insert(0, f"the domain '{target.name}'")
    if there:
        yield Finding(
            "overwrites",
            f"These are replaced on the target host: {', '.join(there)}.",
            Severity.WARNING,
            hint="They are kept until the new guest has booted; if it does not, they come back.",
        )


def _is_there(host: Host, volume: Volume) -> bool:
    if host.remote:  # an export that is not mounted shows nothing
        return host.pool_is_active(volume.pool) and host.volume_exists(volume.pool, volume.name)
    return os.path.lexists(volume.path)


def _is_same(one: str, other: str) -> bool:
    """Tell whether two paths are of one file, by links or by mounts."""
    with suppress(OSError):  # one is gone, or is on another host
        return os.path.samefile(one, other)
    return False


def _files(run: Run) -> AbstractContextManager[TargetFiles]:
    return files_of(ssh_address(context.request(run)))


def _put_aside(run: Run) -> None:
    """Rename the files, and undefine the domain. Raises TargetExists if somebody uses them."""
    if not context.request(run).overwrite:
        return
    plan = context.plan(run)
    with target_host(context.request(run)) as host, _files(run) as files:
        _refresh(run, host)
        paths = [volume.path for volume in plan.volumes]
        old = host.domain(plan.name)
        if old is not None:
            if trouble := old.irreplaceable():
                raise TargetExists(f"The domain '{plan.name}' cannot be replaced: {trouble}.")
            nvram = xml.parse(old.definition()).findtext("os/nvram")
            paths += [nvram] if nvram else []
            told = {"name": plan.name, "uuid": old.uuid, "autostart": old.autostarts()}
            run.note("replaced", told)
            context.write(run, _document(run).name, old.definition())
        there = [path for path in paths if files.kind(path) != "nothing"]
        check_unused(host, files, there, plan.volumes, name=plan.name)
        run.note("aside", there)
        for path in there:
            files.rename(path, _aside(run, path))
        if old is not None:
            old.put_aside()


def _put_back(run: Run) -> None:
    """Rename the files back, and define the domain again.

    Raises Failed if the new domain is there still: the files would take the place of its disks.
    PoolNotFound, or Failed, if the files cannot be seen, for a host that has started anew may not
    have mounted where they are.
    """
    if not {"aside", "replaced"} & run.notes.keys():
        return
    with _telling_where(run), target_host(context.request(run)) as host:
        _check_gone(run, host)
        if run.notes.get("aside"):
            _refresh(run, host)
            with _files(run) as files:
                for path in run.notes["aside"]:
                    _rename_back(files, _aside(run, path), path)
            _refresh(run, host)
            run.note("aside", [])
        if _document(run).exists():
            _define_again(run, host)


def _check_gone(run: Run, host: Host) -> None:
    """Raise Failed if a domain has the name that is not the one that was replaced."""
    check_stopped(run, host)
    old = run.notes.get("replaced", {}).get("uuid", "")
    there = host.domain(context.plan(run).name)
    if there is not None and (there.made_by() == run.id or there.uuid != old):
        raise Failed(
            f"The domain '{there.name}' is still there: what it replaced does not come back.",
            hint=f"If it may go, undefine it: {host.virsh('undefine', '--nvram', there.name)}",
        )


def _rename_back(files: TargetFiles, aside: str, path: str) -> None:
    """Rename a file back, unless that was done before. Raises Failed if it is nowhere."""
    if files.kind(aside) != "nothing":
        files.rename(aside, path)
    elif files.kind(path) == "nothing":
        raise Failed(
            f"{path} is not where it was put aside, nor in its own place.",
            hint="Is its file system mounted?",
        )


def _define_again(run: Run, host: Host) -> None:
    """Define the domain that was replaced, and only then forget its XML."""
    name, document = run.notes["replaced"]["name"], _document(run)
    if not host.domain_exists(name):
        host.define(document.read_text("utf-8"))
    domain = host.domain(name)
    if domain is not None:
        domain.set_autostart(on=run.notes["replaced"]["autostart"])
        document.unlink()


@contextmanager
def _telling_where(run: Run) -> Iterator[None]:
    """Let whatever goes wrong tell where the old domain is, for a person to go on by hand."""
    try:
        yield
    except MigrationError as error:
        kept = [_aside(run, path) for path in run.notes.get("aside", ())]
        kept += [str(_document(run))] if _document(run).exists() else []
        if not kept:
            raise
        where = f"What was replaced is kept till then: {', '.join(kept)}."
        hint = f"{error.hint.rstrip('.')}. {where}" if error.hint else where
        raise type(error)(error.message, hint=hint, said=error.said) from error


def _throw_away(run: Run) -> None:
    """Remove what was replaced. The new guest has booted: nothing that fails here undoes that.

    Raises PoolNotFound if the files cannot be seen.
    """
    if run.notes.get("aside"):
        with _telling_where(run), target_host(context.request(run)) as host:
            _refresh(run, host)
            with _files(run) as files:
                for path in run.notes["aside"]:
                    files.remove(_aside(run, path))
            _refresh(run, host)
    if "replaced" in run.notes:
        _document(run).unlink(missing_ok=True)
        run.result("replaced", run.notes["replaced"]["name"])


def _refresh(run: Run, host: Host) -> None:
    """Let libvirt's pools see what is in them now. Raises PoolNotFound for one that is gone."""
    for name in {volume.pool for volume in context.plan(run).volumes} - {""}:
        host.pool(name)


def _document(run: Run) -> Path:
    """Return where the XML of the domain is that was replaced, until it is defined again."""
    return run.folder / "replaced.xml"


def _aside(run: Run, path: str) -> str:
    return str(Path(path).with_name(f".{Path(path).name}.{run.id}.old"))


SET_ASIDE = Step("set-aside", _put_aside, _put_back)
THROW_AWAY = Step("throw-away", _throw_away, cancellable=False, final=True)
