# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of packages: which are taken, and what is refused before a job begins its work."""

import os
from pathlib import Path

import pytest

from xen2kvmd.errors import InvalidOption
from xen2kvmd.system.package_files import LARGEST, MAGIC, MOST, PackageFile, find_packages


def package(path: Path) -> Path:
    path.write_bytes(MAGIC[path.name[-3:]] + b"\0" * 100)
    return path


def names(found: tuple[PackageFile, ...]) -> list[str]:
    return [file.path.name for file in found]


def test_a_folder_gives_its_packages_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b_1.0-1_amd64.deb", "a-1.0-1.x86_64.rpm", "c_1%3a2+dfsg~1_all.deb"):
        package(tmp_path / name)
    (tmp_path / "README").write_text("packages\n")
    (tmp_path / "-x_1_all.deb").write_text("an option, not a name\n")
    (tmp_path / "a b_1_all.deb").write_text("two words\n")
    (tmp_path / "folder_1_all.deb").mkdir()
    (tmp_path / "gone_1_all.deb").symlink_to("nowhere")
    (tmp_path / "below").mkdir()
    package(tmp_path / "below" / "d_1_all.deb")

    found = find_packages((str(tmp_path),))

    assert names(found) == ["a-1.0-1.x86_64.rpm", "b_1.0-1_amd64.deb", "c_1%3a2+dfsg~1_all.deb"]
    assert [(file.kind, file.size) for file in found] == [("rpm", 104), ("deb", 108), ("deb", 108)]


def test_a_file_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    file = package(tmp_path / "b_1.0-1_amd64.deb")
    assert names(find_packages((str(file), str(tmp_path)))) == [file.name]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("gone_1_all.deb", None, "cannot be read"),
        ("shadow", b"root:", "not named as a package"),
        ("-i_1_all.deb", MAGIC["deb"], "not named as a package"),
        ("x_1_all.deb", b"root:$6$", "does not begin as a .deb"),
        ("x_1_all.deb", b"", "does not begin as a .deb"),
        ("x-1-1.noarch.rpm", MAGIC["deb"], "does not begin as a .rpm"),
    ],
)
def test_what_is_no_package_is_refused(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidOption, match=says):
        find_packages((str(tmp_path / name),))


def test_a_link_in_a_folder_to_what_is_no_package_is_refused(tmp_path: Path) -> None:
    """It would be copied into the guest."""
    (tmp_path / "x_1_all.deb").symlink_to("/etc/shadow")
    with pytest.raises(InvalidOption, match="does not begin as"):
        find_packages((str(tmp_path),))


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x_1_all.deb")
    with pytest.raises(InvalidOption, match="not a regular file"):
        find_packages((str(tmp_path / "x_1_all.deb"),))


def test_a_folder_without_packages_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="holds no"):
        find_packages((str(tmp_path),))


def test_what_is_too_large_or_too_many_is_refused(tmp_path: Path) -> None:
    os.truncate(package(tmp_path / "x_1_all.deb"), LARGEST + 1)
    with pytest.raises(InvalidOption, match="1024 at most"):
        find_packages((str(tmp_path / "x_1_all.deb"),))
    many = tmp_path / "many"
    many.mkdir()
    for number in range(MOST + 1):
        package(many / f"p{number}_1_all.deb")
    with pytest.raises(InvalidOption, match=f"More than {MOST}"):
        find_packages((str(many),))


@pytest.mark.parametrize(
    ("name", "arch", "fits"),
    [
        ("a_1_amd64.deb", "x86_64", True),
        ("a_1_i386.deb", "x86_64", False),
        ("a_1_all.deb", "i686", True),
        ("a_1_i386.deb", "i686", True),
        ("kernel.deb", "x86_64", True),  # the package manager knows better
        ("a-1-1.i586.rpm", "i686", True),
        ("a-1-1.x86_64.rpm", "i686", False),
        ("a-1-1.noarch.rpm", "x86_64", True),
        ("a-1-1.aarch64.rpm", "x86_64", False),
    ],
)
def test_packages_of_other_machines_and_kinds_do_not_fit(
    name: str, arch: str, *, fits: bool
) -> None:
    file = PackageFile(Path(name), name[-3:], 1)
    assert file.fits(name[-3:], arch) is fits
    assert not file.fits({"deb": "rpm", "rpm": "deb"}[name[-3:]], arch)
