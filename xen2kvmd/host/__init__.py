# SPDX-License-Identifier: GPL-2.0-or-later
"""What this host lacks, and what mends it: `xen2kvm check-host`.

It runs beside the service and needs nothing of it: what is missing may be what keeps it from
starting.
"""
