# SPDX-License-Identifier: GPL-2.0-or-later
"""Define documents in libvirt's QEMU driver: `define.py ROOT < {name: xml}` prints {name: error}.

The driver runs inside this process (qemu:///embed) with all its files under ROOT, so it needs
neither a daemon nor its socket, and touches nothing of the machine's.
"""

import json
import sys
import threading
from pathlib import Path

import libvirt

# As root, so that the driver and its probes see /dev/kvm alike; where they do not, libvirt probes
# QEMU anew for each document, four seconds each.
CONF = """\
user = "root"
group = "root"
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
security_driver = "none"
"""


def main(root: Path) -> None:
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/qemu.conf").write_text(CONF)
    libvirt.registerErrorHandler(lambda *_: None, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_run_events, daemon=True).start()
    connection = libvirt.open(f"qemu:///embed?root={root}")
    documents = json.load(sys.stdin)
    json.dump({name: _define(connection, text) for name, text in documents.items()}, sys.stdout)


def _run_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _define(connection: libvirt.virConnect, document: str) -> str:
    try:
        domain = connection.defineXMLFlags(document, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    except libvirt.libvirtError as error:
        return str(error)
    domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
    return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
