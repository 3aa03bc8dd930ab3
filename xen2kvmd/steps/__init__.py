# SPDX-License-Identifier: GPL-2.0-or-later
"""What a job does, a file per step."""
