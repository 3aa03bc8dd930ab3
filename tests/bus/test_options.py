# SPDX-License-Identifier: GPL-2.0-or-later
"""What options are taken for."""

import pytest

from xen2kvmd.bus import networks, options
from xen2kvmd.bus.fault import BusError
from xen2kvmd.bus.library import Variant
from xen2kvmd.errors import InvalidName, InvalidOption
from xen2kvmd.model import Allocation, DiskFormat, Engine, LinkKind, MacPolicy, NicMap, ShutdownMode

BRIDGE, NETWORK = LinkKind.BRIDGE, LinkKind.NETWORK


@pytest.mark.parametrize(
    ("key", "variant", "field", "value"),
    [
        ("document", Variant("s", "<domain>\n</domain>"), "document", "<domain>\n</domain>"),
        ("name", Variant("s", "web 2"), "name", "web 2"),
        ("directory", Variant("s", "/srv/images"), "directory", "/srv/images"),
        ("nfs-export", Variant("s", "nas_1.lan:/vm"), "nfs_export", "nas_1.lan:/vm"),
        ("nfs-export", Variant("s", "[fd00::1]:/vm"), "nfs_export", "[fd00::1]:/vm"),
        ("format", Variant("s", "raw"), "format", DiskFormat.RAW),
        ("allocation", Variant("s", "preallocated"), "allocation", Allocation.PREALLOCATED),
        ("cluster-size", Variant("u", 1 << 21), "cluster_size", 1 << 21),
        ("hooks", Variant("as", ["dns", "a.b"]), "hooks", ("dns", "a.b")),
        ("rate-limit", Variant("t", 50 << 20), "rate_limit", 50 << 20),
        ("mac", Variant("s", "new"), "mac", MacPolicy.NEW),
        ("waive", Variant("as", ["a-b", "c"]), "waive", ("a-b", "c")),
        ("boot-timeout", Variant("u", 1), "boot_timeout", 1),
        ("shutdown-timeout", Variant("u", 60), "shutdown_timeout", 60),
        ("shutdown-mode", Variant("s", "never"), "shutdown_mode", ShutdownMode.NEVER),
        ("engine", Variant("s", "v2v"), "engine", Engine.V2V),
        ("vmdp", Variant("s", "/srv/vmdp.exe"), "vmdp", "/srv/vmdp.exe"),
        ("job-token", Variant("s", "A_1"), "job-token", "A_1"),
    ],
)
def test_an_option_is_read(key: str, variant: Variant, field: str, value: object) -> None:
    assert options.read("Migrate", {key: variant}) == {field: value}


