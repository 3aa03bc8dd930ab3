# SPDX-License-Identifier: GPL-2.0-or-later
"""Values on the command line: what is taken, and what is told to who knows virt-v2v's."""

import os
from argparse import ArgumentTypeError
from collections.abc import Iterable
from enum import StrEnum

from xen2kvmd.model import MacPolicy


def words(kind: Iterable[StrEnum]) -> tuple[str, ...]:
    """Return the values of an enumeration as they are typed; argparse shows choices by repr()."""
    return tuple(value.value for value in kind)


def folder(text: str) -> str:
    """Read the path of a folder, from where the user is; "" stays empty, to be refused."""
    return os.path.abspath(text) if text else ""


def mac_policy(text: str) -> str:
    """Read what becomes of the MAC addresses; virt-v2v has an option of this name for NICs."""
    if text in words(MacPolicy):
        return text
    known = " or ".join(words(MacPolicy))
    raise ArgumentTypeError(
        f"'{text}' is not {known}; what virt-v2v calls --mac MAC:network:NAME is here "
        "--nic mac:MAC=network:NAME"
    )


def output_mode(text: str) -> str:
    """Read virt-v2v's -o: the new guest is always one of libvirt's."""
    if text == "libvirt":
        return text
    raise ArgumentTypeError(
        f"'{text}' is not libvirt, which always gets the guest; disks go to a folder with "
        "--directory DIR, and convert-xml prints the domain XML"
    )
