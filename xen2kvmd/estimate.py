# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a migration takes. Estimates only, read off a small machine."""

from xen2kvmd.model import Request

# Seconds with hardware virtualisation and without.
TO_CONVERT = {True: 30, False: 120}
TO_BOOT = {True: 20, False: 60}
TO_SHUT_DOWN = 30
RATE = 150_000_000  # bytes per second, once to copy and once to compare


def downtime(request: Request, data: int, *, kvm: bool, runs: bool, limit: int) -> int:
    """Return for how many seconds the guest is away, from its shutdown to its boot on KVM.

    data is how many bytes its disks have in use, limit how many are read in a second at most (0:
    as many as can be). Compressed disks may take far longer.
    """
    seconds = TO_CONVERT[kvm]
    seconds += min(TO_SHUT_DOWN, request.shutdown_timeout) if runs else 0
    times = bool(request.backup_disks) + (not request.in_place)
    seconds += times * (data // min(RATE, limit or RATE) + data // RATE)
    seconds += TO_BOOT[kvm] if request.start and request.verify else 0
    return seconds
