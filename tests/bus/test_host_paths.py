# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may migrate may not name paths of the host: that is an action of its own."""

from collections.abc import Awaitable, Callable

import pytest
from dbus_next import Variant

from tests.bus.client import FDO_ERROR, CallError, Client, Options
from tests.bus.running import Daemon
from xen2kvmd.bus.host_paths import told

pytestmark = pytest.mark.slow

Connect = Callable[[str], Awaitable[Client]]

CHALLENGE = FDO_ERROR + "InteractiveAuthorizationRequired"

PATHLESS = "<domain type='xen'><name>web1</name><memory>1</memory>%s</domain>"
SHARED = "<devices><filesystem><source dir='/'/><target dir='host'/></filesystem></devices>"
DISK = (
    "<devices><disk type='file'><source file='/etc/shadow'/><target dev='xvda'/></disk></devices>"
)


@pytest.mark.parametrize(
    ("source", "option", "value", "error"),
    [
        ("xen:///system", "pool", "default", ""),
        ("xen+ssh://root@xen1/system", "name", "web2", ""),
        ("libvirtxml:web1.xml", "document", PATHLESS % "", CHALLENGE),
        ("libvirtxml:web1.xml", "document", PATHLESS % SHARED, CHALLENGE),
        ("libvirtxml:web1.xml", "document", PATHLESS % DISK, CHALLENGE),
        ("libvirtxml:web1.xml", "document", PATHLESS % "<os><kernel>/k</kernel></os>", CHALLENGE),
        (
            "xl:web1.cfg",
            "document",
            "name='web1'\nmemory=64\ndisk=['/dev/sda,raw,xvda,rw']",
            CHALLENGE,
        ),
        ("libvirtxml:/srv/xen/web1.xml", "pool", "default", CHALLENGE),
        ("xl:/srv/xen/web1.cfg", "pool", "default", CHALLENGE),
        ("xen+ssh://root@xen1/system?keyfile=/root/.ssh/k", "pool", "default", CHALLENGE),
        ("test:///srv/hosts.xml", "pool", "default", CHALLENGE),
        ("xen:///system", "directory", "/srv/kvm", CHALLENGE),
        ("xen:///system", "nfs-export", "nas1:/srv/kvm", CHALLENGE),
        ("xen:///system", "backup-disks", "/srv/backup", CHALLENGE),
        ("xen:///system", "backup-pool", "backups", ""),
        ("xen:///system", "path-map", ["/srv=/etc"], CHALLENGE),
        ("xen:///system", "virtio-win", "/root/win.iso", CHALLENGE),
        ("xen:///system", "packages", ["/root/kernel.rpm"], CHALLENGE),
        ("xen:///system", "target", "qemu+ssh://root@kvm2/system?keyfile=/root/k", CHALLENGE),
        ("xen:///system", "keys", ["all:credential:vm1"], CHALLENGE),
        ("xen:///system", "vmdp", "/root/vmdp.exe", CHALLENGE),
    ],
)
async def test_who_may_migrate_may_not_name_paths(
    daemon: Daemon, connect: Connect, source: str, option: str, value: object, error: str
) -> None:
    """The service would read or write them as root; lp has the action migrate, and no other."""
    client = await connect("lp")
    options = {option: Variant("as" if isinstance(value, list) else "s", value)}
    calling = client.call("Migrate", "ssa{sv}", source, "web1", options)
    if error:
        with pytest.raises(CallError, match=error) as caught:
            await calling
        assert "org.xen2kvm.migrate-paths" in str(caught.value)
    else:
        daemon.end((await calling)[0])


async def test_backup_into_a_pool_names_no_path(daemon: Daemon, connect: Connect) -> None:
    client = await connect("lp")
    body = ("xen:///system", "web1")
    pool = {"pool": Variant("s", "backups")}
    with pytest.raises(CallError, match=r"org\.xen2kvm\.migrate-paths"):
        await client.call("Backup", "sssa{sv}", *body, "/srv/backup", {})
    with pytest.raises(CallError, match="exclude each other: the folder /srv/backup"):
        await client.call("Backup", "sssa{sv}", *body, "/srv/backup", pool)
    with pytest.raises(CallError, match="'folder' has to be a full path"):
        await client.call("Backup", "sssa{sv}", *body, "", {})
    (job,) = await client.call("Backup", "sssa{sv}", *body, "", pool)
    assert await client.get(job, "Target") == "backups"
    daemon.end(job)


