# SPDX-License-Identifier: GPL-2.0-or-later
"""The names of arrays (md): /dev/md0 of the guest is /dev/md127 in the appliance.

A guest calls an array as its mdadm.conf(5) does, or else by the name in its superblock.
"""

from collections.abc import Iterator

from xen2kvmd.guest.appliance import Appliance

CONFIGS = ("/etc/mdadm.conf", "/etc/mdadm/mdadm.conf")


def array_names(appliance: Appliance) -> dict[str, str]:
    """Return the appliance's name of each array by those that it may have in the guest.

    The guest's root is mounted.
    """
    found: dict[str, str] = {}
    configured = dict(_configured(appliance))
    for device in appliance.call("list_md_devices"):
        detail = appliance.call("md_detail", device)
        uuid = detail.get("uuid", "")
        own = detail.get("devname", "").rpartition(":")[2]  # without the name of the guest
        for name in filter(None, (own, configured.get(uuid, ""))):
            found |= {f"/dev/md{name}": device, f"/dev/md/{name}": device}
        found[f"/dev/disk/by-id/md-uuid-{uuid}"] = device
    return found


def _configured(appliance: Appliance) -> Iterator[tuple[str, str]]:
    """Yield the UUID and the name, 0 of /dev/md0 and /dev/md/0, of each array in mdadm.conf."""
    for path in filter(appliance.is_file, CONFIGS):
        for line in appliance.read(path).splitlines():
            words = line.split()
            if len(words) > 2 and words[0].upper() == "ARRAY":
                uuid = (word[5:] for word in words if word.upper().startswith("UUID="))
                name = words[1].removeprefix("/dev/").removeprefix("md").removeprefix("/")
                yield next(uuid, ""), name
