# SPDX-License-Identifier: GPL-2.0-or-later
"""Pools and networks that do not run, or do not start with their host, and how to mend that."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from xen2kvmd.errors import PoolNotFound
from xen2kvmd.model import Finding, Severity, Volume
from xen2kvmd.system.libvirt import Host, connected
from xen2kvmd.targets import links

NODE = """<node>
  <network><name>default</name></network>
  <pool type='dir'><name>default-pool</name><target><path>/default-pool</path></target></pool>
</node>"""
DOMAIN = (
    "<domain><devices>{nics}<interface type='network'><mac address='52:54:00:00:00:01'/>"
    "<source network='{name}'/></interface></devices></domain>"
)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """Return a libvirt of the test's own, which starts nothing with its host."""
    (tmp_path / "node.xml").write_text(NODE)
    return f"test://{tmp_path}/node.xml"


@pytest.fixture
def host(uri: str) -> Iterator[Host]:
    with connected(uri) as opened:
        yield opened


@pytest.fixture
def connection(host: Host) -> "libvirt.virConnect":
    """Return the connection itself: each to a node of a file has a libvirt of its own."""
    return host._connection


def found(host: Host, *, pool: str = "", network: str = "default") -> list[Finding]:
    volumes = [Volume(dev=dev, path=f"/v/{dev}", format="raw", pool=pool) for dev in ("a", "b")]
    document = DOMAIN.format(nics="<interface type='bridge'/>", name=network)
    return list(links.not_at_boot(document, volumes, host))


def test_network_that_a_guest_needs_at_boot_is_told(
    host: Host, uri: str, connection: "libvirt.virConnect"
) -> None:
    (told,) = found(host)
    assert (told.id, told.severity) == ("network-not-at-boot", Severity.WARNING)
    assert told.hint.endswith(f"virsh -c {uri} net-autostart default")
    connection.networkLookupByName("default").setAutostart(1)
    assert found(host) == []


def test_network_that_is_missing_or_off_is_told_once_as_that(
    host: Host, connection: "libvirt.virConnect"
) -> None:
    connection.networkDefineXML("<network><name>off</name></network>")
    for name, code in (("off", "network-inactive"), ("none", "network-missing")):
        assert found(host, network=name) == []
        (told,) = links.missing(DOMAIN.format(nics="", name=name), host)
        assert (told.id, told.severity) == (code, Severity.BLOCKER)
        assert ("net-autostart" in told.hint) == (name == "off")
    connection.networkLookupByName("off").undefine()


@pytest.mark.parametrize(("kind", "told"), [("netfs", 1), ("logical", 1), ("dir", 0)])
def test_pool_is_told_once_and_only_if_its_volumes_are_gone_without_it(
    host: Host, connection: "libvirt.virConnect", kind: str, told: int
) -> None:
    connection.networkLookupByName("default").setAutostart(1)
    source = {
        "netfs": "<source><host name='nas1'/><dir path='/vm'/></source>",
        "logical": "<source><name>it</name></source>",
        "dir": "",
    }[kind]
    pool = connection.storagePoolDefineXML(
        f"<pool type='{kind}'><name>it</name>{source}<target><path>/v</path></target></pool>"
    )
    try:
        pool.create()
        findings = found(host, pool="it")
        assert [finding.id for finding in findings] == ["pool-not-at-boot"] * told
        assert all("pool-autostart it" in one.hint for one in findings)
        pool.setAutostart(1)
        assert found(host, pool="it") == []
    finally:
        pool.destroy()
        pool.undefine()


def test_hint_for_a_pool_that_is_missing_makes_one_when_typed(host: Host, uri: str) -> None:
    """The commands are read as virsh would read them, and done by libvirt."""
    with pytest.raises(PoolNotFound, match="no storage pool 'it's'") as raised:
        host.pool("it's")
    known, _, commands = raised.value.hint.partition(": virsh")
    assert "default-pool" in known
    words = [shlex.split(command) for command in f"virsh{commands}".split(" && ")]
    assert [word[:4] for word in words] == [
        ["virsh", "-c", uri, command]
        for command in ("pool-define-as", "pool-build", "pool-start", "pool-autostart")
    ]
    assert [word[4] for word in words] == ["it's"] * 4
    assert words[0][5:] == ["dir", "--target", "FOLDER"]
    with pytest.raises(PoolNotFound) as raised:
        host.pool("default")
    assert "dir --target /var/lib/libvirt/images" in raised.value.hint


def test_hint_for_a_pool_that_is_off_starts_it_now_and_at_boot(
    host: Host, uri: str, connection: "libvirt.virConnect"
) -> None:
    pool = connection.storagePoolDefineXML(
        "<pool type='dir'><name>off</name><target><path>/v</path></target></pool>"
    )
    with pytest.raises(PoolNotFound, match="'off' is not active") as raised:
        host.pool("off")
    assert raised.value.hint.endswith(
        f"virsh -c {uri} pool-start off && virsh -c {uri} pool-autostart off"
    )
    pool.undefine()
