# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that a libvirt knows, on this host or, by ssh, on another (guide 15.1.3, libvirt).

What a URI may hold is listed, not what it may not: libvirt's own parameters run programs
(`command`, `netcat`), switch off the check of host keys, and ask on a terminal (libvirt.org,
"Connection URIs"). What ssh needs to know stands in the ssh configuration of root.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlsplit

from xen2kvmd.errors import InvalidSource, VmNotFound, VmRunning
from xen2kvmd.model import Finding, Severity
from xen2kvmd.sources.xl_domain import Imported
from xen2kvmd.system.libvirt import connected
from xen2kvmd.system.libvirt_domain import Domain

# The drivers that have Xen's guests: Xen's own, and libvirt's pretended host.
SCHEMES = tuple(f"{driver}{way}" for driver in ("xen", "test") for way in ("", "+unix", "+ssh"))
SETTLE = 10.0  # seconds that a guest which was asked to shut down has to do so after we gave up

_HOST = re.compile(r"(?!-)[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_USER = re.compile(r"(?!-)[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class LibvirtSource:
    """The guest by its name or UUID, and the URI of the libvirt that knows it."""

    uri: str
    guest: str

    @property
    def remote(self) -> bool:
        """Whether the guest's disks are another host's."""
        return "+ssh:" in self.uri

    def read(self) -> Imported:
        """Return the domain XML as it is for the next start, and what a person must know of it.

        Raises VmRunning for a guest whose memory is saved: its disks are in the middle of work.
        """
        with self._domain() as domain:
            if domain.is_saved():
                raise VmRunning(
                    f"The guest '{self.guest}' is saved: its next start goes on where it was.",
                    hint="Start it and shut it down, or drop its memory: virsh managedsave-remove.",
                )
            return Imported(domain.xml(), tuple(self._findings(domain)))

    def is_running(self) -> bool:
        """Tell whether the guest runs, or is paused."""
        with self._domain() as domain:
            return domain.is_active()

    def shut_down(self, *, seconds: int, destroy: bool, waiting: Callable[[float], None]) -> None:
        """Ask the guest to shut down, and wait; then destroy it if it may be destroyed.

        waiting is called with the share of the time that is over. Raises VmRunning if it runs on.
        """
        with self._domain() as domain:
            if domain.shut_down(seconds, waiting):
                return
            if destroy:
                domain.destroy()
                return
        raise VmRunning(
            f"The guest '{self.guest}' did not shut down; it had {seconds} seconds.",
            hint="It was asked to, and may still do so. Shut it down by hand, give it more time "
            "with --shutdown-timeout, or let it be destroyed with --shutdown-mode destroy.",
        )

    def start_again(self, document: str) -> None:
        """Start the guest that we shut down, if it is down; a transient one from its XML."""
        with connected(self._address()) as host:
            domain = host.find(self.guest)
            if domain is None:
                host.create(document)
            elif domain.stops_within(SETTLE):
                domain.start(paused=False)

    @property
    def _shown(self) -> str:
        """The URI as everybody may read it: without the path of a key."""
        return self.uri.partition("?")[0]

    @contextmanager
    def _domain(self) -> Iterator[Domain]:
        if not self.guest:
            raise VmNotFound(
                f"Which guest of {self._shown} is meant?",
                hint="Give its name in libvirt, or its UUID.",
            )
        with connected(self._address()) as host:
            domain = host.find(self.guest)
            if domain is None:
                raise VmNotFound(
                    f"libvirt at {self._shown} has no guest '{self.guest}'.",
                    hint=f"See 'virsh -c {self._shown} list --all'.",
                )
            yield domain

    def _findings(self, domain: Domain) -> Iterator[Finding]:
        if domain.is_active():
            yield Finding(
                "source-running",
                "The source runs: a migration shuts it down. What is inside it was read while it "
                "ran, and is read again then.",
                Severity.INFO,
                hint="Its downtime begins with the shutdown, after the plan is made.",
            )
        if domain.autostarts():
            yield Finding(
                "source-autostart",
                "The source starts with its host: then there are two of the same guest.",
                Severity.WARNING,
                hint=f"Forbid it after the migration: virsh -c {self._shown} autostart --disable "
                f"{self.guest}",
            )

    def _address(self) -> str:
        """Return the URI for libvirt, checked. Raises InvalidSource."""
        try:
            parts = urlsplit(self.uri)
            _ = parts.port  # a wrong one raises
        except ValueError as error:
            raise InvalidSource(f"The source '{self.uri}' is no URI: {error}.") from error
        user, at, host = parts.netloc.rpartition("@")
        host = re.sub(r":\d+$", "", host)
        if (at and not _USER.fullmatch(user)) or bool(host) != self.remote:
            raise InvalidSource(f"The source '{self.uri}' names no host as it should.", hint=_FORM)
        if host and not _HOST.fullmatch(host):
            raise InvalidSource(f"'{host}' cannot be the name of a host.", hint=_FORM)
        given = parse_qsl(parts.query, keep_blank_values=True)
        if parts.fragment or any(key != "keyfile" or value[:1] != "/" for key, value in given):
            raise InvalidSource(
                f"The source '{self.uri}' has parameters that are not taken.",
                hint="Only keyfile=/PATH is; all else belongs into the ssh configuration of root.",
            )
        if not self.remote:
            return self.uri
        query = "".join(f"keyfile={quote(value)}&" for _, value in given) + "no_tty=1"
        return parts._replace(query=query).geturl()


_FORM = "Write xen:///system, or xen+ssh://root@HOST/system, with :PORT where it is not 22."
