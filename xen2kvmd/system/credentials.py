# SPDX-License-Identifier: GPL-2.0-or-later
"""systemd's stores of credentials (systemd.exec(5), LoadCredential=; systemd-creds(1)).

Of what is there only names that begin with "xen2kvm." are read: who may name a credential to us
must not have us try others' secrets.
"""

from pathlib import Path

from xen2kvmd.errors import Failed, InvalidOption
from xen2kvmd.system.command import run

STORES = (Path("/run/credstore"), Path("/etc/credstore"))
ENCRYPTED = (Path("/run/credstore.encrypted"), Path("/etc/credstore.encrypted"))
PREFIX = "xen2kvm."


def read(name: str) -> bytes:
    """Return a credential, by its name without the prefix. Raises InvalidOption."""
    try:
        if file := _find(STORES, name):
            return file.read_bytes()
        if file := _find(ENCRYPTED, name):
            argv = ["systemd-creds", "decrypt", f"--name={PREFIX}{name}", str(file), "-"]
            return run(argv, timeout=60)
    except (OSError, Failed) as error:
        raise InvalidOption(f"The credential {PREFIX}{name} cannot be read: {error}") from error
    raise InvalidOption(
        f"There is no credential {PREFIX}{name}.",
        hint=f"It would be in {', '.join(map(str, (*STORES, *ENCRYPTED)))}.",
    )


def _find(stores: tuple[Path, ...], name: str) -> Path | None:
    return next((file for store in stores if (file := store / f"{PREFIX}{name}").is_file()), None)
