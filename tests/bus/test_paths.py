# SPDX-License-Identifier: GPL-2.0-or-later
"""The grammar of path-map."""

import pytest

from xen2kvmd.bus.paths import parse
from xen2kvmd.errors import InvalidOption
from xen2kvmd.model import PathMap


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ("/a=/b", PathMap("/a", "", "/b")),
        ("/=/", PathMap("/", "", "/")),
        ("/a=ssh://xen1/b c=d", PathMap("/a", "ssh://xen1", "/b c=d")),
        ("/a=ssh://root@[::1]:2222/", PathMap("/a", "ssh://root@[::1]:2222", "/")),
    ],
)
def test_maps_are_read(item: str, found: PathMap) -> None:
    assert parse([item]) == (found,)


@pytest.mark.parametrize(
    "item",
    [
        "/a", "a=/b", "/a=b", "/a=", "/a/../b=/c", "/a=/b/../c", "/a=ssh://xen1",
        "/a=ssh://-oProxyCommand=x/b", "/a=ssh://-l@xen1/b", "/a=ssh://root:secret@xen1/b",
        "/a=http://xen1/b", "/a=ssh://xen1:port/b",
    ],
)  # fmt: skip
def test_what_is_no_map_is_refused(item: str) -> None:
    with pytest.raises(InvalidOption, match="is not OLD=NEW"):
        parse([item])
