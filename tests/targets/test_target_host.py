# SPDX-License-Identifier: GPL-2.0-or-later
"""The target's URI: what may be in it, and what another host cannot do."""

from typing import Any

import pytest

from xen2kvmd.errors import InvalidOption
from xen2kvmd.model import Operation, Request
from xen2kvmd.targets import check_target_host, ssh_address

FAR = "qemu+ssh://root@kvm2:22/system"


def request(**fields: Any) -> Request:
    return Request(Operation.PLAN, "xen:///system", **fields)


@pytest.mark.parametrize(
    "uri",
    [
        "xen+ssh://root@kvm2/system",
        "qemu+tcp://kvm2/system",
        "qemu+ssh:///system",
        "qemu://kvm2/system",
        "qemu+ssh://root:secret@kvm2/system",
        "qemu+ssh://-oProxyCommand=x/system",
        "qemu+ssh://kvm2/system?command=/tmp/x",
        "qemu+ssh://kvm2/system?no_verify=1",
        "qemu+ssh://kvm2/system?keyfile=relative",
    ],
)
def test_target_that_would_run_or_allow_something_is_refused(uri: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        check_target_host(request(target=uri))
    assert "secret" not in str(refused.value)


def test_address_for_ssh_is_that_of_the_host() -> None:
    assert ssh_address(request()) == ""
    assert ssh_address(request(target=FAR)) == "ssh://root@kvm2:22"
    keyed = request(target=f"{FAR}?keyfile=/root/k")
    assert ssh_address(keyed) == "ssh://root@kvm2:22?keyfile=/root/k"


def test_what_only_this_host_can_do_is_refused() -> None:
    check_target_host(request(in_place=True))
    with pytest.raises(InvalidOption, match="in-place"):
        check_target_host(request(target=FAR, in_place=True))
