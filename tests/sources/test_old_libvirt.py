# SPDX-License-Identifier: GPL-2.0-or-later
"""A Xen host may have a libvirt that lacks most calls of today's.

Those are libvirt's test driver here, which refuses what was not there yet, with the words of such a
host: src/xen/xen_driver.c of libvirt says since when xend's driver has each call.
"""

from collections.abc import Callable, Iterator

import libvirt
import pytest

from xen2kvmd.domain import read
from xen2kvmd.errors import Failed, VmNotFound
from xen2kvmd.sources import open_host
from xen2kvmd.sources.libvirt_source import LibvirtSource

URI = "test:///default"
UUID = "6d0c5d0e-0a11-4c11-9e0a-0000000000b2"
DOMAIN = f"""<domain type='xen'><name>old1</name><uuid>{UUID}</uuid><memory>262144</memory>
<os><type>linux</type></os></domain>"""
LACKS = {
    "1.2.5 of SLES 11 SP4": "listAllDomains setMetadata",
    "0.8.2 of RHEL 5.11": "listAllDomains setMetadata state hasManagedSaveImage undefineFlags",
    "0.7.6 of SLES 11 SP1": "listAllDomains setMetadata state hasManagedSaveImage undefineFlags"
    " createWithFlags blockInfo",
    "0.6.3 of RHEL 5.4": "listAllDomains setMetadata state hasManagedSaveImage undefineFlags"
    " createWithFlags blockInfo isActive isPersistent",
}


def refusal(code: int, words: str) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        error = libvirt.libvirtError(words)
        error.err = (code, 0, words, 2, "", "", "", 0, 0)
        raise error

    return refuse


NO_SUPPORT = refusal(libvirt.VIR_ERR_NO_SUPPORT, "unknown procedure: 273")


@pytest.fixture
def domain() -> Iterator[libvirt.virDomain]:
    """A guest that runs; the pretended host keeps it as long as we are connected."""
    connection = libvirt.open(URI)
    defined = connection.defineXML(DOMAIN)
    defined.create()
    yield defined
    for number in connection.listDomainsID():
        if connection.lookupByID(number).name() == "old1":
            connection.lookupByID(number).destroy()
    if "old1" in connection.listDefinedDomains():
        connection.lookupByName("old1").undefine()
    connection.close()


def lacking(monkeypatch: pytest.MonkeyPatch, *calls: str) -> None:
    for call in calls:
        owner = libvirt.virConnect if call == "listAllDomains" else libvirt.virDomain
        monkeypatch.setattr(owner, call, NO_SUPPORT)


@pytest.fixture(params=LACKS)
def source(
    request: pytest.FixtureRequest, domain: libvirt.virDomain, monkeypatch: pytest.MonkeyPatch
) -> LibvirtSource:
    lacking(monkeypatch, *LACKS[request.param].split())
    if request.param.startswith("1."):  # it has the call, and takes no flags
        words = (
            "invalid argument: unsupported flags (0x1) in function xenUnifiedDomainUndefineFlags"
        )
        refuse = refusal(libvirt.VIR_ERR_INVALID_ARG, words)
        monkeypatch.setattr(libvirt.virDomain, "undefineFlags", refuse)
    return LibvirtSource(URI, "old1")


def test_guests_are_listed(source: LibvirtSource) -> None:
    with open_host(URI) as host:
        assert [(found.name, found.state()) for found in host.domains()] == [
            ("old1", "running"),
            ("test", "running"),
        ]


def test_guest_goes_all_the_way(source: LibvirtSource) -> None:
    """It is read, shut down, started again, retired, and forgotten."""
    assert read(source.read().domain_xml).uuid == UUID
    assert source.is_running()
    source.shut_down(seconds=5, destroy=False, waiting=lambda _: None)
    assert not source.is_running()
    source.start_again(DOMAIN, seconds=1)
    assert source.is_running()
    source.shut_down(seconds=5, destroy=True, waiting=lambda _: None)
    assert source.set_autostart(on=True)
    assert source.autostarts()
    assert source.set_autostart(on=False)
    assert not source.mark("j1")
    source.undefine()
    with pytest.raises(VmNotFound):
        source.is_running()


def test_what_such_a_libvirt_does_not_tell_is_told(
    domain: libvirt.virDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = LibvirtSource(URI, "old1")
    lacking(monkeypatch, "hasManagedSaveImage", "autostart", "setAutostart")
    found = [finding.id for finding in source.read().findings]
    assert found == ["source-running", "source-autostart-unknown"]
    assert not source.autostarts()
    assert not source.set_autostart(on=False)
    domain.destroy()
    found = [finding.id for finding in source.read().findings]
    assert found == ["source-saved-unknown", "source-autostart-unknown"]


def test_guest_that_cannot_be_asked_is_destroyed_where_that_is_allowed(
    domain: libvirt.virDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver of xl cannot ask a guest without Xen's drivers."""
    words = "internal error: Failed to shutdown domain '3' with libxenlight"
    refuse = refusal(libvirt.VIR_ERR_INTERNAL_ERROR, words)
    monkeypatch.setattr(libvirt.virDomain, "shutdown", refuse)
    source = LibvirtSource(URI, "old1")
    with pytest.raises(Failed, match=r"cannot be asked to shut down: .*libxenlight") as refused:
        source.shut_down(seconds=5, destroy=False, waiting=lambda _: None)
    assert "--shutdown-mode destroy" in refused.value.hint
    assert domain.isActive()
    source.shut_down(seconds=5, destroy=True, waiting=lambda _: None)
    assert not domain.isActive()
