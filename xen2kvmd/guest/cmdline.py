# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel command lines, wherever a boot loader keeps them."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from posixpath import dirname, join, normpath

from xen2kvmd.guest import grubenv, mkinitcpio
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Finding, Severity

Edit = Callable[[str], str]

# Where GRUB 2's menu is made from: all variables, LINUX, LINUX_DEFAULT, LINUX_RECOVERY and others.
# Tools of SUSE read the same variables (guide 15.2.3, step 4). GRUB_DEVICE, where it is said, is
# the root that grub-mkconfig would else find out.
GRUB_DEFAULTS = "/etc/default/grub"
# What the entries of new kernels get: of kernel-install(8), which RHEL 9.3 and later and Fedora use
# with GRUB too; of SUSE's perl-Bootloader; of Debian's extlinux-update, and Alpine's.
KERNEL_INSTALL = "/etc/kernel/cmdline"
CMDLINE_D = "/etc/cmdline.d/*.conf"  # of mkinitcpio, for unified kernel images
_IN_QUOTES = ("/etc/sysconfig/bootloader", "/etc/default/extlinux", "/etc/update-extlinux.conf")
DEFAULTS = (
    GRUB_DEFAULTS,
    "/etc/default/grub.d/*.cfg",
    KERNEL_INSTALL,
    CMDLINE_D,
    *_IN_QUOTES,
    "/etc/dracut.conf",
    "/etc/dracut.conf.d/*.conf",
)
# What a boot loader, pygrub too, reads itself.
MENUS = (
    "/boot/grub/grub.cfg",
    "/boot/grub2/grub.cfg",
    "/boot/efi/EFI/*/grub.cfg",
    "/boot/grub/menu.lst",
    "/boot/grub/grub.conf",
    "/boot/loader/entries/*.conf",
    "/boot/efi/loader/entries/*.conf",
    "/efi/loader/entries/*.conf",
    "/boot/extlinux/extlinux.conf",
    "/boot/extlinux/*.cfg",  # Debian's includes linux.cfg
    "/boot/extlinux.conf",
    "/boot/syslinux/*.cfg",
    "/extlinux.conf",
    "/boot/grub/custom.cfg",
    "/boot/grub2/custom.cfg",
)
# Entries written by hand, which tools copy into GRUB's menu: 40_custom, and others like it. What
# packages bring makes its entries by a script: no title there is plain text.
_SCRIPTS = ("/etc/grub.d/*",)
_BY_HAND = re.compile(r"""^[ \t]*menuentry[ \t]+["'][^$\n]""", re.MULTILINE)

# No two parts of it take the same characters: a guest may write what it likes.
_DEFAULT = re.compile(
    r"""^(?P<head>[ \t]*(?:export[ \t]+)?(?:GRUB_(?:CMDLINE_LINUX|DEVICE)\w*\+?|\w+_APPEND|
    EXTLINUX_ROOT|EXTLINUX_PARAMETERS|kernel_cmdline\+?|root|default_kernel_opts)=)
    (?:"(?P<line>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)'|(?P<plain>[^\s"'\#]*))[ \t]*(?:\#.*)?$""",
    re.DOTALL | re.VERBOSE,
)
_EVERY = re.compile(r"""^\s*(?:export\s+)?GRUB_CMDLINE_LINUX\+?=["']?(?P<line>[^"'#]*)""")
_MENU = re.compile(
    r"""^(?P<head>\s*(?:(?:linux|linux16|linuxefi|kernel|module|module2)\s+\S+|options|append|
    \#\s*(?:kopt|defoptions|xenkopt)=)[ \t]*)(?P<line>.*)$""",
    re.IGNORECASE | re.VERBOSE,
)
_QUOTED = re.compile(
    r"""^(?P<head>(?:DEFAULT_APPEND|FAILSAFE_APPEND|EXTLINUX_PARAMETERS|default_kernel_opts)=)
    "(?P<line>(?:[^"\\]|\\.)*)\"""",
    re.VERBOSE,
)
_PLAIN = re.compile(r"^(?P<head>)(?P<line>[^#].*)$")
_ENV = re.compile(r"^(?P<head>kernelopts=)(?P<line>.*)$")


ROOT = re.compile(r"root=.*|ro|rw")  # which GRUB's tools find out themselves


def is_linux(cmdline: str) -> bool:
    """Tell whether arguments are those of a kernel that mounts a root: no hypervisor's, or test's.

    Without any, it may be a line that names the kernel alone: its arguments are on another.
    """
    return any(ROOT.fullmatch(word) for word in cmdline.split())


def words_of(cmdline: str) -> list[str]:
    """Split a kernel's arguments as the kernel does: blanks in double quotes are part of one."""
    return re.findall(r'(?:[^\s"]|"[^"]*"?)+', cmdline)


