# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of the options of methods: the introspection XML and the manual are made of it."""

from functools import partial

from xen2kvmd.bus import values
from xen2kvmd.bus.option import Option
from xen2kvmd.bus.option_request import OF_REQUESTS
from xen2kvmd.jobs.status import JobState
from xen2kvmd.model import Operation, ReportFormat

_TOKEN = partial(
    values.matching, pattern="[A-Za-z0-9_]{1,64}", says="1 to 64 letters, digits and _"
)
_STATES = partial(values.each, read=partial(values.one_of, choices=JobState))
_STARTING = "ListGuests Inspect Plan Migrate Backup"

OPTIONS = (
    *OF_REQUESTS,
    Option(
        "start", "b", "Backup",
        "Start the source again afterwards, if it ran (the default).",
        values.as_is, "start",
    ),
    Option(
        "pool", "s", "Backup",
        "libvirt storage pool of the target host for the backup, whose files are volumes there "
        "then; of the types dir, fs and netfs. folder is empty with it.",
        values.pool, "backup_pool",
    ),
    Option(
        "pool", "s", "Restore",
        "libvirt storage pool of the target host that has the backup, and is active.",
        values.pool, "backup_pool",
    ),
    Option(
        "directory", "s", "Restore",
        "Folder for the disks and the domain XML; where this is left out, the disks go where they "
        "were, and the XML beside the backup: in a pool GUEST-JOB-GUEST.xml.",
        values.full_path, "directory",
    ),
    Option(
        "job-token", "s", f"{_STARTING} Rollback Finalize Restore",
        "Makes the call safe to repeat: the job's id is u<uid>_<token>, and the same call by the "
        "same user again returns the same job. 1 to 64 letters, digits and _.",
        _TOKEN,
    ),
    Option(
        "state", "as", "ListJobs", "Only jobs in one of these states.", _STATES
    ),
    Option(
        "limit", "u", "ListJobs",
        "At most so many of these, the newest; 1000 by default, 0 for all.",
        values.as_is,
    ),
    Option("owner", "u", "ListJobs", "Only jobs of the user with this id."),
    Option(
        "operation", "s", "ListJobs", "Only jobs of this, in the words of the property Operation.",
        partial(values.one_of, choices=Operation),
    ),
    Option(
        "older-than", "t", "PruneJobs",
        "Only jobs that ended at least this many seconds ago; 0 by default.",
    ),
    Option(
        "states", "as", "PruneJobs",
        "Only jobs that ended in one of these states; all four by default.", _STATES,
    ),
    Option(
        "force", "b", "Remove",
        "Forget also a migration that is neither finalized nor rolled back, and a job that could "
        "not undo all.",
    ),
    Option(
        "report-format", "s", "GetReport",
        "json (the default), or html: a page in one file, which loads and runs nothing.",
        partial(values.one_of, choices=ReportFormat),
    ),
    Option(
        "shutdown-timeout", "u", "Rollback",
        "Seconds that the new guest has to shut down before it is destroyed, 1 to 86400; 60 by "
        "default.",
        partial(values.between, least=1, most=86400), "shutdown_timeout",
    ),
    Option(
        "remove-target", "b", "Rollback",
        "Remove the new domain with its disks; without it they stay, stopped.",
        values.as_is, "remove_target",
    ),
    Option(
        "undefine-source", "s", "Finalize",
        "Name of the source, whose definition is to go; its disks stay. Nothing goes by default.",
        values.name, "undefine_source",
    ),
    Option(
        "source-gone", "b", "Finalize",
        "The source's host is gone, or runs no Xen any more: go on where it cannot be reached, "
        "with the finding source-not-reached.",
        values.as_is, "source_gone",
    ),
    Option(
        "remove-backup", "b", "Finalize",
        "Remove what was kept of the source: its domain XML, and the backup of its disks.",
        values.as_is, "remove_backup",
    ),
    Option(
        "auth.no_user_interaction", "b",
        f"{_STARTING} ConvertXml CancelJob PruneJobs Cancel Remove GetLog GetPlan GetReport "
        "Rollback Finalize Restore Hold Release SetPriority Reload",
        "Never show an authentication dialog, whatever the message's flag says.",
    ),
)  # fmt: skip
