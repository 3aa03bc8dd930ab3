# SPDX-License-Identifier: GPL-2.0-or-later
"""What opens encrypted disks: read here, with the rights of whoever calls, or asked of them.

The service gets it as a file descriptor, and never the path of a file, which it would read as root.
"""

import argparse
import getpass
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from xen2kvmd.errors import InvalidOption
from xen2kvmd.model import LONGEST_KEY

MOST = 16  # descriptors that the bus lets a message have


@dataclass(frozen=True)
class Keys:
    """The keys of a command: named credentials, and an open descriptor with each of the others."""

    credentials: tuple[str, ...] = ()
    handed: tuple[tuple[str, int], ...] = ()  # selector and descriptor


@contextmanager
def opened(arguments: argparse.Namespace) -> Iterator[None]:
    """Put Keys in the place of the arguments' texts, open for the time of the block.

    A terminal is asked before anything else is begun. Raises InvalidOption.
    """
    credentials, handed = [], []
    with ExitStack() as closing:
        for text in vars(arguments).get("key", ()):
            selector, _, where = text.partition(":")
            kind, _, name = where.partition(":")
            if kind == "file":
                secret = _read(name)
            elif where == "ask":
                secret = _ask(selector, allowed=arguments.ask_password)
            else:
                credentials.append(text)
                continue
            descriptor = os.memfd_create("key")
            closing.callback(os.close, descriptor)
            os.write(descriptor, secret)
            handed.append((selector, descriptor))
        if len(handed) > MOST:
            raise InvalidOption(f"There are {len(handed)} keys, and {MOST} can be handed over.")
        arguments.keys = Keys(tuple(credentials), tuple(handed))
        yield


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(LONGEST_KEY + 2)  # enough to see that it is too long
    except OSError as error:
        raise InvalidOption(f"The key in {path} cannot be read: {error.strerror}.") from error


def _ask(selector: str, *, allowed: bool) -> bytes:
    """Ask the terminal for a passphrase, and show none of it."""
    if not allowed:
        raise InvalidOption(f"--key {selector}:ask and --no-ask-password exclude each other.")
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)  # it would be shown
        try:
            said = getpass.getpass(f"Passphrase for {selector}: ")
        except (getpass.GetPassWarning, EOFError, OSError) as error:
            raise InvalidOption(
                f"There is no terminal to ask for the passphrase for {selector}.",
                hint="Put it into a file: --key SELECTOR:file:PATH.",
            ) from error
    return said.encode("utf-8", "surrogateescape")
