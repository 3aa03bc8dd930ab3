# SPDX-License-Identifier: GPL-2.0-or-later
"""The keys of the guest's encrypted disks: read where they lie, when an appliance is started.

What the job writes down of them is where they are, never what they are.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from xen2kvmd.errors import InvalidOption
from xen2kvmd.guest.key import Key
from xen2kvmd.model import LONGEST_KEY, DiskKey, Request
from xen2kvmd.system import credentials


def read(request: Request, secrets: Path) -> tuple[Key, ...]:
    """Return the keys; `secrets` is the folder of those that the caller gave to the job.

    Raises InvalidOption for one that is not there, or cannot be one.
    """
    return tuple(Key(key.selector, _secret(key, secrets)) for key in request.keys)


@contextmanager
def in_files(request: Request, secrets: Path) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yield each key's selector, and the path where a program that we begin can read it.

    What is there is in our memory, and goes with us. Raises InvalidOption, as read does.
    """
    with ExitStack() as files:
        found = []
        for key in read(request, secrets):
            file = files.enter_context(open(os.memfd_create("key"), "wb", buffering=0))
            file.write(key.secret.encode())
            found.append((key.selector, f"/proc/{os.getpid()}/fd/{file.fileno()}"))
        yield tuple(found)


def passphrase(data: bytes, where: str) -> str:
    """Return what was read as a passphrase: a newline at its end is not part of it.

    Raises InvalidOption for what is none; `where` says where it was.
    """
    data = data.removesuffix(b"\n")
    if not data or len(data) > LONGEST_KEY or b"\0" in data:
        raise _unusable(where)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _unusable(where) from None


def _secret(key: DiskKey, secrets: Path) -> str:
    if key.file:
        return _given(key, secrets)
    return passphrase(credentials.read(key.credential), f"the credential {key.credential}")


def _given(key: DiskKey, secrets: Path) -> str:
    try:
        return (secrets / key.file).read_bytes().decode()
    except FileNotFoundError:
        raise InvalidOption(
            f"The key for {key.selector}, which was given to this job, is gone: it is kept until "
            "this host stops, and no longer.",
            hint="Begin the job anew and give it again, or use a credential of systemd, which "
            "stays: --key SELECTOR:credential:NAME.",
        ) from None
    except OSError as error:
        raise InvalidOption(
            f"The key for {key.selector} cannot be read: {error.strerror}."
        ) from error


def _unusable(where: str) -> InvalidOption:
    return InvalidOption(
        f"What is in {where} is no passphrase: it is empty, too long, or not text.",
        hint="Add a passphrase to the disk: cryptsetup luksAddKey --key-file OLD DEVICE.",
    )
