# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line, in our words and in virt-v2v's."""

import time
from datetime import datetime
from pathlib import Path

import pytest

from xen2kvmd.cli.arguments import parse
from xen2kvmd.cli.asked import backup_of, options_of, source_of
from xen2kvmd.cli.documents import read_document
from xen2kvmd.cli.exits import EX_BLOCKED, EX_DENIED, EX_FAILED, exit_code
from xen2kvmd.cli.numbers import moment
from xen2kvmd.errors import InvalidOption, InvalidSource
from xen2kvmd.words import amount, duration, printable


def options(line: str) -> dict[str, object]:
    return {key: value for key, _, value in options_of(parse(line.split()))}


def test_sentence_that_a_user_types() -> None:
    line = "migrate web1.xml --pool default --network default --format qcow2 --name web1-kvm"
    assert options(line) == {
        "name": "web1-kvm",
        "pool": "default",
        "format": "qcow2",
        "network-map": ["any=network:default"],
    }


def test_words_of_virt_v2v_mean_the_same() -> None:
    ours = "migrate x.xml --pool p --network n --format raw --allocation preallocated --name y"
    theirs = "migrate x.xml -i LIBVIRTXML -o libvirt -os p -of raw -oa preallocated -on y"
    theirs += " --network n"
    assert options(ours) == options(theirs)


def test_networks_are_connected_as_virt_v2v_has_it() -> None:
    ours = options("migrate x.xml --network one:n1 --network n2")
    assert options("migrate x.xml -n one:n1 -n n2") == ours
    assert ours["network-map"] == ["network:one=network:n1", "any=network:n2"]


def test_folder_is_from_where_the_user_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/srv")
    for line in ("plan x --directory vm", "migrate x --directory ./vm", "restore b --directory vm"):
        assert options(line)["directory"] == "/srv/vm"
    assert parse(["backup", "x", "--directory", "../b/"]).folder == "/b"
    assert parse(["backup", "x", "--directory", ""]).folder == ""  # for the service to refuse


def test_what_the_guest_lacks() -> None:
    line = "plan x.xml --packages /srv/p --packages /srv/./k.rpm --guest-repositories --guest-agent"
    assert options(line) == {
        "packages": ["/srv/p", "/srv/k.rpm"],
        "guest-repositories": True,
        "guest-agent": True,
    }


def test_backup_goes_to_a_folder_or_a_pool() -> None:
    assert options("migrate x.xml --backup-disks /srv/b") == {"backup-disks": "/srv/b"}
    assert options("migrate x.xml --backup-disks backups") == {"backup-pool": "backups"}
    assert options("backup x.xml --pool backups") == {"pool": "backups"}
    with pytest.raises(InvalidOption, match="nas1:/b is an NFS export"):
        options("migrate x.xml --backup-disks nas1:/b")


def test_what_is_empty_by_mistake_is_not_left_out() -> None:
    """The service refuses it: `--backup-disks "$UNSET"` must not migrate without a backup."""
    nothing = ["migrate", "x.xml", "--backup-disks", ""]
    assert {key: value for key, _, value in options_of(parse(nothing))} == {"backup-pool": ""}
    restore = parse(["restore", "web1", "--pool", "", "--directory", ""])
    assert {key: value for key, _, value in options_of(restore)} == {"pool": "", "directory": ""}
    assert backup_of(restore) == "web1"


def test_backup_is_named_by_its_path_or_in_its_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/srv")
    assert backup_of(parse(["restore", "web1"])) == "/srv/web1"
    assert backup_of(parse(["restore", "web1", "--pool", "backups"])) == "web1"


def test_night_ends_on_the_next_day() -> None:
    hour = 3_600_000_000
    for begin, end in (("22:00", "04:00"), ("01:00", "02:00"), ("23:00", "22:00")):
        given = options(f"migrate x.xml --not-before {begin} --finish-by {end}")
        window = int(str(given["finish-by"])) - int(str(given["not-before"]))
        assert 0 < window <= 24 * hour


