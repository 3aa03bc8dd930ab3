# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs: their queue, journal, processes and report. What a step does is in steps/."""
