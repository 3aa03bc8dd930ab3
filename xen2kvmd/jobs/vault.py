# SPDX-License-Identifier: GPL-2.0-or-later
"""What a caller gave to a job alone, such as a passphrase: kept while the job and the host live.

RUN/secrets/ID/NAME   of the job ID, a file each; RUN is the folder of the daemon's socket, in /run

It is there for a job that is queued, or goes on after its process died; and nowhere that a disk, a
backup or a report holds. The end of the job removes it: the worker, or the daemon where the worker
did not come so far.
"""

import logging
import os
import shutil
from collections.abc import Container, Mapping
from pathlib import Path
from types import MappingProxyType

NOTHING: Mapping[str, str] = MappingProxyType({})

log = logging.getLogger(__name__)


def folder_of(events: Path, job_id: str) -> Path:
    """Return the folder of a job's secrets; `events` is the socket that it reports to."""
    return _all(events) / job_id


def keep(folder: Path, secrets: Mapping[str, str]) -> None:
    """Make the folder with these secrets by name; for none, make none. Raises OSError."""
    if not secrets:
        return
    forget(folder)  # of a job that was never made: the daemon died over it
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    for name, secret in secrets.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as stream:
            stream.write(secret.encode())


def forget(folder: Path) -> None:
    """Remove the secrets of a job, if there are any."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        log.error("%s, which holds secrets of a job that is over, stays: %s", folder, error)


def sweep(events: Path, needed: Container[str]) -> None:
    """Remove those of all jobs but the ones whose ids are needed."""
    folder = _all(events)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in needed:
            forget(path)


def _all(events: Path) -> Path:
    return events.parent / "secrets"
