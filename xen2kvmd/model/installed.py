# SPDX-License-Identifier: GPL-2.0-or-later
"""What was installed in the guest before its plan was made."""

from dataclasses import dataclass

from xen2kvmd.model.findings import Change, Finding


@dataclass(frozen=True)
class Installed:
    """The commands that ran and the packages that came, as the plan shows them."""

    changes: tuple[Change, ...] = ()
    findings: tuple[Finding, ...] = ()
    agent: bool = False  # the QEMU guest agent is among them
