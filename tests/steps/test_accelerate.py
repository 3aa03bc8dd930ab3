# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain that was made under Xen becomes what it would have been with KVM, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cattrs
import pytest
from lxml import etree

from xen2kvmd import domain, xml
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Case, Facts, Operation, Plan, Request, Target, VirtType
from xen2kvmd.steps import accelerate
from xen2kvmd.steps.accelerate import ACCELERATE
from xen2kvmd.steps.migrated import Migrated
from xen2kvmd.system import kvm
from xen2kvmd.system.libvirt_emulator import Emulator

SOURCE = (
    "<domain type='xen'><name>web1</name><memory>65536</memory><vcpu>1</vcpu>"
    "<os><type>linux</type></os></domain>"
)
CASE = Case(target=Target(virt_type=VirtType.QEMU, under_xen=True))
MADE = domain.convert(SOURCE, CASE).domain_xml
KVM = domain.convert(SOURCE, replace(CASE, target=Target())).domain_xml


@dataclass
class Qemu:
    """A libvirt of QEMU that keeps the one domain it is given, and offers KVM or not."""

    kvm: bool
    document: str = MADE

    def emulator(self, _arch: str) -> Emulator:
        return Emulator("qemu-system-x86_64", kvm=self.kvm)

    def definition(self) -> str:
        return self.document

    def define(self, document: str) -> None:
        self.document = document


def canonical(document: str) -> str:
    return etree.canonicalize(document, strip_text=True)


def finalizing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qemu: Qemu, case: Case) -> Run:
    (tmp_path / "source.xml").write_text(SOURCE)
    plan = Plan("web1", "web1", Facts(), (), (), (), MADE, 0, 0, 0)
    notes = {"case": cattrs.unstructure(case)}
    over = Migrated("m1", tmp_path, Request(Operation.MIGRATE, "xen:///system"), plan, notes, {})

    @contextmanager
    def target(_request: object) -> Iterator[Qemu]:
        yield qemu

    monkeypatch.setattr(Migrated, "target", lambda _self, host: host)
    monkeypatch.setattr(accelerate, "migrated", lambda _run: over)
    monkeypatch.setattr(accelerate, "target_host", target)
    monkeypatch.setattr(kvm, "works", lambda _emulator: True)
    journal, sender = Journal(tmp_path / "journal"), Sender(tmp_path / "socket", "f1")
    return Run("f1", tmp_path, {}, journal, sender, cancelled=lambda: False)


def test_domain_made_under_xen_becomes_a_kvm_domain_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu = Qemu(kvm=True)
    run = finalizing(tmp_path, monkeypatch, qemu, CASE)
    for _ in range(2):
        ACCELERATE.do(run)
        assert canonical(qemu.document) == canonical(KVM)
    for _ in range(2):
        ACCELERATE.undo(run)
        assert canonical(qemu.document) == canonical(MADE)


def test_domain_stays_where_there_is_no_kvm_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu = Qemu(kvm=False)
    run = finalizing(tmp_path, monkeypatch, qemu, CASE)
    ACCELERATE.do(run)
    ACCELERATE.undo(run)
    assert qemu.document == MADE


def test_processor_that_somebody_has_chosen_stays() -> None:
    chosen = "<domain type='qemu'><cpu mode='custom'><model>Nehalem</model></cpu></domain>"
    made = xml.parse(accelerate.changed(chosen, was=MADE, becomes=KVM))
    assert made.get("type") == "kvm"
    assert made.findtext("cpu/model") == "Nehalem"
