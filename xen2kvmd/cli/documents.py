# SPDX-License-Identifier: GPL-2.0-or-later
"""Documents, read, written and compared with the rights of whoever calls."""

import difflib
import sys

from rich.console import Console
from rich.syntax import Syntax

from xen2kvmd.errors import Failed, InvalidSource
from xen2kvmd.model import SourceForm

MAX_DOCUMENT = 1 << 20  # bytes


def format_of(document: str) -> SourceForm:
    """Return what a document is: XML begins with <, a list of xl with [ or {."""
    first = document.lstrip("\ufeff \t\r\n")[:1]
    if first == "<":
        return SourceForm.LIBVIRTXML
    return SourceForm.XL_JSON if first in ("[", "{") else SourceForm.XL


def read_document(name: str) -> str:
    """Return the text of a file. Raises InvalidSource."""
    try:
        with open(name, "rb") as stream:
            data = stream.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise InvalidSource(
            f"{name} cannot be read: {error.strerror}.",
            hint="Write it on the Xen host: virsh dumpxml GUEST > GUEST.xml; or name a guest of "
            "its libvirt, with -c xen+ssh://root@HOST/system.",
        ) from error
    return decode(data, name)


def decode(data: bytes, name: str) -> str:
    """Return a document's text. Raises InvalidSource for one that cannot be a domain XML."""
    if len(data) > MAX_DOCUMENT:
        raise InvalidSource(f"{name} is larger than {MAX_DOCUMENT} bytes: it is no domain XML.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidSource(f"{name} is no text in UTF-8.") from error
    if "\0" in text or not text.strip():
        raise InvalidSource(f"{name} is {'binary' if text.strip() else 'empty'}, not a domain XML.")
    return text


def write_document(name: str, text: str) -> None:
    """Write text to a file, or to standard output where no file is named. Raises Failed."""
    if not name:
        sys.stdout.write(text)
        return
    try:
        with open(name, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise Failed(f"{name} cannot be written: {error.strerror}.") from error


def show_diff(before: str, after: str, *, name: str) -> None:
    """Show what differs between two documents; coloured on a terminal."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), name, "for KVM", lineterm=""
    )
    text = "\n".join(lines)
    console = Console()
    if console.is_terminal:
        console.print(Syntax(text, "diff", background_color="default"))
    elif text:
        print(text)
