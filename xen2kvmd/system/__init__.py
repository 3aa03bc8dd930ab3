# SPDX-License-Identifier: GPL-2.0-or-later
"""The only code that touches the world: processes, libvirt, files, disks."""
