# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the packages that were given are installed: what the guest lacks, and what that needs.

A folder may hold the packages of many guests, so that not all of them are. Whether it is enough,
the package manager says.
"""

from collections.abc import Callable, Mapping, Sequence

from xen2kvmd.guest.kernel_packages import only
from xen2kvmd.guest.managers import Package

IsNewer = Callable[[Package, str], bool]


def select(
    wanted: Sequence[Package],
    given: Sequence[Package],
    *,
    installed: Mapping[str, str],
    is_newer: IsNewer,
) -> tuple[Package, ...]:
    """Return the wanted ones, and of those given what they need and the guest has not, or older.

    Raises InvalidOption where two of the same name would do.
    """
    chosen: dict[str, Package] = {}
    left = list(wanted)
    while left:
        package = left.pop()
        if package.name in chosen:
            continue
        chosen[package.name] = package
        useful = [
            other
            for other in given
            if other.name not in chosen
            and package.needs & other.gives
            and (other.name not in installed or is_newer(other, installed[other.name]))
        ]
        for name in {other.name for other in useful}:
            left.append(only([other for other in useful if other.name == name]))
    return tuple(sorted(chosen.values(), key=lambda package: package.file))
