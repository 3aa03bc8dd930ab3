# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's errors as ours, and calls that an older libvirt has not.

A Xen host may be as old as RHEL 5 (libvirt 0.6.3 to 0.8.2) or SLES 11 (0.7.6 to 1.2.5), and its
driver for xend knows less than its libvirt: src/xen/xen_driver.c says since when it has each call.
What the other end has not, the client's library reports as VIR_ERR_NO_SUPPORT, also what its
server calls an unknown procedure.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import libvirt

from xen2kvmd.errors import (
    ConnectionFailed,
    Failed,
    InvalidXml,
    MigrationError,
    TargetExists,
)
from xen2kvmd.system.libvirt_uri import ssh_address
from xen2kvmd.system.ssh_login import login_of, refusal
from xen2kvmd.words import one_line

T = TypeVar("T")

_EXISTS = (libvirt.VIR_ERR_STORAGE_VOL_EXIST, libvirt.VIR_ERR_DOM_EXIST)
_BAD_XML = (libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_ERR_XML_INVALID_SCHEMA)


def unreachable(uri: str, said: str) -> MigrationError:
    """Return the error for a libvirt that could not be connected to, by what libvirt, or ssh, said.

    The words are those of ssh(1), which libvirt hands on; it has no codes for them.
    """
    address = ssh_address(uri)
    if address and (refused := refusal(address, said)):
        return refused
    hint = "Is libvirtd (or its daemon for this driver) installed and running on this host?"
    if address:
        hint = f"See that this works as root, and that libvirt runs there: {login_of(address)}"
    elif uri.startswith("xen:"):
        hint = f"This is the Xen of this host. Another's is -c xen+ssh://root@HOST/system. {hint}"
    return ConnectionFailed(
        f"libvirt at {uri.partition('?')[0]} cannot be reached: {one_line(said)}.", hint=hint
    )


def silent(uri: str, *, seconds: float) -> MigrationError:
    """Return the error for a libvirt that takes calls and does not answer them."""
    address = ssh_address(uri)
    return ConnectionFailed(
        f"libvirt at {uri.partition('?')[0]} does not answer: it has had {seconds:g} seconds.",
        hint="It hangs, or its host is overloaded: see there what 'systemctl status libvirtd' "
        f"says{f' ({login_of(address)})' if address else ''}; if it hangs, restart it.",
    )


def lost(uri: str, said: str) -> MigrationError:
    """Return the error for a libvirt that the connection was lost to, by what libvirt said."""
    what = "it does not answer any more" if "keepalive" in said else one_line(said)
    return ConnectionFailed(
        f"The connection to libvirt at {uri.partition('?')[0]} was lost: {what}.",
        hint="Does it hang, did it crash, or was it stopped? Its journal there may tell: "
        "journalctl -u libvirtd",
    )


@contextmanager
def translated(what: str, *, hint: str = "") -> Iterator[None]:
    """Raise libvirt's errors as ours; `what` begins the sentence."""
    try:
        yield
    except libvirt.libvirtError as error:
        kind: type[MigrationError] = Failed
        if error.get_error_code() in _EXISTS:
            kind = TargetExists
        elif error.get_error_code() in _BAD_XML:
            kind = InvalidXml
        raise kind(f"{what}: {one_line(error.get_error_message())}.", hint=hint) from error


def either(new: Callable[[], T], old: Callable[[], T], *codes: int) -> T:
    """Return what a call does, or another, where libvirt or its driver is too old for the first.

    codes are what else such a driver answers.
    """
    try:
        return new()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_NO_SUPPORT, *codes):
            raise
    return old()


class absent:
    """Leave the block quietly if libvirt says, with one of the codes, that the thing is not there.

    A class, because only an __exit__ that returns bool tells mypy that the block may be left early.
    """

    def __init__(self, *codes: int) -> None:
        self._codes = codes

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        if not isinstance(error, libvirt.libvirtError):
            return False
        if error.get_error_code() in self._codes:
            return True
        raise Failed(f"libvirt failed: {one_line(error.get_error_message())}.") from error
