# SPDX-License-Identifier: GPL-2.0-or-later
"""xen2kvm moves virtual machines from Xen to KVM. Start reading in model/__init__.py."""

__version__ = "0.1.0"
