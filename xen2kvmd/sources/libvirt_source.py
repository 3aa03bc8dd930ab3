# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that a libvirt knows, on this host or, by ssh, on another (guide 15.1.3, libvirt)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from xen2kvmd.errors import Failed, InvalidSource, VmNotFound, VmRunning
from xen2kvmd.model import Finding, Severity
from xen2kvmd.sources.xl_domain import Imported
from xen2kvmd.system import libvirt_uri
from xen2kvmd.system.libvirt import Host, connected
from xen2kvmd.system.libvirt_domain import Domain

# The drivers that have Xen's guests: Xen's own, and libvirt's pretended host.
SCHEMES = tuple(f"{driver}{way}" for driver in ("xen", "test") for way in ("", "+unix", "+ssh"))
_FORM = "Write xen:///system, or xen+ssh://root@HOST/system, with :PORT where it is not 22."


@dataclass(frozen=True)
class LibvirtSource:
    """The guest by its name or UUID, and the URI of the libvirt that knows it."""

    uri: str
    guest: str

    @property
    def disk_host(self) -> str:
        """The other host that has the guest's disks, as ssh://USER@HOST:PORT; "" for this one."""
        return libvirt_uri.ssh_address(address(self.uri))

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
            return Imported(domain.definition(), tuple(self._findings(domain)))

    def is_running(self) -> bool:
        """Tell whether the guest runs, or is paused."""
        with self._domain() as domain:
            return domain.is_active()

    def shut_down(self, *, seconds: int, destroy: bool, waiting: Callable[[float], None]) -> None:
        """Ask the guest to shut down, and wait; then destroy it if it may be destroyed.

        waiting is called with the share of the time that is over. Raises VmRunning if it runs on.
        """
        with self._domain() as domain:
            if destroy:
                domain.stop(seconds, waiting)
                return
            if self._asked(domain, seconds, waiting):
                return
        raise VmRunning(
            f"The guest '{self.guest}' did not shut down; it had {seconds} seconds.",
            hint="It was asked to, and may still do so. Shut it down by hand, give it more time "
            "with --shutdown-timeout, or let it be destroyed with --shutdown-mode destroy.",
        )

    def _asked(self, domain: Domain, seconds: int, waiting: Callable[[float], None]) -> bool:
        """Ask the guest to shut down; tell whether it did. Raises Failed if it cannot be asked."""
        try:
            return domain.shut_down(seconds, waiting)
        except Failed as error:
            raise Failed(
                f"The guest '{self.guest}' cannot be asked to shut down: {error.message}",
                hint="Shut it down from within, or let it be destroyed with --shutdown-mode "
                "destroy.",
            ) from error.__cause__

    def start_again(self, document: str, *, seconds: float) -> None:
        """Start the guest that we asked to shut down; a transient one from its XML.

        Raises VmRunning if it is not down after these seconds: it may still go down.
        """
        with open_host(self.uri) as host:
            domain = host.find(self.guest)
            if domain is not None and domain.is_paused():
                return  # it was not asked: it could not heed
            if domain is not None and domain.stops_within(seconds):
                domain = host.find(self.guest)
            if domain is None or domain.vanishes():
                host.create(document)
            elif not domain.is_active():
                domain.start(paused=False)
            else:
                raise VmRunning(
                    f"The guest '{self.guest}' was asked to shut down and runs: it may yet stop.",
                    hint="If it does, start it again: "
                    f"virsh -c {libvirt_uri.shown(self.uri)} start {self.guest}",
                )

    def autostarts(self) -> bool:
        """Tell whether the guest starts with its host."""
        with self._domain() as domain:
            return bool(domain.autostarts())

    def set_autostart(self, *, on: bool) -> bool:
        """Let the guest start with its host, or not; tell whether this libvirt can."""
        with self._domain() as domain:
            return domain.set_autostart(on=on)

    def mark(self, job_id: str) -> bool:
        """Write into the guest's metadata which job migrated it, "" for none; tell if it can be."""
        with self._domain() as domain:
            return domain.mark(job_id)

    def undefine(self) -> None:
        """Forget the guest's definition; its disks stay."""
        with self._domain() as domain:
            domain.undefine(nvram=False)

    @contextmanager
    def _domain(self) -> Iterator[Domain]:
        if not self.guest:
            raise VmNotFound(
                f"Which guest of {libvirt_uri.shown(self.uri)} is meant?",
                hint="Give its name in libvirt, or its UUID.",
            )
        with open_host(self.uri) as host:
            domain = host.find(self.guest)
            if domain is None:
                raise VmNotFound(
                    f"libvirt at {libvirt_uri.shown(self.uri)} has no guest '{self.guest}'.",
                    hint=f"See 'virsh -c {libvirt_uri.shown(self.uri)} list --all'.",
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
        elif domain.is_saved() is None:
            yield Finding(
                "source-saved-unknown",
                "The source's libvirt does not tell whether the guest's memory is saved, and its "
                "disks are in the middle of work.",
                Severity.INFO,
                hint="See on its host that it was shut down, and not suspended (xm suspend).",
            )
        starts = domain.autostarts()
        if starts is None:
            yield Finding(
                "source-autostart-unknown",
                "The source's libvirt does not tell whether the guest starts with its host: then "
                "there are two of the same.",
                Severity.WARNING,
                hint="See that its host does not start it by itself (/etc/xen/auto).",
            )
        if starts:
            yield Finding(
                "source-autostart",
                "The source starts with its host: then there are two of the same guest.",
                Severity.WARNING,
                hint="'xen2kvm finalize' forbids it after the migration; so does "
                f"virsh -c {libvirt_uri.shown(self.uri)} autostart --disable {self.guest}",
            )


def address(uri: str) -> str:
    """Return a URI as libvirt shall have it. Raises InvalidSource for what is not to be opened."""
    if uri.partition(":")[0] not in SCHEMES:
        raise InvalidSource(
            f"The source '{libvirt_uri.shown(uri)}' is no libvirt with guests of Xen.", hint=_FORM
        )
    return libvirt_uri.address(uri, what="source", error=InvalidSource, hint=_FORM)


@contextmanager
def open_host(uri: str) -> Iterator[Host]:
    """Connect to the libvirt that a source names. Raises InvalidSource or ConnectionFailed."""
    with connected(address(uri)) as host:
        yield host
