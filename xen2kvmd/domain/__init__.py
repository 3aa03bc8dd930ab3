# SPDX-License-Identifier: GPL-2.0-or-later
"""The domain XML: a rules file per part of it."""
