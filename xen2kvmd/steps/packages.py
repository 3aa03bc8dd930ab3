# SPDX-License-Identifier: GPL-2.0-or-later
"""Install what the guest lacks in the overlay, before rules are rehearsed on it."""

from dataclasses import replace

import cattrs

from xen2kvmd import guest
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Facts, Finding, Installed, Request, Severity
from xen2kvmd.steps import context, engine, host_kernel
from xen2kvmd.system.package_files import find_packages

NOT_BY_V2V = Finding(
    "packages-not-used",
    "virt-v2v converts this guest: packages, guest-repositories and guest-agent are not used.",
    Severity.WARNING,
    hint="Use --engine native, or install what is missing in the guest.",
)


def check(request: Request) -> None:
    """Raise InvalidOption for packages that cannot be used, before anything is begun."""
    find_packages(request.packages)


def look(run: Run, request: Request) -> Facts:
    """Find out what guest is on the disks, give it what it lacks, and note what it is then.

    The appliance has the guest mounted after that, which a new one has not. What it lacks comes
    from the caller or a repository, or is its Xen host's kernel as the last resort.
    """
    appliance, _ = context.appliance(run)
    found = install(run, request, engine.look(run, request, appliance))
    facts = host_kernel.carry(run, request, found)
    run.note("facts", cattrs.unstructure(facts))
    appliance, _ = context.appliance(run)  # it may be another now
    _measure(run, appliance)
    return facts


def _measure(run: Run, appliance: Appliance) -> None:
    """Note how much of each disk its file systems use, with what is known of it already."""
    found = guest.usage(appliance)
    disks = [
        replace(disk, used=found[disk.dev].used, unused=found[disk.dev].unused)
        for disk in context.disks(run)
    ]
    run.note("disks", cattrs.unstructure(disks))


def looked_into(run: Run, request: Request) -> tuple[Appliance, bool]:
    """Return the appliance with the guest mounted, and whether it was opened just now.

    Whoever goes on after a process that died, or a host that stopped, has to look once more.
    """
    appliance, fresh = context.appliance(run)
    if not fresh:
        return appliance, False
    look(run, request)
    appliance, _ = context.appliance(run)  # it may be another, after an installation
    return appliance, True


def install(run: Run, request: Request, facts: Facts) -> Facts:
    """Install what the guest lacks, and the caller gives or allows; return what the guest is then.

    What that was, is noted as `installed`. The appliance has a network for the time in which the
    guest's package manager runs, and only if that has to fetch something.
    """
    run.note("installed", cattrs.unstructure(Installed()))
    if not (request.packages or request.guest_repositories):
        return facts
    if engine.is_v2v(run):
        run.note("installed", cattrs.unstructure(Installed(findings=(NOT_BY_V2V,))))
        return facts
    allowed = guest.Allowed(
        find_packages(request.packages), request.guest_repositories, request.guest_agent
    )
    appliance, _ = context.appliance(run)
    intent = guest.prepare(appliance, facts, allowed)
    if isinstance(intent, Installed):
        run.note("installed", cattrs.unstructure(intent))
        return facts
    if intent.network:
        run.fraction(0.75, "starting the appliance with a network")
        appliance = context.reopen(run, network=True)
        guest.mount_guest(appliance)
    run.fraction(0.8, f"installing {', '.join(intent.names)}")
    installed = guest.install(appliance, intent)
    # What a package's scripts left running ends with the appliance.
    run.fraction(0.9, "starting the appliance anew")
    appliance = context.reopen(run, network=False)
    run.note("installed", cattrs.unstructure(installed))
    return guest.inspect(appliance)