@pytest.mark.parametrize(
    ("key", "variant", "error"),
    [
        ("name", Variant("s", "a/b"), InvalidName),
        ("name", Variant("s", "a\tb"), InvalidName),
        ("pool", Variant("s", "a\nb"), InvalidOption),
        ("pool", Variant("s", "x" * 4097), InvalidOption),
        ("pool", Variant("s", "\u20ac" * 1366), InvalidOption),  # 4098 bytes
        ("directory", Variant("s", "images"), InvalidOption),
        ("directory", Variant("s", "/srv/../etc"), InvalidOption),
        ("nfs-export", Variant("s", "nas1:vm"), InvalidOption),
        ("nfs-export", Variant("s", "nas1:/vm/../etc"), InvalidOption),
        ("nfs-export", Variant("s", "-o,nas1:/vm"), InvalidOption),
        ("nfs-export", Variant("s", "nas1,x:/vm"), InvalidOption),
        ("document", Variant("s", "x" * ((1 << 20) + 1)), InvalidOption),
        ("format", Variant("s", "vmdk"), InvalidOption),
        ("cluster-size", Variant("u", 256), InvalidOption),
        ("cluster-size", Variant("u", 65537), InvalidOption),
        ("hooks", Variant("as", ["../hooks.d"]), InvalidOption),
        ("hooks", Variant("as", [".."]), InvalidOption),
        ("rate-limit", Variant("t", (1 << 40) + 1), InvalidOption),
        ("mac", Variant("s", ""), InvalidOption),
        ("pool", Variant("s", ""), InvalidOption),
        ("backup-pool", Variant("s", ""), InvalidOption),
        ("directory", Variant("s", ""), InvalidOption),
        ("waive", Variant("as", ["A B"]), InvalidOption),
        ("waive", Variant("as", ["a"] * 65), InvalidOption),
        ("boot-timeout", Variant("u", 0), InvalidOption),
        ("boot-timeout", Variant("u", 86401), InvalidOption),
        ("engine", Variant("s", "perl"), InvalidOption),
        ("virtio-win", Variant("s", "virtio-win.iso"), InvalidOption),
        ("root", Variant("s", "ask"), InvalidOption),
        ("root", Variant("s", "btrfsvol:@"), InvalidOption),
        ("packages", Variant("as", ["kernel.rpm"]), InvalidOption),
        ("packages", Variant("as", ["/srv/../etc"]), InvalidOption),
        ("packages", Variant("as", ["/srv"] * 65), InvalidOption),
        ("keys", Variant("as", ["all:file:/root/vm.key"]), InvalidOption),
        ("keys", Variant("as", ["xvda2:credential:vm1"]), InvalidOption),
        ("keys", Variant("as", ["all:credential:../x"]), InvalidOption),
        ("keys", Variant("as", ["all:clevis"]), InvalidOption),
        ("key-descriptors", Variant("a(sh)", [["xvda2", 0]]), InvalidOption),
        ("key-descriptors", Variant("a(sh)", [["all", 0]] * 65), InvalidOption),
        ("job-token", Variant("s", "a-b"), InvalidOption),
        ("job-token", Variant("s", ""), InvalidOption),
        ("job-token", Variant("s", "x" * 65), InvalidOption),
        ("network-map", Variant("as", ["xenbr0"]), InvalidOption),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(
    key: str, variant: Variant, error: type[Exception]
) -> None:
    with pytest.raises(error):
        options.read("Migrate", {key: variant})


@pytest.mark.parametrize("method", ["Backup", "Restore"])
def test_a_backup_is_in_a_pool_with_a_name(method: str) -> None:
    with pytest.raises(InvalidOption, match="'pool' is empty"):
        options.read(method, {"pool": Variant("s", "")})


@pytest.mark.parametrize("method", ["Inspect", "Plan", "Migrate", "ConvertXml", "Cancel"])
@pytest.mark.parametrize("variant", [Variant("u", 1), Variant("v", Variant("b", value=True))])
def test_the_type_is_that_of_d_bus(method: str, variant: Variant) -> None:
    with pytest.raises(BusError, match=r"InvalidArgs.*auth.no_user_interaction.*type b"):
        options.read(method, {"auth.no_user_interaction": variant})


def test_a_window_ends_after_it_begins() -> None:
    window = {"not-before": Variant("t", 20), "finish-by": Variant("t", 20)}
    with pytest.raises(InvalidOption, match="no later than"):
        options.read("Migrate", window)
    assert options.read("Migrate", window | {"finish-by": Variant("t", 21)})["finish_by"] == 21


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(InvalidOption, match=r"'netwrok-map'(.|\n)*'network-map'"):
        options.read("Migrate", {"netwrok-map": Variant("as", [])})


def test_an_option_of_another_method_is_unknown() -> None:
    with pytest.raises(InvalidOption, match="Inspect has no option 'name'"):
        options.read("Inspect", {"name": Variant("s", "x")})


def test_a_key_itself_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidOption, match="others can read it") as refused:
        options.read("Plan", {"keys": Variant("as", ["all:key:hunter2"])})
    assert "hunter2" not in str(refused.value)


def test_so_many_options_are_allowed() -> None:
    with pytest.raises(InvalidOption, match="65 options"):
        options.read("Migrate", {f"k{number}": Variant("u", 1) for number in range(65)})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("directory", Variant("s", "/b")),
        ("nfs-export", Variant("s", "nas:/b")),
        ("in-place", Variant("b", value=True)),
    ],
)
def test_disks_go_to_one_place(key: str, value: Variant) -> None:
    with pytest.raises(InvalidOption, match=f"exclude each other: pool, {key}"):
        options.read("Plan", {"pool": Variant("s", "a"), key: value})


@pytest.mark.parametrize(
    ("item", "maps"),
    [
        ("any=network:default", [NicMap("any", "", NETWORK, "default")]),
        ("bridge:xenbr0=bridge:br0", [NicMap("bridge", "xenbr0", BRIDGE, "br0")]),
        ("network:lan=bridge:br0", [NicMap("network", "lan", BRIDGE, "br0")]),
        (
            "xenbr0=bridge:br0",
            [NicMap("bridge", "xenbr0", BRIDGE, "br0"), NicMap("network", "xenbr0", BRIDGE, "br0")],
        ),
        (
            "mac:00:16:3E:aa:BB:01=network:n",
            [NicMap("mac", "00:16:3e:aa:bb:01", NETWORK, "n")],
        ),
        ("bridge:any=bridge:b", [NicMap("bridge", "any", BRIDGE, "b")]),
        ("bridge:eth0.5=bridge:br 5", [NicMap("bridge", "eth0.5", BRIDGE, "br 5")]),
    ],
)
def test_the_grammar_of_the_network_map(item: str, maps: list[NicMap]) -> None:
    assert networks.parse([item]) == tuple(maps)


@pytest.mark.parametrize(
    "item",
    ["", "=", "a=b", "a=bridge:", "=bridge:b", "any:x=", "mac:1=bridge:b", "bridge:=bridge:b",
     "a=mac:00:16:3e:00:00:01", "a/b=bridge:b", "a=bridge:../b", "a=bridge:b=c"],
)  # fmt: skip
def test_what_the_grammar_does_not_take(item: str) -> None:
    with pytest.raises(InvalidOption, match="network-map") as caught:
        networks.parse([item])
    assert "any=network:default" in caught.value.hint
