# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot menus as hostile guests write them: none is read for ever, or too deep."""

import re
from pathlib import Path

import pytest

from tests.guest.folder import Folder
from xen2kvmd.guest import grubenv
from xen2kvmd.guest.menus import Menu, read_menu
from xen2kvmd.guest.syslinux import name_default, set_default


def menu_of(tmp_path: Path, text: str) -> Menu | None:
    path = tmp_path / "boot/grub/grub.cfg"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return read_menu(Folder(tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "submenu 'x' {\n" * 60_000,
        "menuentry " + "'" * 1_000_000 + " {",
        "}\n" * 400_000,
        "",
        "\0" * 4096,
        "menuentry 'a' {\n",
    ],
)
def test_no_menu_is_found_in_nonsense(tmp_path: Path, text: str) -> None:
    assert menu_of(tmp_path, text) is None


@pytest.mark.parametrize("said", ["9>9", "²", pytest.param("9" * 5000, id="9...")])
def test_default_that_is_not_there_is_the_first(said: str, tmp_path: Path) -> None:
    entry = "menuentry 'a' {{\n linux /vmlinuz-{}\n}}\n"
    menu = menu_of(tmp_path, f'set default="{said}"\n' + entry.format(1) + entry.format(2))
    assert menu is not None
    assert menu.default is not None
    assert menu.default.kernel == "vmlinuz-1"


def test_files_of_extlinux_that_include_each_other_are_read_once(tmp_path: Path) -> None:
    folder = tmp_path / "boot/extlinux"
    folder.mkdir(parents=True)
    several = "".join(f"include {number}.cfg\n" for number in range(40))
    for number in range(40):
        (folder / f"{number}.cfg").write_text(several)
    (folder / "extlinux.conf").write_text(
        f"{several}include extlinux.conf\ninclude ../../etc/other\nlabel a\n linux /vmlinuz-1\n"
    )
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/other").write_text("label b\n linux /vmlinuz-2\n")

    menu = read_menu(Folder(tmp_path))

    assert menu is not None
    assert [entry.name for entry in menu.entries] == ["a"]


@pytest.mark.parametrize(
    ("head", "kernel"),
    [
        ("DEFAULT menu.c32\n", "vmlinuz-lts"),
        ("UI vesamenu.c32\nDEFAULT virt\n", "vmlinuz-lts"),
        ("DEFAULT virt\n", "vmlinuz-virt"),  # no program that reads the mark
        ("DEFAULT lts\nONTIMEOUT virt\n", "vmlinuz-virt"),
        ("", "vmlinuz-lts"),
    ],
)
def test_default_of_a_menu_of_syslinux_is_marked_in_the_entry(
    head: str, kernel: str, tmp_path: Path
) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/extlinux.conf").write_text(
        f"{head}LABEL virt\n  LINUX vmlinuz-virt\n  APPEND ro\n"
        "LABEL lts\n  MENU DEFAULT\n  MENU LABEL Linux lts\n  LINUX vmlinuz-lts\n  APPEND ro\n"
    )

    menu = read_menu(Folder(tmp_path))

    assert menu is not None
    assert menu.default is not None
    assert (menu.default.kernel, menu.default.arguments) == (kernel, "ro")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("DEFAULT vmlinuz-xen root=/dev/xvda1\n", "DEFAULT lts\n"),  # a kernel, no label
        ("DEFAULT menu.c32\n", "DEFAULT menu.c32\n"),
        ("ONTIMEOUT vmlinuz-xen ro\n", "ONTIMEOUT lts\n"),
    ],
)
def test_default_of_syslinux_is_set_where_it_is_read(
    head: str, expected: str, tmp_path: Path
) -> None:
    file = tmp_path / "extlinux.conf"
    file.write_bytes(f"{head}LABEL lts\n  LINUX vmlinuz-lts\n".replace("\n", "\r\n").encode())
    tree = Folder(tmp_path)
    set_default(tree, "/extlinux.conf", "lts")
    text = file.read_bytes().decode().replace("\r\n", "\n")
    assert text.startswith(expected)
    assert ("MENU DEFAULT" in text) == ("c32" in head)
    name_default(tree, "/extlinux.conf", "lts")
    assert re.search("^default lts", file.read_bytes().decode(), re.M | re.I)


@pytest.mark.parametrize(
    ("said", "saved", "kernel"),
    [
        ("${saved_entry}", "id-5.14.0-1", "vmlinuz-5.14.0-1"),
        ("${saved_entry}", "1", "vmlinuz-5.14.0-1"),  # grub2-set-default 1
        ("${saved_entry}", "Rocky 5.14.0-1", "vmlinuz-5.14.0-1"),
        ("${saved_entry}", "id-4.18.0-1", "vmlinuz-5.14.0-2"),  # removed since
        ("${saved_entry}", "7", "vmlinuz-5.14.0-2"),
        pytest.param("9" * 5000, "", "vmlinuz-5.14.0-2", id="9..."),
        ("1", "id-5.14.0-2", "vmlinuz-5.14.0-1"),  # GRUB_DEFAULT=1: what is saved is not read
    ],
)
def test_default_of_bls_entries_is_named_as_grub_lets_it_be(
    said: str, saved: str, kernel: str, tmp_path: Path
) -> None:
    guest = Folder(tmp_path)
    guest.write("/boot/grub2/grub.cfg", f'set default="{said}"\ninsmod blscfg\nblscfg\n')
    guest.write(
        "/boot/grub2/grubenv", grubenv.with_value(grubenv.EMPTY, "saved_entry", saved) or ""
    )
    for version in ("5.14.0-1", "5.14.0-2"):
        text = f"title Rocky {version}\nlinux /vmlinuz-{version}\noptions ro\n"
        guest.write(f"/boot/loader/entries/id-{version}.conf", text)

    menu = read_menu(guest)

    assert menu is not None
    assert menu.default is not None
    assert menu.default.kernel == kernel
