# SPDX-License-Identifier: GPL-2.0-or-later
"""The host that a guest goes to: this one, or by ssh another one with QEMU's libvirt."""

from collections.abc import Iterator
from contextlib import contextmanager

from xen2kvmd.errors import InvalidOption
from xen2kvmd.model import Request
from xen2kvmd.system import libvirt_uri
from xen2kvmd.system.libvirt import TARGET_URI, Host, connected

SCHEMES = ("qemu", "qemu+ssh")
_FORM = "Write qemu+ssh://root@HOST/system, with :PORT where it is not 22; or leave --target out."


def check_target_host(request: Request) -> None:
    """Raise InvalidOption for a target that cannot be, or what another host cannot do for it."""
    if _is_remote(request) and request.in_place:
        raise InvalidOption(
            "The option 'in-place' is for a target that is this host.",
            hint="Give a storage pool of the other host with --pool.",
        )


@contextmanager
def target_host(request: Request) -> Iterator[Host]:
    """Connect to the target's libvirt. Raises InvalidOption, ConnectionFailed and ssh's errors."""
    with connected(_address(request)) as host:
        yield host


def ssh_address(request: Request) -> str:
    """Return how ssh reaches the target, ssh://USER@HOST:PORT?keyfile=/PATH; "" for this host."""
    return libvirt_uri.ssh_address(_address(request))


def _is_remote(request: Request) -> bool:
    return libvirt_uri.is_remote(_address(request))


def _address(request: Request) -> str:
    uri = request.target or TARGET_URI
    if uri.partition(":")[0] not in SCHEMES:
        raise InvalidOption(
            f"The target '{libvirt_uri.shown(uri)}' is no libvirt of QEMU.", hint=_FORM
        )
    return libvirt_uri.address(uri, what="target", error=InvalidOption, hint=_FORM)
