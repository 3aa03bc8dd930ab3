# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the source's disks are read."""

import pytest

from xen2kvmd.model import PathMap
from xen2kvmd.steps.disks import mapped

FAR = "ssh://root@xen1"
MAPS = (
    PathMap("/srv/a.img", "", "/mnt/b.img"),
    PathMap("/srv", FAR, "/far"),
    PathMap("/dev/vg0/", "", "/dev/vg1"),
)


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/srv/a.img", ("", "/mnt/b.img")),
        ("/srv/x/c.img", (FAR, "/far/x/c.img")),
        ("/srv2/c.img", ("ssh://other", "/srv2/c.img")),
        ("/dev/vg0/root", ("", "/dev/vg1/root")),
    ],
)
def test_first_map_that_matches_wins(path: str, where: tuple[str, str]) -> None:
    assert mapped(path, MAPS, host="ssh://other") == where


def test_the_root_is_above_all() -> None:
    assert mapped("/a/b", (PathMap("/", FAR, "/"),), host="") == (FAR, "/a/b")
    assert mapped("/a/b", (PathMap("/", "", "/"),), host=FAR) == ("", "/a/b")
