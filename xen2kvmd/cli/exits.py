# SPDX-License-Identifier: GPL-2.0-or-later
"""Exit codes of the client, as xen2kvm(1) documents them."""

EX_FAILED = 1  # the job failed and was undone, or the call did
EX_USAGE = 2  # the arguments are wrong (argparse's own code)
EX_BLOCKED = 3  # a finding forbids the migration, or the plan changed
EX_DENIED = 4  # not authorised
EX_UNREACHABLE = 5  # the service or the bus cannot be reached
EX_CANCELLED = 6  # the job was cancelled
EX_INTERRUPTED = 130  # Ctrl-C; a job goes on

_BY_NAME = {
    "InvalidOption": EX_USAGE,
    "InvalidArgs": EX_USAGE,
    "Blocked": EX_BLOCKED,
    "PlanChanged": EX_BLOCKED,
    "AccessDenied": EX_DENIED,
    "InteractiveAuthorizationRequired": EX_DENIED,
    "NotAuthorizedDismissed": EX_DENIED,
    "ServiceUnknown": EX_UNREACHABLE,
    "NoReply": EX_UNREACHABLE,
    "Cancelled": EX_CANCELLED,
}


def exit_code(error_name: str) -> int:
    """Return the exit code for the last part of a D-Bus error name; 0 for none."""
    return _BY_NAME.get(error_name, EX_FAILED) if error_name else 0
