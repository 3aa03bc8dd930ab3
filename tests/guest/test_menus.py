# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot menus as hostile guests write them: none is read for ever, or too deep."""

from pathlib import Path

import pytest

from xen2kvmd.guest.folder import Folder
from xen2kvmd.guest.menus import Menu, read_menu


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


def test_default_that_is_not_there_is_the_first(tmp_path: Path) -> None:
    entry = "menuentry 'a' {{\n linux /vmlinuz-{}\n}}\n"
    menu = menu_of(tmp_path, 'set default="9>9"\n' + entry.format(1) + entry.format(2))
    assert menu is not None
    assert menu.default is not None
    assert menu.default.kernel == "vmlinuz-1"
