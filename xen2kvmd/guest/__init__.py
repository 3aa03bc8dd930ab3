# SPDX-License-Identifier: GPL-2.0-or-later
"""Inside the guest, offline: inspect.py finds Facts, the rules change files, the appliance acts."""
