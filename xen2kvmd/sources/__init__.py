# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a guest comes from: each source yields its domain XML and its disks."""