async def test_restore_names_paths_whatever_it_is_of(connect: Connect) -> None:
    """A backup's manifest says where its disks go."""
    client = await connect("lp")
    pool = {"pool": Variant("s", "backups")}
    with pytest.raises(CallError, match=r"org\.xen2kvm\.migrate-paths"):
        await client.call("Restore", "sa{sv}", "web1-u0_a", pool)
    for name in ("", "../web1"):
        with pytest.raises(CallError, match="the name of a backup"):
            await client.call("Restore", "sa{sv}", name, pool)


async def test_rules_see_where_a_backup_is_restored(daemon: Daemon, connect: Connect) -> None:
    """News may restore one backup where it was made, and nowhere else."""
    client = await connect("news")
    daemon.end((await client.call("Restore", "sa{sv}", "/srv/backup/web1", {}))[0])
    elsewhere = {"directory": Variant("s", "/etc")}
    with pytest.raises(CallError, match=r"org\.xen2kvm\.migrate-paths"):
        await client.call("Restore", "sa{sv}", "/srv/backup/web1", elsewhere)


async def test_all_pools_are_told(daemon: Daemon, root: Client) -> None:
    backup = {"backup-pool": Variant("s", "backups")}
    more = {"disk-pool": Variant("as", ["xvdb=slow", "xvdc=default"]), **backup}
    in_place = {"in-place": Variant("b", value=True)}
    host = {"target": Variant("s", "qemu+ssh://root@kvm2/system")}
    options: Options
    for options, target in (
        ({}, ""),
        (more, "3 places: default, slow, backups"),
        ({**in_place, **backup}, "backups"),
        (host, "qemu+ssh://kvm2/system"),
        (
            {**host, **backup},
            "2 places: qemu+ssh://kvm2/system default, backups",
        ),
    ):
        (job,) = await root.call("Migrate", "ssa{sv}", "xen:///system", "web1", options)
        assert await root.get(job, "Target") == target
        daemon.end(job)


@pytest.mark.parametrize(
    "vm",
    ["", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", " 6BA7B8109DAD11D180B400C04FD430C8", "-6ba7" * 8],
)
async def test_rules_about_a_name_see_the_name(daemon: Daemon, connect: Connect, vm: str) -> None:
    """Games may do all to any guest but one, by its name."""
    for operation in ("Inspect", "Plan", "Migrate"):
        with pytest.raises(CallError, match="called by its name"):
            await (await connect("games")).call(operation, "ssa{sv}", "xen:///system", vm, {})
    root = await connect("root")
    daemon.end((await root.call("Inspect", "ssa{sv}", "xen:///system", vm, {}))[0])


async def test_rules_see_the_credential(daemon: Daemon, connect: Connect) -> None:
    options = {"keys": Variant("as", ["all:credential:vm1"])}
    for source, name in (("xen:///system", "forbidden"), ("xen:///system", "web1")):
        calling = (await connect("uucp")).call("Inspect", "ssa{sv}", source, name, options)
        if name == "web1":
            daemon.end((await calling)[0])
        else:
            with pytest.raises(CallError, match="AccessDenied"):
                await calling


async def test_rule_that_allows_one_path_allows_no_other_beside_it(connect: Connect) -> None:
    options = {"keys": Variant("as", ["all:credential:vm1", "/dev/xvdb:credential:other"])}
    with pytest.raises(CallError, match="inspect-paths needs authentication"):
        await (await connect("uucp")).call("Inspect", "ssa{sv}", "xen:///system", "web1", options)


def test_many_paths_are_told_in_short() -> None:
    assert told(["/a"]) == "/a"
    assert told(["/a", "/b"]) == "2 paths: /a, /b"
    assert told([f"/{number}" for number in range(25)]).endswith(", /19, 5 more")
