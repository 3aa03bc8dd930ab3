# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of a libvirt: its test driver takes Xen's documents, and pretends to run them."""

import threading
from collections.abc import Iterator

import libvirt
import pytest

from xen2kvmd.domain import read
from xen2kvmd.errors import InvalidOption, InvalidSource, VmNotFound, VmRunning
from xen2kvmd.model import Operation, Request
from xen2kvmd.sources import open_host, open_source
from xen2kvmd.sources.libvirt_source import LibvirtSource

URI = "test:///default"
UUID = "6d0c5d0e-0a11-4c11-9e0a-0000000000b1"
DOMAIN = f"""<domain type='xen'><name>web1</name><uuid>{UUID}</uuid><memory>262144</memory>
<bootloader>pygrub</bootloader><os><type arch='x86_64' machine='xenpv'>linux</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/>
<source file='/srv/xen/web1.img'/><target dev='xvda' bus='xen'/></disk></devices></domain>"""


@pytest.fixture
def domain() -> Iterator[libvirt.virDomain]:
    """A guest that runs; the pretended host keeps it as long as we are connected."""
    connection = libvirt.open(URI)
    defined = connection.defineXML(DOMAIN)
    defined.create()
    yield defined
    for left in connection.listAllDomains():
        if left.name() == "web1":
            active, persistent = left.isActive(), left.isPersistent()
            if active:
                left.destroy()
            if persistent:
                left.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
    connection.close()


def shut_down(source: LibvirtSource, *, seconds: int = 5, destroy: bool = False) -> list[float]:
    shares: list[float] = []
    source.shut_down(seconds=seconds, destroy=destroy, waiting=shares.append)
    return shares


@pytest.mark.parametrize("key", ["web1", UUID, UUID.upper()])
def test_guest_is_found_by_name_and_uuid(domain: libvirt.virDomain, key: str) -> None:
    source = LibvirtSource(URI, key)
    guest = read(source.read().domain_xml)
    assert (guest.name, guest.uuid, guest.disks[0].path) == ("web1", UUID, "/srv/xen/web1.img")
    assert source.is_running()


@pytest.mark.parametrize("key", ["web", "WEB1", UUID[:-1] + "2", "6d0c5d0e", ""])
def test_guest_that_is_not_there_is_named(domain: libvirt.virDomain, key: str) -> None:
    with pytest.raises(VmNotFound, match=URI):
        LibvirtSource(URI, key).read()


def test_what_runs_and_what_starts_by_itself_is_said(domain: libvirt.virDomain) -> None:
    domain.setAutostart(1)
    found = LibvirtSource(URI, "web1").read().findings
    assert [finding.id for finding in found] == ["source-running", "source-autostart"]
    domain.setAutostart(0)
    domain.destroy()
    assert LibvirtSource(URI, "web1").read().findings == ()


def test_guest_is_shut_down_and_started_again(domain: libvirt.virDomain) -> None:
    source = LibvirtSource(URI, "web1")
    shut_down(source)
    assert not source.is_running()
    shut_down(source)  # twice is once
    source.start_again(DOMAIN, seconds=1)
    assert source.is_running()


def test_transient_guest_is_started_from_its_document(domain: libvirt.virDomain) -> None:
    source = LibvirtSource(URI, "web1")
    document = source.read().domain_xml
    domain.undefine()
    shut_down(source)
    with pytest.raises(VmNotFound):
        source.is_running()
    source.start_again(document, seconds=1)
    assert source.is_running()


def test_transient_guest_that_stops_late_is_started(domain: libvirt.virDomain) -> None:
    source = LibvirtSource(URI, "web1")
    document = source.read().domain_xml
    domain.undefine()
    late = threading.Timer(1.0, domain.destroy)
    late.start()
    source.start_again(document, seconds=20)
    late.join()
    assert source.is_running()


