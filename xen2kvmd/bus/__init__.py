# SPDX-License-Identifier: GPL-2.0-or-later
"""The door: a request comes in, is authorised, becomes a dataclass, and starts a job."""
