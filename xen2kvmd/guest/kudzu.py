# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule for kudzu, which looks at each start for hardware that is new or gone (RHEL 5)."""

import re
from collections.abc import Iterator

from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule

_SCRIPT = "/etc/init.d/kudzu"
_TARGET = "../init.d/kudzu"
_STARTS = "/etc/rc[2-5].d/S[0-9][0-9]kudzu"
# As chkconfig(8) reads it: runlevels, and the places among what is started and what is stopped.
_PLACES = re.compile(r"^#[ \t]*chkconfig:[ \t]*\S+[ \t]+\d{1,2}[ \t]+(\d{1,2})[ \t]*$", re.M)


@rule(guide="")
def kudzu_off(guest: Tree, case: Case) -> Iterator[Finding]:
    """Keep kudzu from taking the guest's NICs for gone, and their settings with them.

    It finds other hardware, and renames ifcfg-eth0 to ifcfg-eth0.bak, or waits for somebody to
    answer: virt-v2v turns it off, too (convert_linux.ml, unconfigure_kudzu). The links are those of
    'chkconfig kudzu off'; without a link for stopping, an update of its package would start it.
    """
    starts = guest.glob(_STARTS)
    if not (guest.is_file(_SCRIPT) and starts):
        return
    found = _PLACES.search(guest.read(_SCRIPT))
    for path in starts:
        guest.remove(path)
        guest.link(f"{path.rpartition('/')[0]}/K{found[1] if found else '95':0>2}kudzu", _TARGET)
    yield Finding(
        "kudzu-off",
        "kudzu, which looks for changed hardware when the guest starts, is turned off: it would "
        "take the NICs for new ones, and set their addresses aside.",
        Severity.INFO,
        hint="If the guest shall look for hardware again: chkconfig kudzu on.",
        place=_SCRIPT,
    )
