# SPDX-License-Identifier: GPL-2.0-or-later
"""Entries of the Boot Loader Specification for a GRUB that has no blscfg, as Debian 12's.

They go into custom.cfg, which grub.cfg reads, so that the guest's own grub2-mkconfig keeps them.
"""

import re
from collections.abc import Iterator

from xen2kvmd.guest.bls import BlsEntry, bls_entries
from xen2kvmd.guest.tree import Tree, escaped
from xen2kvmd.model import Case, Finding, Severity

_SPECIAL = re.compile(r"([^\w\s=/.,:+@%$-])")  # $kernelopts and the like are read as by blscfg
_MARK = (
    "# Made by xen2kvm of loader/entries: the GRUB that starts this guest does not read these.\n"
)
_ENTRY = "menuentry '{title}' --id '{name}' {{\n\tlinux {linux} {options}\n{initrd}}}\n"


def plain_entries(guest: Tree, case: Case) -> Iterator[Finding]:
    """Write the entries as plain ones beside the menu, which names its default by their ids."""
    folder = case.facts.boot_area.folder
    path, menu = f"{folder}/custom.cfg", f"{folder}/grub.cfg"
    if "custom.cfg" not in guest.read(menu):
        yield Finding(
            "menu-of-bls",
            f"{menu} takes its entries from /boot/loader/entries, which this host's GRUB cannot "
            "read, and reads no custom.cfg, where they could be.",
            Severity.BLOCKER,
            hint="Install GRUB for BIOS in the guest under Xen: the package grub2-pc.",
            place=menu,
        )
        return
    own = guest.read(path).partition(_MARK)[0] if guest.is_file(path) else ""
    guest.write(path, own + _MARK + "".join(map(_written, bls_entries(guest))))
    yield Finding(
        "menu-of-bls-copied",
        "This host's GRUB, which the guest gets, cannot read /boot/loader/entries: they are in "
        f"{path}, too. A kernel that is installed later will not be.",
        Severity.WARNING,
        hint="In the new guest install the package grub2-pc, run grub2-install, and take them out "
        "of that file.",
        place=path,
    )


def _written(entry: BlsEntry) -> str:
    initrds = " ".join(map(_quoted, entry.initrds))
    return _ENTRY.format(
        title=escaped(entry.title or entry.name).replace("'", ""),
        name=escaped(entry.name).replace("'", ""),
        linux=_quoted(entry.linux),
        options=_quoted(entry.options),
        initrd=f"\tinitrd {initrds}\n" if initrds else "",
    )


def _quoted(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
