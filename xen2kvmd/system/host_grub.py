# SPDX-License-Identifier: GPL-2.0-or-later
"""Where distributions put GRUB for BIOS: this host's is for guests that have no boot code."""

from pathlib import Path

PLATFORM = "i386-pc"
MODULES = (Path("/usr/lib/grub", PLATFORM), Path("/usr/share/grub2", PLATFORM))
TOOLS = (Path("/usr/bin/grub-mkimage"), Path("/usr/bin/grub2-mkimage"))
