# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a KVM domain of one that was made where there was no KVM: under Xen, as a rule.

libvirt refuses a KVM domain on a host without KVM. So whoever converts under Xen, and starts the
host without it later (guide 15.1.3), has a domain of the type qemu until then.
"""

from dataclasses import replace

import cattrs

from xen2kvmd import domain, xml
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Case, VirtType
from xen2kvmd.steps.inspect import target_kvm
from xen2kvmd.steps.migrated import Migrated, migrated
from xen2kvmd.system.libvirt import Host
from xen2kvmd.targets import target_host

NOTE = "accelerated"


def do(run: Run) -> None:
    """Give the domain the type kvm, and a processor for it, if KVM works on its host by now."""
    migration = migrated(run)
    case = cattrs.structure(migration.notes["case"], Case)
    if case.target.virt_type is VirtType.KVM:
        return
    with target_host(migration.request) as host:
        if not target_kvm(migration.request, host.emulator(case.facts.arch)):
            return
        run.note(NOTE, "")
        _change(migration, host, was=migration.plan.domain_xml, becomes=_with_kvm(migration, case))
    run.result("type", "kvm, from its next start")


def undo(run: Run) -> None:
    """Give the domain back what the migration gave it."""
    if NOTE in run.notes:
        migration = migrated(run)
        case = cattrs.structure(migration.notes["case"], Case)
        with target_host(migration.request) as host:
            was, becomes = _with_kvm(migration, case), migration.plan.domain_xml
            _change(migration, host, was=was, becomes=becomes)


def _with_kvm(migration: Migrated, case: Case) -> str:
    """Return the XML that the domain would have had with KVM."""
    target = replace(case.target, virt_type=VirtType.KVM)
    return domain.convert(migration.document, replace(case, target=target)).domain_xml


def _change(migration: Migrated, host: Host, *, was: str, becomes: str) -> None:
    found = migration.target(host)
    if found is not None:
        host.define(changed(found.definition(), was=was, becomes=becomes))


def changed(document: str, *, was: str, becomes: str) -> str:
    """Return a domain's XML with the type and the processor that it is to have.

    A processor that somebody gave it meanwhile stays.
    """
    now, old, new = xml.parse(document), xml.parse(was), xml.parse(becomes)
    now.set("type", new.get("type", ""))
    cpu, given = now.find("cpu"), new.find("cpu")
    mode = old.find("cpu[@mode]")
    if cpu is not None and given is not None and mode is not None:
        if cpu.get("mode") == mode.get("mode"):
            now.replace(cpu, given)
    return xml.serialize(now)


ACCELERATE = Step("accelerate", do, undo, weight=1)
