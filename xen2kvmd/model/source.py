# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest as its Xen host has it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceDisk:
    """A disk as the source has it.

    dev is its <target dev> ("xvda"), size its virtual size, allocated what it really occupies.
    """

    dev: str
    path: str
    format: str
    size: int
    allocated: int


@dataclass(frozen=True)
class Nic:
    """A network interface of the source: the order in the domain XML is the order in the guest."""

    mac: str
    kind: str  # the interface's type: bridge, network, ...
    source: str  # name of the bridge or network
