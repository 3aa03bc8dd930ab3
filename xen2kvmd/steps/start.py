# SPDX-License-Identifier: GPL-2.0-or-later
"""Start the domain (guide 15.2.5 (5)); paused, if verify is to see its console from the start."""

from xen2kvmd.errors import Failed
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.steps import context
from xen2kvmd.steps.define import own_domain
from xen2kvmd.steps.shutdown import check_off
from xen2kvmd.system.libvirt_domain import Domain
from xen2kvmd.targets import target_host


def do(run: Run) -> None:
    """Start the domain, unless the caller does not want it, or the source runs again."""
    request = context.request(run)
    if not request.start:
        return
    with target_host(request) as host:
        domain = own_domain(run, host)
        if domain is None:
            raise Failed(
                f"The domain '{run.notes['domain']}' is gone.",
                hint="Somebody undefined it while the job ran. Migrate again.",
            )
        start(run, domain, paused=request.verify)


def start(run: Run, domain: Domain, *, paused: bool) -> None:
    """Start our domain. Raises VmRunning if the source runs: both have the same addresses."""
    check_off(run)
    domain.start(paused=paused)


def undo(run: Run) -> None:
    """Stop the domain at once: its disks will go."""
    with target_host(context.request(run)) as host:
        domain = own_domain(run, host)
        if domain is not None:
            domain.destroy()


START = Step("start", do, undo, weight=2)
