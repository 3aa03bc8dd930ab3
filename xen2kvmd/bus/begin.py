# SPDX-License-Identifier: GPL-2.0-or-later
"""Beginning a job, whatever it is about: what every such method reads, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cattrs

from xen2kvmd.bus import options
from xen2kvmd.bus.contract import ROOT
from xen2kvmd.bus.keys import Handed
from xen2kvmd.bus.library import Variant
from xen2kvmd.bus.registry import Registry
from xen2kvmd.bus.service import Call
from xen2kvmd.jobs import vault


@dataclass(frozen=True)
class Asked:
    """The options of a call: those of the job, and those of the call itself.

    handed are the keys that came with it as descriptors.
    """

    values: Mapping[str, Any]
    quiet: bool
    token: str
    handed: tuple[Handed, ...]


def read(call: Call, given: Mapping[str, Variant]) -> Asked:
    """Read the options of a method that begins a job."""
    values = dict(options.read(call.member, given))
    quiet = values.pop("auth.no_user_interaction", False)
    token = values.pop("job-token", "")
    handed = values.pop("key-descriptors", ())
    return Asked(values, quiet, token, handed)


async def begin(
    jobs: Registry,
    call: Call,
    spec: object,
    *,
    token: str,
    about: Mapping[str, str],
    secrets: Mapping[str, str] = vault.NOTHING,
) -> list[Any]:
    """Make a job of a dataclass for its steps; return the reply: its object path.

    about has the job's operation, vm, source and target; secrets are for the steps alone.
    """
    status = await jobs.submit(
        cattrs.unstructure(spec),
        operation=about["operation"],
        vm=about["vm"],
        source=about["source"],
        target=about["target"],
        owner_uid=call.uid,
        job_id=f"u{call.uid}_{token}" if token else "",
        secrets=secrets,
    )
    return [path_of(status.id)]


def path_of(job_id: str) -> str:
    """Return the object path of a job: an element of a path has no dashes."""
    return f"{ROOT}/jobs/{job_id.replace('-', '_')}"
