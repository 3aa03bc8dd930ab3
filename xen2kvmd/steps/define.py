# SPDX-License-Identifier: GPL-2.0-or-later
"""Define the domain (guide 15.2.5 (3))."""

from lxml import etree

from xen2kvmd import domain, xml
from xen2kvmd.errors import Failed
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.steps import context
from xen2kvmd.system.libvirt import Host
from xen2kvmd.system.libvirt_domain import NAMESPACE, Domain
from xen2kvmd.targets import target_host


def do(run: Run) -> None:
    """Define the planned domain, marked in its metadata with this job's id.

    It starts with its host if the source does, or as the caller wants it.
    """
    plan = context.plan(run)
    run.note("domain", plan.name)
    with target_host(context.request(run)) as host:
        host.define(_marked(plan.domain_xml, run.id))
        if context.autostart(run):
            made = own_domain(run, host)
            if made is not None:
                made.set_autostart(on=True)
                run.result("autostart", "starts with this host")
    run.result("domain", plan.name)


def undo(run: Run) -> None:
    """Undefine the domain, if it is ours."""
    with target_host(context.request(run)) as host:
        check_stopped(run, host)
        made = own_domain(run, host)
        if made is not None:
            made.undefine()


def check_stopped(run: Run, host: Host) -> None:
    """Raise Failed if our domain runs: its disks are in use, and the source may not start."""
    made = own_domain(run, host)
    if made is not None and made.is_active():
        raise Failed(
            f"The new guest '{made.name}' runs, and could not be stopped.",
            hint=f"Stop it by hand: {host.virsh('destroy', made.name)}",
        )


def check_target_off(run: Run) -> None:
    """Raise Failed if the guest runs at the target: the source, which is to start, is the same.

    A backup has no plan, and no target.
    """
    if "case" in run.notes:
        with target_host(context.request(run)) as host:
            check_stopped(run, host)
            check_no_twin(host, domain.read(context.document(run)).uuid)


def check_no_twin(host: Host, uuid: str) -> None:
    """Raise Failed if a domain with the source's UUID runs there: it may be another job's."""
    twin = host.find(uuid) if uuid else None
    if twin is not None and twin.is_active():
        raise Failed(
            f"The domain '{twin.name}' runs at the target, and has the source's UUID {uuid}.",
            hint="It may be the same guest, so the source was not started. Stop one for good, "
            "then start the other.",
        )


def own_domain(run: Run, host: Host) -> Domain | None:
    """Return the domain that this job has defined; one of its name that is not ours is left out."""
    return marked_domain(host, run.notes["domain"], run.id) if "domain" in run.notes else None


def marked_domain(host: Host, name: str, job_id: str, *, uuid: str = "") -> Domain | None:
    """Return the domain of a name, or else of a UUID, if it bears the mark of a job.

    A clone carries the same mark, but has another name and another UUID.
    """
    for found in (host.domain(name), host.find(uuid) if uuid else None):
        if found is not None and found.made_by() == job_id:
            return found
    return None


def _marked(document: str, job_id: str) -> str:
    root = xml.parse(document)
    metadata = root.find("metadata")
    if metadata is None:
        metadata = etree.SubElement(root, "metadata")
    tag = f"{{{NAMESPACE}}}migration"
    metadata.append(etree.Element(tag, {"job": job_id}, nsmap={"xen2kvm": NAMESPACE}))
    return xml.serialize(root)


DEFINE = Step("define", do, undo, weight=1)
