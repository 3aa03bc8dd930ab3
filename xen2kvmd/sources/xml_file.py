# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain XML in a file, with the guest's disks on this host (guide 15.1.3, libvirtxml)."""

from dataclasses import dataclass
from pathlib import Path

from xen2kvmd import xml
from xen2kvmd.errors import InvalidSource
from xen2kvmd.model import Finding, Severity


@dataclass(frozen=True)
class XmlFile:
    """The file, or what its caller has read of it already (`given`)."""

    path: str
    given: str = ""

    def document(self) -> str:
        """Return the domain XML as text. Raises InvalidSource if the file cannot be read."""
        if self.given:
            return self.given
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
                    f"{path} is larger than {xml.MAX_BYTES} bytes: it is no domain XML.",
                    hint="Check that this is the file that 'virsh dumpxml' wrote.",
                )
            return path.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise InvalidSource(f"{path} cannot be read: {error.strerror}.") from error

    def shut_down(self) -> Finding:
        """Say that nobody here can stop the guest, nor know whether it runs."""
        return Finding(
            "source-not-shut-down",
            "The source is a file: whether its guest still runs on the Xen host is not known.",
            Severity.WARNING,
            hint="Shut it down there, and keep it from starting again, before you use the copy.",
        )
