# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys that callers hand over in memfds: read before polkit is asked, and not kept here."""

from collections.abc import Sequence

from xen2kvmd.bus.descriptors import Brought
from xen2kvmd.bus.keys import Handed
from xen2kvmd.errors import InvalidOption
from xen2kvmd.model import LONGEST_KEY
from xen2kvmd.steps.keys import passphrase


def read(brought: Brought, given: Sequence[Handed]) -> dict[str, str]:
    """Return the passphrases that a call brings, by the name that each is to have.

    Raises InvalidArgs for a descriptor that did not come, and InvalidOption for what is no memfd,
    or what is in one.
    """
    return {key.name: _passphrase(brought, key) for key in given}


def _passphrase(brought: Brought, key: Handed) -> str:
    try:
        held = brought.read(key.index, LONGEST_KEY + 2)  # enough to see that it is too long
    except (ValueError, OSError) as error:
        why = f"it cannot be read: {error.strerror}" if isinstance(error, OSError) else error
        raise InvalidOption(
            f"The descriptor of the key for {key.selector} cannot be used: {why}.",
            hint="Send a memfd, open for reading. No other file is taken, and no pipe.",
        ) from None
    return passphrase(held, f"the key for {key.selector}")
