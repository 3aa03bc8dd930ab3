# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever comes: never a traceback, never an invalid document, never a silent loss."""

import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.domain.accounts import silent_losses
from tests.domain.test_domain_corpus import CORPUS, check_valid
from xen2kvmd import xml
from xen2kvmd.domain import RULES, convert
from xen2kvmd.domain.convert import complete
from xen2kvmd.domain.names import parse_name
from xen2kvmd.domain.schema import SCHEMAS
from xen2kvmd.errors import MigrationError
from xen2kvmd.model import Case, Facts, Family, Kernel, MacPolicy, Target, VirtType
from xen2kvmd.sources.xl_cfg import read_cfg
from xen2kvmd.sources.xl_json import read_json
from xen2kvmd.xml import Element

pytestmark = pytest.mark.skipif(not SCHEMAS.exists(), reason="libvirt is not installed")
calm = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

ROOTS = [xml.parse(file.read_bytes()) for file in CORPUS]
# What may stand several times in a domain, or once; disks and NICs get names of their own.
MANY = ("serial", "parallel", "channel", "hostdev", "input", "sound", "redirdev", "hub")
ONCE = ("watchdog", "memballoon", "rng", "tpm", "panic")
TOP = ("on_crash", "features", "clock", "memtune", "memoryBacking", "cputune", "pm", "seclabel")


def found(*paths: str) -> list[Element]:
    return [element for root in ROOTS for path in paths for element in root.findall(path)]


disks = st.lists(st.sampled_from(found("devices/disk")), max_size=5)
nics = st.lists(st.sampled_from(found("devices/interface")), max_size=4)
others = st.lists(st.sampled_from(found(*(f"devices/{name}" for name in MANY))), max_size=6)
kernels = st.sampled_from(["2.6.18", "3.0.101", "3.10.0", "6.1.0", "odd"])
cases = st.builds(
    Case,
    facts=st.builds(
        Facts,
        family=st.sampled_from(Family),
        kernels=st.lists(
            st.builds(Kernel, version=kernels, image=st.just("/k"), virtio=st.booleans()),
            max_size=1,
        ).map(tuple),
        bootloader=st.sampled_from(["", "grub2"]),
        boot_disk=st.sampled_from(["", "xvda", "xvdb", "hda"]),
    ),
    target=st.builds(
        Target,
        virt_type=st.sampled_from(VirtType),
        machine=st.sampled_from(["", "pc", "q35"]),
        cpu=st.sampled_from(["", "host-model", "maximum"]),
        mac=st.sampled_from(MacPolicy),
    ),
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A domain put together of parts of the corpus."""
    domain = etree.fromstring(etree.tostring(draw(st.sampled_from(ROOTS))))
    devices = domain.find("devices")
    assert devices is not None
    for name in ("disk", "interface", "serial", "console"):
        for device in devices.findall(name):
            devices.remove(device)
    for number, part in enumerate((*draw(disks), *draw(nics), *draw(others))):
        made = etree.fromstring(etree.tostring(part))
        if made.tag == "disk":
            rename(made, number)
        devices.append(made)
    for name in draw(st.sets(st.sampled_from(TOP))):
        old = domain.find(name)
        new = etree.fromstring(etree.tostring(draw(st.sampled_from(found(name)))))
        domain.append(new) if old is None else domain.replace(old, new)
    return etree.tostring(domain, encoding="unicode")


def rename(disk: Element, number: int) -> None:
    """Give a disk a name that no other has, of the same kind."""
    target = disk.find("target")
    assert target is not None
    prefix, _, _ = parse_name(target.get("dev", ""))
    target.set("dev", f"{prefix}{'abcdefghij'[number]}")


@calm
@given(document=documents(), case=cases)
def test_any_domain_becomes_a_valid_one_without_silent_loss(document: str, case: Case) -> None:
    check_valid(xml.parse(document))

    result = convert(document, case)

    check_valid(xml.parse(result.domain_xml))
    assert silent_losses(document, result) == []
    root = xml.parse(result.domain_xml)
    whole = complete(case, xml.parse(document))
    for rule in RULES:
        rule(root, whole)
        assert xml.serialize(root) == result.domain_xml, rule.name


@calm
@given(
    root=st.sampled_from(ROOTS),
    data=st.data(),
    junk=st.sampled_from(["novelty", "disk", "source", "target", "xen", "os", "memory"]),
)
def test_a_damaged_document_is_refused_or_converted(
    root: Element, data: st.DataObject, junk: str
) -> None:
    damaged = etree.fromstring(etree.tostring(root))
    elements = list(damaged.iter(etree.Element))
    element = data.draw(st.sampled_from(elements))
    if element.attrib and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(str(key) for key in element.attrib)))
        element.set(
            name, data.draw(st.sampled_from(["", "-1", "xen", "é", "99999999999999999999"]))
        )
    elif data.draw(st.booleans()):
        etree.SubElement(element, junk)
    else:
        element.text = data.draw(st.sampled_from(["", " ", "-1", "nonsense", "\u0661"]))
    with suppress(MigrationError):
        convert(etree.tostring(damaged), Case())


words = st.sampled_from(
    "name = 'a';memory = 64;disk = [;];'/a,raw,xvda,w';'phy:vg/b,hdc:cdrom,r';,;vif = [;'mac=x';\n;"
    "'bridge=br0,rate=1MB/s';type = 'hvm';import os;if x:; ;#;\\;\";';+=;vfb = ['type=vnc'];0x1f;"
    "pci = ['01:00.0'];vcpus = -1;cpus = '0-';boot = 'dcn';(;);\x00;é;usbdevice = ['tablet']".split(
        ";"
    )
)


@calm
@given(st.lists(words, max_size=30).map("".join) | st.text(max_size=80))
def test_any_configuration_is_read_or_refused(text: str) -> None:
    with suppress(MigrationError):
        imported = read_cfg(f"name = 'a'\nmemory = 64\n{text}")
        check_valid(xml.parse(imported.domain_xml))
        check_valid(xml.parse(convert(imported.domain_xml, Case()).domain_xml))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9**9) | st.text(max_size=5) | st.just("pv"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "c_info b_info config name type disks nics vdev mac vnc max_memkb enable display"
                " ifname rate_bytes_per_interval rate_interval_usecs connection.socket path".split()
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@calm
@given(json_values, json_values)
def test_any_list_is_read_or_refused(first: object, second: object) -> None:
    document = json_document(first, second)
    with suppress(MigrationError):
        check_valid(xml.parse(read_json(document).domain_xml))


def json_document(first: object, second: object) -> str:
    keys = ("x", "vcpu_hard_affinity", "sched_params", "vga", "vnc", "spice", "bios", "cmdline")
    built = {"max_memkb": 1024, "type.hvm": dict.fromkeys(keys, first)}
    config = {"c_info": {"name": "a", "type": "hvm"}, "b_info": built}
    devices = dict.fromkeys(("nics", "vfbs", "pcidevs", "channels", "vtpms"), second)
    return json.dumps([{"config": {**config, "disks": [second], **devices}}])
