# SPDX-License-Identifier: GPL-2.0-or-later
"""Where disks go: make room, give a path, discard."""
