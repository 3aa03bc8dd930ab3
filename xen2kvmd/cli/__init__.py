# SPDX-License-Identifier: GPL-2.0-or-later
"""The client `xen2kvm`: speaks D-Bus only and knows nothing but model and errors."""