def test_transient_guest_is_started_once_libvirt_has_removed_the_one_before(
    domain: libvirt.virDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As seen on a busy machine: 'operation failed: domain is already being removed'."""
    source, create, asked = LibvirtSource(URI, "web1"), libvirt.virConnect.createXML, []
    document = source.read().domain_xml

    def removing(connection: libvirt.virConnect, xml: str) -> libvirt.virDomain:
        asked.append(xml)
        if len(asked) < 3:
            error = libvirt.libvirtError("virDomainCreateXML() failed")
            error.err = (libvirt.VIR_ERR_OPERATION_FAILED, 0, "being removed", 0, "", "", "", 0, 0)
            raise error
        return create(connection, xml)

    monkeypatch.setattr(libvirt.virConnect, "createXML", removing)
    domain.undefine()
    domain.destroy()
    source.start_again(document, seconds=1)
    assert len(asked) == 3
    assert source.is_running()


def test_guest_that_does_not_heed_runs_on(domain: libvirt.virDomain) -> None:
    domain.suspend()
    with pytest.raises(VmRunning, match="did not shut down") as caught:
        shut_down(LibvirtSource(URI, "web1"), seconds=1)
    assert "--shutdown-mode destroy" in caught.value.hint
    assert domain.isActive()


def test_guest_that_may_yet_stop_is_told(domain: libvirt.virDomain) -> None:
    with pytest.raises(VmRunning, match="may yet stop") as caught:
        LibvirtSource(URI, "web1").start_again(DOMAIN, seconds=0.2)
    assert f"virsh -c {URI} start web1" in caught.value.hint
    domain.suspend()  # it cannot have heeded
    LibvirtSource(URI, "web1").start_again(DOMAIN, seconds=0.2)


def test_guest_that_does_not_heed_is_destroyed_where_that_is_allowed(
    domain: libvirt.virDomain,
) -> None:
    domain.suspend()
    shut_down(LibvirtSource(URI, "web1"), seconds=1, destroy=True)
    assert not domain.isActive()


def test_saved_guest_is_refused(domain: libvirt.virDomain) -> None:
    domain.managedSave()
    with pytest.raises(VmRunning, match="is saved"):
        LibvirtSource(URI, "web1").read()


@pytest.mark.parametrize(
    "uri",
    [
        "xen+ssh:///system",
        "xen://host/system",
        "xen+ssh://-oProxyCommand=x/system",
        "xen+ssh://-l@host/system",
        "xen+ssh://a b/system",
        "xen+ssh://host:x/system",
        "xen+ssh://host/system?command=/tmp/x",
        "xen+ssh://host/system?netcat=/tmp/x",
        "xen+ssh://host/system?no_verify=1",
        "xen+ssh://host/system?no_tty=0",
        "xen+ssh://host/system?keyfile=relative",
        "xen+unix:///system?socket=/tmp/x",
        "xen+ssh://host/system#x",
    ],
)
def test_address_that_would_run_or_allow_something_is_refused(uri: str) -> None:
    with pytest.raises(InvalidSource):
        LibvirtSource(uri, "web1").read()


def test_source_is_opened_by_its_scheme_without_a_connection() -> None:
    source = open_source(Request(Operation.PLAN, "xen+ssh://root@192.0.2.1/system", vm="web1"))
    assert source == LibvirtSource("xen+ssh://root@192.0.2.1/system", "web1")
    assert source.disk_host.startswith("ssh://")
    assert not open_source(Request(Operation.PLAN, "xen:///system", vm="web1")).disk_host


def test_document_instead_of_the_hosts_own_is_refused() -> None:
    with pytest.raises(InvalidOption, match="of no use"):
        open_source(Request(Operation.PLAN, "xen:///system", vm="web1", document=DOMAIN))


def test_what_is_no_libvirt_of_xen_is_not_listed() -> None:
    with (
        pytest.raises(InvalidSource, match="no libvirt with guests of Xen"),
        open_host("qemu:///x"),
    ):
        pass