@pytest.mark.parametrize(
    ("now", "given", "meant"),
    [
        ("2026-10-24 23:00+02:00", "22:00", "2026-10-25 22:00+01:00"),  # the clocks go back
        ("2026-03-28 23:00+01:00", "22:00", "2026-03-29 22:00+02:00"),
        ("2026-10-24 23:00+02:00", "23:30", "2026-10-24 23:30+02:00"),
        ("2026-10-24 23:00+02:00", "2026-10-23T22:00", "2026-10-23 22:00+02:00"),
        ("2026-10-24 23:00+02:00", "2026-10-26T22:00+00:00", "2026-10-26 22:00+00:00"),
    ],
)
def test_a_time_is_that_of_the_clock(
    monkeypatch: pytest.MonkeyPatch, now: str, given: str, meant: str
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert moment(given).after(datetime.fromisoformat(now)) == datetime.fromisoformat(meant)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_window_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InvalidOption, match="2026-12-02 04:00, which is not after"):
        options("migrate x.xml --not-before 2026-12-02T22:00 --finish-by 2026-12-02T04:00")
    given = options("migrate x.xml --not-before 2026-12-02T22:00 --finish-by 04:00")
    assert int(str(given["finish-by"])) - int(str(given["not-before"])) == 6 * 3_600_000_000


def test_a_job_is_removed_by_force_only_if_that_is_said() -> None:
    assert (options("remove 7"), options("remove --force 7")) == ({}, {"force": True})


def test_storage_that_is_a_path_is_a_directory() -> None:
    assert options("migrate x.xml -os /srv/kvm") == {"directory": "/srv/kvm"}


@pytest.mark.parametrize(
    ("text", "bytes_"), [("65536", 65536), ("64K", 65536), ("2m", 1 << 21), ("1G", 1 << 30)]
)
def test_sizes_have_units(text: str, bytes_: int) -> None:
    given = options(f"migrate x.xml --cluster-size {text} --rate-limit {text} --compress")
    assert given == {"cluster-size": bytes_, "rate-limit": bytes_, "compress": True}


@pytest.mark.parametrize("text", ["", "x", "-1", "1T", "1KK", "1.5M", "\u0661"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(SystemExit):
        parse(["migrate", "x.xml", f"--rate-limit={text}"])


def test_storage_of_a_host_is_an_nfs_export() -> None:
    given = "remote_host.example.com:/exported_dir"  # the guide's
    assert options(f"migrate x.xml -os {given}") == {"nfs-export": given}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--network default", "any=network:default"),
        ("--bridge br0", "any=bridge:br0"),
        ("--network old:new", "network:old=network:new"),
        ("--bridge br0:br1", "bridge:br0=bridge:br1"),
        ("--bridge br0=network:default", "bridge:br0=network:default"),
        ("--network old=bridge:br0", "network:old=bridge:br0"),
        ("--nic mac:00:16:3e:00:00:01=bridge:br0", "mac:00:16:3e:00:00:01=bridge:br0"),
    ],
)
def test_nic_maps(line: str, expected: str) -> None:
    assert options(f"plan x.xml {line}") == {"network-map": [expected]}


def test_map_for_all_nics_comes_last() -> None:
    maps = options("plan x.xml --network default --bridge br1:br2")["network-map"]
    assert maps == ["bridge:br1=bridge:br2", "any=network:default"]


def test_map_file_comes_after_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "maps"
    file.write_text("# maps\n\nany = network:rest # all\n bridge:br0 = network:dmz\n")
    maps = options(f"plan x.xml --map {file} --bridge br1:br2 --network default")["network-map"]
    assert maps == [
        "bridge:br1=bridge:br2",
        "bridge:br0=network:dmz",
        "any=network:default",
        "any=network:rest",
    ]


