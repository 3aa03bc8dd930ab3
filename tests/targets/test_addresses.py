# SPDX-License-Identifier: GPL-2.0-or-later
"""Two guests with one MAC address are told before they meet: on libvirt's test driver."""

from collections.abc import Iterator

import pytest

from tests.libvirt_test_driver import own_host
from xen2kvmd import plan
from xen2kvmd.model import Facts, Finding, Plan
from xen2kvmd.system.libvirt import Host
from xen2kvmd.targets import addresses

MAC = "00:16:3e:2a:00:01"


@pytest.fixture
def host() -> Iterator[Host]:
    with own_host() as opened:
        opened.define(guest("clone", MAC))
        yield opened


def guest(name: str, *macs: str) -> str:
    nics = "".join(f"<interface type='user'><mac address='{mac}'/></interface>" for mac in macs)
    return (
        f"<domain type='test'><name>{name}</name><memory>65536</memory><os><type>hvm</type></os>"
        f"<devices>{nics}<interface type='user'/></devices></domain>"
    )


def test_domain_with_the_same_address_is_named(host: Host) -> None:
    new = guest("web1", "00:16:3E:2A:00:02", MAC.upper())
    found = list(addresses.shared(new, host, besides=("web1",)))
    assert [one.id for one in found] == ["mac-in-use"]
    assert "'clone'" in found[0].message
    assert MAC in found[0].message


@pytest.mark.parametrize("document", [guest("web1", "00:16:3e:2a:00:02"), guest("web1")])
def test_own_address_is_no_finding(host: Host, document: str) -> None:
    assert not list(addresses.shared(document, host, besides=("web1",)))


def test_source_on_the_same_libvirt_is_no_finding(host: Host) -> None:
    assert not list(addresses.shared(guest("web1", MAC), host, besides=("web1", "clone")))


def test_other_guest_may_go_while_the_plan_is_agreed_to(host: Host) -> None:
    facts, new = Facts(), guest("web1", MAC)
    found = tuple(addresses.shared(new, host, besides=("web1",)))
    other = (Finding("software-emulation", "The target host has no usable KVM."),)
    digests = {
        plan._digest(Plan("web1", "web1", facts, (), (), findings, new, 0, 0, 0))
        for findings in (other, (*other, *found))
    }
    assert len(digests) == 1
