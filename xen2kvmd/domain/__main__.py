# SPDX-License-Identifier: GPL-2.0-or-later
"""For developers: `python3 -m xen2kvmd.domain schema|manual` prints what is made, not written.

schema makes xen2kvmd/domain/schema.txt of the installed libvirt's schema; manual makes
man/xen2kvm-domain-xml.7.rst of the rules. Tests compare both with the files.
"""

import sys

from xen2kvmd.domain.manual import manual
from xen2kvmd.domain.schema import read_schema


def main(arguments: list[str]) -> int:
    """Print what was asked for; the exit code is 2 for anything else."""
    makers = {"schema": lambda: read_schema().format(), "manual": manual}
    if len(arguments) != 1 or arguments[0] not in makers:
        sys.stderr.write(f"usage: python3 -m xen2kvmd.domain {'|'.join(makers)}\n")
        return 2
    sys.stdout.write(makers[arguments[0]]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
