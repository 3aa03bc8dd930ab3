# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for SELinux."""

import re
from collections.abc import Iterator

from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule

CONFIG = "/etc/selinux/config"
MARK = "/.autorelabel"


@rule(guide="")
def relabel(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let SELinux label the guest's files anew at its first start.

    New files, the initrd among them, are made outside the guest, where its labels are not known;
    a program that may not read them fails.
    """
    if not guest.is_file(CONFIG):
        return
    mode = re.search(r"^[ \t]*SELINUX[ \t]*=[ \t]*(\w+)", guest.read(CONFIG), re.MULTILINE)
    if mode and mode[1] != "disabled":
        if not guest.exists(MARK):
            guest.write(MARK, "")
        yield Finding(
            "selinux-relabel",
            "The guest labels all its files anew when it is first started, and starts once more.",
            Severity.INFO,
            hint="Let it finish: it takes a minute or more for each 10 GiB of small files.",
            place=CONFIG,
        )
