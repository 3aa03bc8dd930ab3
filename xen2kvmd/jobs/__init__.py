# SPDX-License-Identifier: GPL-2.0-or-later
"""Running steps, whatever they are: nothing about Xen here."""