@pytest.mark.parametrize("line", ["br0", "= network:x", "bridge:br0 ="])
def test_line_that_is_no_map_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "maps"
    file.write_text(f"any = network:x\n{line}\n")
    with pytest.raises(InvalidOption, match=f"{file}:2: .* is no map"):
        options(f"plan x.xml --map {file}")


def test_path_maps_keep_their_order() -> None:
    line = "inspect x.xml --path-map /a=/b --path-map /=ssh://root@xen1:2222/srv"
    assert options(line) == {"path-map": ["/a=/b", "/=ssh://root@xen1:2222/srv"]}


def test_pools_of_single_disks() -> None:
    line = "migrate x.xml --pool slow --pool xvdb=fast --pool xvdc=faster"
    assert options(line) == {"pool": "slow", "disk-pool": ["xvdb=fast", "xvdc=faster"]}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "migrate",
        "migrate x.xml --format vmdk",
        "migrate x.xml --boot-timeout 0",
        "migrate x.xml --boot-timeout -5",
        "migrate x.xml --nonsense",
        "plan x.xml --shutdown-mode never",
    ],
)
def test_wrong_line_is_a_usage_error(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(line.split())
    assert caught.value.code == 2
    assert "usage: xen2kvm" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"\x7fELF\0\1", "binary"),
        (b"\xff\xfe<\0d\0", "no text in UTF-8"),
        (b"x" * ((1 << 20) + 1), "larger than"),
    ],
)
def test_file_that_is_no_document_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "x.xml").write_bytes(data)
    with pytest.raises(InvalidSource, match=said):
        read_document(str(tmp_path / "x.xml"))


def test_missing_file_is_named_with_advice() -> None:
    with pytest.raises(InvalidSource, match=r"/none\.xml cannot be read: No such file") as caught:
        read_document("/none.xml")
    assert "virsh dumpxml" in caught.value.hint


def test_source_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.xml").write_text("<domain/>")
    monkeypatch.chdir(tmp_path)
    assert source_of(parse(["plan", "x.xml"])) == (
        f"libvirtxml:{tmp_path}/x.xml",
        "",
        [("document", "s", "<domain/>")],
    )


@pytest.mark.parametrize("option", ["-c", "--connect", "-i libvirt -ic"])
def test_guest_of_a_libvirt_is_named_and_not_read(option: str) -> None:
    arguments = parse(["plan", *option.split(), "xen+ssh://root@xen1/system", "web1"])
    assert source_of(arguments) == ("xen+ssh://root@xen1/system", "web1", [])


def test_libvirt_without_a_uri_is_this_hosts() -> None:
    """As with virt-v2v; the guide's first example is such a command."""
    assert source_of(parse(["plan", "sles12_xen", "-i", "libvirt"])) == (
        "xen:///system",
        "sles12_xen",
        [],
    )


def test_kind_of_a_file_does_not_go_with_a_connection() -> None:
    with pytest.raises(InvalidOption, match="-i xl is for a file"):
        source_of(parse(["plan", *"-i xl -c xen:///system web1".split()]))


def test_shutdown_of_the_source() -> None:
    line = "migrate -c xen:///system web1 --shutdown-mode destroy --shutdown-timeout 60"
    assert options(line) == {"shutdown-mode": "destroy", "shutdown-timeout": 60}


def test_exit_codes() -> None:
    assert exit_code("") == 0
    assert exit_code("VerifyFailed") == EX_FAILED
    assert exit_code("Blocked") == EX_BLOCKED
    assert exit_code("AccessDenied") == EX_DENIED


def test_words() -> None:
    assert [amount(n) for n in (0, 1023, 1536, 3 << 40)] == ["0 B", "1023 B", "1.5 KiB", "3.0 TiB"]
    assert [duration(n) for n in (0, 61, 3725)] == ["0:00", "1:01", "1:02:05"]
    assert printable("a\x1b[31m\nb\x9b\ud800\0") == "a\ufffd[31m\nb\ufffd\ufffd\ufffd"
