# SPDX-License-Identifier: GPL-2.0-or-later
"""What mkinitcpio of Arch is told: the presets that build its images, and their configuration."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from xen2kvmd.guest.tree import Tree

CONFIG = "/etc/mkinitcpio.conf"
DROP_INS = "/etc/mkinitcpio.conf.d/*.conf"
_PRESETS = "/etc/mkinitcpio.d/*.preset"
_SETTING = re.compile(r"""^[ \t]*(\w+)=(?:"([^"\n]*)"|'([^'\n]*)'|([^\s"'#]*))""", re.MULTILINE)

_CMDLINE = re.compile(r"(?<!\S)--cmdline[= ][ ]*(\S+)")


@dataclass(frozen=True)
class Preset:
    """What builds an image: the preset's name for mkinitcpio -p, and what that says of the image.

    config is the one file that is read, "" for the usual ones; cmdline the one with the arguments
    of a unified image, "" for those of kernel-install and cmdline.d.
    """

    name: str
    image: str
    config: str
    cmdline: str


def preset(tree: Tree, image: str) -> Preset | None:
    """Return the preset that makes this initrd, or unified image, None where none does."""
    return next((one for one in _presets(tree) if one.image == image), None)


def configs(tree: Tree, image: str) -> tuple[str, ...]:
    """Return the files that are read for an image, in their order; the last word counts.

    A file that is named is read alone, without drop-ins (mkinitcpio(8), -c).
    """
    made = preset(tree, image)
    paths = (made.config,) if made and made.config else (CONFIG, *tree.glob(DROP_INS))
    return tuple(path for path in paths if path.startswith("/") and tree.is_file(path))


def cmdlines(tree: Tree) -> tuple[str, ...]:
    """Return the files with kernel arguments that presets name."""
    paths = dict.fromkeys(one.cmdline for one in _presets(tree))
    return tuple(path for path in paths if path.startswith("/") and tree.is_file(path))


def _presets(tree: Tree) -> Iterator[Preset]:
    for path in filter(tree.is_file, tree.glob(_PRESETS)):
        name = path.rpartition("/")[2].removesuffix(".preset")
        said = {key: "".join(values) for key, *values in _SETTING.findall(tree.read(path))}
        for key, value in said.items():
            of, _, kind = key.rpartition("_")
            if kind in ("image", "uki"):
                of = of.removesuffix("_efi")
                config = said.get(f"{of}_config") or said.get("ALL_config", "")
                options = _CMDLINE.findall(said.get(f"{of}_options", ""))
                yield Preset(name, value, config, "".join(options[-1:]))
