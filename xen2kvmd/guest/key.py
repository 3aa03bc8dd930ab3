# SPDX-License-Identifier: GPL-2.0-or-later
"""A key of an encrypted disk, as an appliance holds it: in memory, and never shown."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Key:
    """What opens an encrypted disk of the guest.

    selector is "all", a UUID of LUKS, or the name of a device under Xen: /dev/xvda2.
    """

    selector: str
    secret: str = field(repr=False)
