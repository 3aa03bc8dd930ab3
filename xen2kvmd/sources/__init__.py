# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a guest comes from: each source yields its domain XML, and its disks are named in that."""

from collections.abc import Callable
from typing import Protocol

from xen2kvmd.errors import InvalidOption, InvalidSource
from xen2kvmd.model import Request
from xen2kvmd.sources.file import FORMATS, ConfigFile
from xen2kvmd.sources.libvirt_source import SCHEMES, LibvirtSource, open_host
from xen2kvmd.sources.xl_devices import BY_SCRIPT, RBD
from xen2kvmd.sources.xl_domain import Imported

__all__ = [
    "BY_SCRIPT",
    "FORMATS",
    "RBD",
    "ConfigFile",
    "Imported",
    "Source",
    "open_host",
    "open_source",
    "read_document",
]


class Source(Protocol):
    """What a job may ask of a source."""

    @property
    def disk_host(self) -> str:
        """The other host that has the guest's disks, as ssh://USER@HOST:PORT; "" for this one."""

    def read(self) -> Imported:
        """Return the guest's domain XML, and findings."""

    def is_running(self) -> bool | None:
        """Tell whether the guest runs; None where nobody here can know."""

    def shut_down(self, *, seconds: int, destroy: bool, waiting: Callable[[float], None]) -> None:
        """Shut the guest down, by force after these seconds if destroy. Raises VmRunning."""

    def start_again(self, document: str, *, seconds: float) -> None:
        """Start the guest that was asked to shut down, once it is down; document is its XML.

        Raises VmRunning if it is not within these seconds.
        """

    def autostarts(self) -> bool:
        """Tell whether the guest starts with its host."""

    def set_autostart(self, *, on: bool) -> bool:
        """Let the guest start with its host, or not; tell whether that works."""

    def mark(self, job_id: str) -> bool:
        """Write down at the guest which job migrated it, "" for none; tell whether that works."""

    def undefine(self) -> None:
        """Forget the guest's definition; its disks stay."""


def open_source(request: Request) -> Source:
    """Open the source that a request names. Raises InvalidSource for one that we do not know.

    Nothing is read and no host is connected to yet.
    """
    scheme, _, path = request.source.partition(":")
    if scheme in SCHEMES:
        if request.document:
            raise InvalidOption(
                "A document is of no use where the guest is read from libvirt.",
                hint="Leave the option 'document' out, or give a source that is a file.",
            )
        return LibvirtSource(request.source, request.vm)
    if scheme not in FORMATS:
        raise InvalidSource(
            f"The source '{request.source}' is of no kind that can be read.",
            hint="Give 'libvirtxml:/path/to/guest.xml', a file that 'virsh dumpxml' wrote, "
            "'xl:/path/to/guest.cfg', a configuration of xl, or libvirt's URI of the Xen host: "
            "'xen:///system' or 'xen+ssh://root@HOST/system'.",
        )
    return ConfigFile(scheme, path, given=request.document, guest=request.vm)


def read_document(form: str, document: str, *, guest: str = "") -> Imported:
    """Return the domain XML that a document of a format is, or describes."""
    return ConfigFile(form, path="", given=document, guest=guest).read()
