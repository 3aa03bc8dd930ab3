# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of jobs (operations.py lists them), and what they share."""
