# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel of the Xen host that cannot be had: what is told, in words and not in Python's."""

import pytest

from xen2kvmd.errors import InvalidDisk
from xen2kvmd.steps.host_kernel import _unread


def test_why_a_kernel_cannot_be_read_is_said_in_words() -> None:
    with pytest.raises(FileNotFoundError) as raised, open("/boot/of/xen"):
        pass
    assert _unread("/boot/of/xen", raised.value).message.endswith(
        ", /boot/of/xen, cannot be read: No such file or directory."
    )
    found = _unread("/boot", InvalidDisk("/boot is no file."))
    assert found.message.endswith("cannot be read: /boot is no file.")
