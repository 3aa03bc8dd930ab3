# SPDX-License-Identifier: GPL-2.0-or-later
"""Start an appliance with an empty disk and end it again, in a process of its own.

The exit code tells; the process can be ended if it hangs, and nothing else ends if guestfs is not
there to be imported.
"""

import sys
import tempfile
from pathlib import Path

from xen2kvmd.errors import MigrationError
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.launch import DiskImage
from xen2kvmd.system import kvm

SIZE = 1 << 20


def main() -> int:
    """Start it; say what went wrong."""
    with tempfile.TemporaryDirectory(prefix="xen2kvm-check-") as folder:
        disk = Path(folder, "empty.raw")
        disk.touch()
        with disk.open("r+b") as stream:
            stream.truncate(SIZE)
        image = DiskImage("xvda", str(disk), "raw")
        try:
            emulate = not kvm.works(kvm.emulator())
            with Appliance.open([image], writable=False, emulate=emulate):
                return 0
        except MigrationError as error:
            sys.stderr.write(f"{error.message} {error.said}\n")
            return 1


if __name__ == "__main__":
    sys.exit(main())
