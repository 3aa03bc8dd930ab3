# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong, one class per name on the bus.

A class's name is the last part of its D-Bus error name, `org.xen2kvm.Migrator1.Error.NAME`, and of
a job's ErrorName. The message is a sentence with the thing in it; the hint says what to do.
"""

PREFIX = "org.xen2kvm.Migrator1.Error."


class MigrationError(Exception):
    """Something that a person can understand and mend went wrong.

    said is what the guest or a program printed last: everybody may read the message and the hint,
    but that is for those only who may read the job's log.
    """

    def __init__(self, message: str, *, hint: str = "", said: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.said = said

    @property
    def name(self) -> str:
        return type(self).__name__

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class Failed(MigrationError):
    """A step failed for a reason that has no name of its own."""


class Internal(MigrationError):
    """A fault of ours; the details are in the log."""


class InvalidOption(MigrationError):
    """An option is unknown, or its value is not allowed."""


class InvalidConfig(MigrationError):
    """The configuration file has a mistake."""


class InvalidSource(MigrationError):
    """The source URI or file is not one that can be read."""


class InvalidXml(MigrationError):
    """The document is not XML, is not safe to read, or is not the domain XML of a Xen guest."""


class InvalidDisk(MigrationError):
    """A disk of the source is missing, unreadable, empty, encrypted or no disk at all."""


class InvalidName(MigrationError):
    """The name cannot be a domain's."""


class Unsupported(MigrationError):
    """The guest, or something that it needs, is beyond what this version can migrate."""


class VmNotFound(MigrationError):
    """The source host knows no such guest."""


class VmRunning(MigrationError):
    """The source guest runs, and must not be copied while it does."""


class Busy(MigrationError):
    """Another job works on this guest already."""


class TargetExists(MigrationError):
    """A domain or volume of that name or UUID is there already."""


class PoolNotFound(MigrationError):
    """The target has no such storage pool, or it is not active."""


class InsufficientSpace(MigrationError):
    """There is less room than the disks need."""


class ConnectionFailed(MigrationError):
    """libvirt, or a host, cannot be reached."""


class SourceAuthFailed(MigrationError):
    """The host of the source, or of the target, refused the login."""


class HostKeyUnknown(MigrationError):
    """The other host's ssh key is not in root's known_hosts, or differs from the one there."""


class Blocked(MigrationError):
    """A finding forbids the migration and was not waived."""


class WindowMissed(MigrationError):
    """The new guest would be up later than the caller wants."""


class PlanChanged(MigrationError):
    """The source is no longer what the plan was made for."""


class VerifyFailed(MigrationError):
    """The copy differs from what was read, or the converted guest did not boot."""


class HookRefused(MigrationError):
    """A hook, or the hooks' settings, is unsafe or makes no sense; it was not run."""


class HookFailed(MigrationError):
    """A hook said no, or was not done in time."""


class NotCancellable(MigrationError):
    """The job is past its point of no return, or over."""


class NotQueued(MigrationError):
    """The job has begun, or is over."""


class NotFinished(MigrationError):
    """The job still runs."""


class AlreadySettled(MigrationError):
    """The migration was finalized or rolled back already."""


class NotSettled(MigrationError):
    """What the job has kept may still be needed: for the way back, or to put things right."""


class JobNotFound(MigrationError):
    """There is no such job."""


class LimitExceeded(MigrationError):
    """Too many jobs or requests at once."""


class ShuttingDown(MigrationError):
    """The service is ending; call again."""


class Interrupted(MigrationError):
    """The job's process died before it was done."""


class Cancelled(MigrationError):
    """Somebody cancelled the job."""


class NotAuthorizedDismissed(MigrationError):
    """The authentication dialog was dismissed."""


def _by_name(root: type[MigrationError]) -> dict[str, type[MigrationError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _by_name(child)
    return found


BY_NAME = _by_name(MigrationError)


def from_name(name: str, text: str, said: str = "") -> MigrationError:
    """Make the error again that another process named; the first line of text is its message."""
    message, _, hint = text.partition("\n")
    return BY_NAME.get(name, Failed)(message, hint=hint, said=said)
