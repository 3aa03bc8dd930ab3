# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's configuration in a file, with its disks on this host (guide 15.1.3, libvirtxml)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from xen2kvmd import xml
from xen2kvmd.errors import InvalidSource, Unsupported
from xen2kvmd.model import SourceForm
from xen2kvmd.sources.xl_cfg import read_cfg
from xen2kvmd.sources.xl_domain import Imported
from xen2kvmd.sources.xl_json import read_json

FORMATS: Mapping[str, Callable[[str, str], Imported]] = {
    SourceForm.LIBVIRTXML: lambda document, _guest: Imported(document, ()),
    SourceForm.XL: lambda document, _guest: read_cfg(document),
    SourceForm.XL_JSON: read_json,
}


@dataclass(frozen=True)
class ConfigFile:
    """The file, or what its caller has read of it already (`given`), in one of FORMATS.

    guest names one of several, where the format can hold more than one.
    """

    form: str
    path: str
    given: str = ""
    guest: str = ""

    def read(self) -> Imported:
        """Return the domain XML. Raises InvalidSource if the file cannot be read or understood."""
        return FORMATS[self.form](self.given or self._text(), self.guest)

    @property
    def disk_host(self) -> str:
        """The disks are those of this host: their paths say so, and nothing else is known."""
        return ""

    def is_running(self) -> bool | None:
        """Nobody here can know whether the guest runs."""
        return None

    def shut_down(self, *, seconds: int, destroy: bool, waiting: Callable[[float], None]) -> None:
        """Raise Unsupported: there is nobody to ask."""
        raise Unsupported("A guest that comes from a file cannot be shut down from here.")

    def start_again(self, document: str, *, seconds: float) -> None:
        """Do nothing: it was never shut down from here."""

    def autostarts(self) -> bool:
        """Nobody here can know."""
        return False

    def set_autostart(self, *, on: bool) -> bool:
        """What starts the guest is elsewhere."""
        return False

    def mark(self, job_id: str) -> bool:
        """The file is not ours to write."""
        return False

    def undefine(self) -> None:
        """Do nothing: the file is the caller's."""

    def _text(self) -> str:
        path = Path(self.path)
        if not path.is_absolute():
            raise InvalidSource(
                f"'{self.path}' is no absolute path.",
                hint="The service has no working directory: name the file from the root.",
            )
        try:
            if not path.is_file():
                raise InvalidSource(
                    f"There is no file {path}.",
                    hint="Write it on the Xen host: virsh dumpxml GUEST > GUEST.xml",
                )
            if path.stat().st_size > xml.MAX_BYTES:
                raise InvalidSource(
                    f"{path} is larger than {xml.MAX_BYTES} bytes: it describes no guest.",
                    hint="Check that this is the file that 'virsh dumpxml' wrote.",
                )
            return path.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise InvalidSource(f"{path} cannot be read: {error.strerror}.") from error