def edit_defaults(tree: Tree, edit: Edit) -> None:
    """Change every command line that a menu is made from."""
    named = mkinitcpio.cmdlines(tree)
    for path in dict.fromkeys((*_files(tree, DEFAULTS), *named)):
        plain = path in (KERNEL_INSTALL, *named) or fnmatchcase(path, CMDLINE_D)
        pattern = _PLAIN if plain else _DEFAULT
        _edit(tree, path, _joined(tree.read(path).split("\n")), pattern, edit)


def add_to_defaults(tree: Tree, words: Collection[str], *, why: str) -> None:
    """Add arguments for all entries to what GRUB's menu is made from, which a shell reads."""
    text = tree.read(GRUB_DEFAULTS)
    lines = [found["line"] for line in text.split("\n") if (found := _EVERY.match(line))]
    there = {word for line in lines for word in line.split()}
    consoles = {word for word in words if word.startswith("console=")}
    if not consoles <= there:  # the last is /dev/console: all of them, in their order, or none
        there -= consoles
    words = [word for word in words if word not in there]
    if words:
        end = "" if text.endswith("\n") or not text else "\n"
        line = f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {" ".join(words)}"'
        tree.write(GRUB_DEFAULTS, f"{text}{end}# {why}, by xen2kvm.\n{line}\n")


def edit_new_entries(tree: Tree, edit: Edit) -> None:
    """Change the command lines that the entries of new kernels get as they stand."""
    for path in (KERNEL_INSTALL, *_IN_QUOTES):
        if tree.is_file(path):
            pattern = _PLAIN if path == KERNEL_INSTALL else _QUOTED
            _edit(tree, path, tree.read(path).split("\n"), pattern, edit)


def menu_files(tree: Tree) -> tuple[str, ...]:
    """Return the files with entries that a boot loader reads, now or from its next menu."""
    scripts = _files(tree, _SCRIPTS)
    return (
        *_files(tree, MENUS),
        *(path for path in scripts if _BY_HAND.search(tree.read(path))),
    )


def edit_menus(tree: Tree, edit: Edit) -> Iterator[Finding]:
    """Change every command line that a boot loader reads; report one that cannot be changed."""
    for path in menu_files(tree):
        _edit(tree, path, tree.read(path).split("\n"), _MENU, edit)
    for path in _files(tree, grubenv.PATHS):
        yield from _edit_grubenv(tree, path, edit)


def menu_lines(tree: Tree) -> Iterator[tuple[str, int, str]]:
    """Yield path, line number and text of each command line that a boot loader reads."""
    for path in menu_files(tree):
        for number, line in enumerate(tree.read(path).split("\n"), start=1):
            found = _MENU.match(line)
            if found and not line.lstrip().startswith("#"):
                yield path, number, found["line"]
    for path in _files(tree, grubenv.PATHS):
        for number, line in enumerate(grubenv.unpack(tree.read(path)) or (), start=1):
            if found := _ENV.match(line):
                yield path, number, found["line"]


def _files(tree: Tree, patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the files that match; of a file and a link to it (menu.lst) the file alone."""
    found = [path for pattern in patterns for path in tree.glob(pattern) if tree.is_file(path)]
    return tuple(path for path in found if _target(tree, path) not in found)


def _target(tree: Tree, path: str) -> str:
    target = tree.read_link(path)
    return normpath(join(dirname(path), target)) if target else ""


def _edit(
    tree: Tree, path: str, lines: Iterable[str], pattern: re.Pattern[str], edit: Edit
) -> None:
    tree.write(path, "\n".join(_edit_line(line, pattern, edit) for line in lines))


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines, those of a shell that go on behind a backslash as one; a comment never."""
    whole: list[str] = []
    for line in lines:
        whole.append(line)
        if not line.endswith("\\") or whole[0].lstrip().startswith("#"):
            yield "\n".join(whole)
            whole = []
    if whole:
        yield "\n".join(whole)


def _edit_line(line: str, pattern: re.Pattern[str], edit: Edit) -> str:
    found = pattern.match(line)
    part = found.lastgroup if found else None  # the arguments, in whatever quotes
    if not (found and part) or edit(found[part]) == found[part]:
        return line
    return line[: found.start(part)] + edit(found[part]) + line[found.end(part) :]


def _edit_grubenv(tree: Tree, path: str, edit: Edit) -> Iterator[Finding]:
    """Change kernelopts= in GRUB's environment block."""
    lines = grubenv.unpack(tree.read(path))
    if lines is None:
        return
    changed = grubenv.pack(_edit_line(line, _ENV, edit) for line in lines)
    if changed is not None:
        tree.write(path, changed)
    else:
        yield Finding(
            "grubenv-full",
            f"The kernel arguments in {path} stay as they are: changed, they would not fit into "
            f"its {grubenv.SIZE} bytes.",
            Severity.WARNING,
            hint=f"Shorten kernelopts in the guest: grub2-editenv {path} set kernelopts=...",
            place=path,
        )
