# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for who the guest is, and for what only its running instance had."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import remove, remove_all, section
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element


@rule(guide="15.1.3")
def target_name(domain: Element, case: Case) -> Iterator[Finding]:
    """Give the guest its name on the target, where one was asked for."""
    if case.target.name:
        section(domain, "name").text = case.target.name
    return iter(())


@rule(guide="")
def target_uuid(domain: Element, case: Case) -> Iterator[Finding]:
    """Give the guest a new UUID where one was asked for; else it stays who it is.

    Licences, backups and inventories know a guest by its UUID.
    """
    if case.target.uuid:
        section(domain, "uuid").text = case.target.uuid
    return iter(())


@rule(guide="")
def no_running_state(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove what belongs to the running instance: its id, aliases, terminals and block jobs.

    Aliases that begin with "ua-" are the user's own and stay.
    """
    domain.attrib.pop("id", None)
    for alias in domain.findall("devices/*/alias"):
        if not alias.get("name", "").startswith("ua-"):
            remove(alias)
    remove_all(domain, "devices/disk/mirror")
    for source in domain.iterfind("devices/disk//source[@index]"):
        source.attrib.pop("index")
    for kind in ("serial", "parallel", "console", "channel"):
        for device in domain.iterfind(f"devices/{kind}[@type='pty']"):
            device.attrib.pop("tty", None)
            remove_all(device, "source")
    return iter(())
