# SPDX-License-Identifier: GPL-2.0-or-later
"""Two ways to write a source are one source."""

import pytest

from xen2kvmd.errors import Busy
from xen2kvmd.jobs.admission import check_limits
from xen2kvmd.jobs.store import JobRecord


def job(source: str) -> JobRecord:
    return JobRecord("job", "migrate", "web1", source, "", 0, 7, {})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("xen+ssh://xen1/system", "xen+ssh://XEN1/system"),
        ("xen+ssh://xen1/system", "xen+ssh://xen1:22/system"),
        ("xen+ssh://xen1/system", "xen+ssh://root@xen1./"),
        ("xen+ssh://xen1/system", "xen+ssh://xen1"),
        ("xen+ssh://[FE80::1]/system", "xen+ssh://[fe80::1]:22/system"),
        ("xen:///system", "xen:///"),
        ("libvirtxml:/srv/web1.xml", "libvirtxml:///srv/../srv//web1.xml"),
    ],
)
def test_same_source_is_busy(one: str, other: str) -> None:
    with pytest.raises(Busy):
        check_limits([job(one).status()], job(other), limit=9)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("xen+ssh://xen1/system", "xen+ssh://xen2/system"),
        ("xen+ssh://xen1/system", "xen+ssh://xen1:2222/system"),
        ("xen+ssh://xen1/system", "xen:///system"),
        ("libvirtxml:/srv/web1.xml", "libvirtxml:/srv/web2.xml"),
        ("libvirtxml:/srv/web1", "xl:/srv/web1"),
        ("xen+ssh://xen1:x/system", "xen+ssh://xen1/system"),
    ],
)
def test_other_source_is_free(one: str, other: str) -> None:
    check_limits([job(one).status()], job(other), limit=9)
