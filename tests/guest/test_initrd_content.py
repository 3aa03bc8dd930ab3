# SPDX-License-Identifier: GPL-2.0-or-later
"""What an initrd holds is read without the guest's tools, however it is packed."""

import subprocess
from pathlib import Path
from typing import cast

import pytest

from tests.guest.built import partitioned
from tests.guest.folder import Folder
from tests.guest.unified import program
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.initrd_content import files_in
from xen2kvmd.guest.kernels import initrd_lacks
from xen2kvmd.model import Kernel

MODULES = "usr/lib/modules/6.17.1"
DRIVERS = tuple(f"{MODULES}/kernel/drivers/{name}.ko.xz" for name in ("virtio_pci", "virtio_blk"))
PATH = "/boot/initrd"


class Local(Folder):
    """A folder with the appliance's shell: the same programs, of this host."""

    def call(self, name: str, path: str, *arguments: int) -> bytes | str:
        if name == "realpath":
            return path
        count, offset = arguments
        with (self.root / path[1:]).open("rb") as stream:
            stream.seek(offset)
            return stream.read(count)

    def shell(self, line: str) -> str:
        here = line.replace("/sysroot", str(self.root))
        return subprocess.run(["sh", "-c", here], check=True, capture_output=True).stdout.decode()


def archive(folder: Path, *files: str) -> bytes:
    """Pack files of a few bytes by cpio itself."""
    for number, path in enumerate(files):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"{'x' * number}\nnot/here/virtio_scsi.ko\n")
    names = "\n".join(files).encode()
    line = ["cpio", "--quiet", "-o", "-H", "newc"]
    return subprocess.run(line, cwd=folder, input=names, check=True, stdout=-1).stdout


def packed(data: bytes, *command: str) -> bytes:
    return subprocess.run(command, input=data, check=True, stdout=-1).stdout if command else data


def holding(root: Path, data: bytes) -> Appliance:
    guest = Local(root)
    guest.write(PATH, "")
    (root / PATH[1:]).write_bytes(data)
    return cast(Appliance, guest)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    "command",
    [
        (),
        ("gzip",),
        ("xz", "--check=crc32"),
        ("zstd", "-q"),
        ("bzip2",),
        ("xz", "--format=lzma"),
        ("lzop",),
    ],
    ids=" ".join,
)
def test_files_are_found_however_they_are_packed(
    command: tuple[str, ...], tmp_path: Path, *, early: bool
) -> None:
    data = packed(archive(tmp_path / "main", "init", *DRIVERS), *command)
    if early:
        data = archive(tmp_path / "early", "kernel/x86/microcode/GenuineIntel.bin") + data
    guest = holding(tmp_path / "guest", data)

    assert {"init", *DRIVERS} <= set(files_in(guest, PATH))


def test_several_archives_of_which_each_is_packed_are_all_read(tmp_path: Path) -> None:
    parts = (archive(tmp_path / "a", "init"), archive(tmp_path / "b", *DRIVERS))
    data = b"".join(packed(part, "zstd", "-q") for part in parts)

    assert set(files_in(holding(tmp_path / "guest", data), PATH)) >= {"init", *DRIVERS}


def test_many_files_that_are_not_packed_are_read(tmp_path: Path) -> None:
    names = [f"etc/{number}" for number in range(300)]
    guest = holding(tmp_path / "guest", archive(tmp_path / "main", *names, *DRIVERS))

    assert set(DRIVERS) <= set(files_in(guest, PATH))


@pytest.mark.parametrize("data", [b"", b"\0" * 4096, b"no archive", b"070701", b"\x02\x21\x4c\x18"])
def test_what_is_no_archive_has_no_files(data: bytes, tmp_path: Path) -> None:
    assert files_in(holding(tmp_path, data), PATH) == ()


@pytest.mark.parametrize(
    ("drivers", "lacks"),
    [(DRIVERS, ()), (DRIVERS[:1], ("virtio_blk",)), ((), ("virtio_pci", "virtio_blk"))],
    ids=["both", "one", "none"],
)
def test_drivers_in_a_unified_image_are_those_of_its_initrd(
    drivers: tuple[str, ...], lacks: tuple[str, ...], tmp_path: Path
) -> None:
    main = packed(archive(tmp_path / "main", "init", *drivers), "zstd", "-q")
    initrd = (archive(tmp_path / "early", "early_cpio") + main).decode("latin-1")
    image = program(text="stub", linux="virtio_blk.ko virtio_pci.ko", initrd=initrd)
    guest = holding(tmp_path / "guest", image)
    (tmp_path / "guest/boot/linux.efi").write_bytes(image)

    unified = Kernel("6.17.1", "/boot/linux.efi", "/boot/linux.efi")

    assert initrd_lacks(guest, unified) == lacks


def test_nobody_knows_what_an_initrd_lacks_that_nothing_reads(tmp_path: Path) -> None:
    guest = holding(tmp_path, b"\x02\x21\x4c\x18 of lz4")

    assert initrd_lacks(guest, Kernel("6.17.1", "/boot/vmlinuz", PATH)) is None


@pytest.mark.slow
def test_appliance_has_what_unpacks_them(tmp_path: Path) -> None:
    plain = archive(tmp_path / "main", "init", *DRIVERS)
    early = archive(tmp_path / "early", "early_cpio")
    made = {
        "gzip": packed(plain, "gzip"),
        "xz": early + packed(plain, "xz", "--check=crc32"),
        "zstd": early + packed(plain, "zstd", "-q"),
        "bzip2": packed(plain, "bzip2"),
        "lzma": packed(plain, "xz", "--format=lzma"),
        "lzop": packed(plain, "lzop"),
    }
    made["linux.efi"] = program(linux="kernel", initrd=made["zstd"].decode("latin-1"))
    image = partitioned(tmp_path / "disk.raw", "2048,,83\n")
    with Appliance.open([image], writable=True, emulate=True) as appliance:
        appliance.call("mkfs", "ext4", "/dev/vda1")
        appliance.call("mount", "/dev/vda1", "/")
        for name, data in made.items():
            (tmp_path / name).write_bytes(data)
            appliance.call("upload", str(tmp_path / name), f"/{name}")
        appliance.link("/out of reach", "/../../../etc/passwd")
        appliance.link("/it's a link", "zstd")

        found = {name: set(files_in(appliance, f"/{name}")) >= set(DRIVERS) for name in made}
        linked = files_in(appliance, "/it's a link")
        outside = files_in(appliance, "/out of reach")

    assert found == dict.fromkeys(made, True)
    assert set(linked) >= set(DRIVERS)
    assert outside == ()
