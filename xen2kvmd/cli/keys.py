# SPDX-License-Identifier: GPL-2.0-or-later
"""What opens an encrypted disk, as an argument."""

import os


def disk_key(text: str) -> str:
    """Return SELECTOR:file:PATH with a full path, for the service works in another folder."""
    selector, file, path = text.partition(":file:")
    return f"{selector}{file}{os.path.abspath(path)}" if file and path else text
