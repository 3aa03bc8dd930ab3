# SPDX-License-Identifier: GPL-2.0-or-later
"""The <devices> of an xl configuration."""

import re
from collections.abc import Iterator

from lxml import etree

from xen2kvmd.model import Finding, Severity
from xen2kvmd.sources.xl_disk import XlDisk, parse_disk
from xen2kvmd.sources.xl_forms import checked, is_address, is_path
from xen2kvmd.sources.xl_values import Values
from xen2kvmd.sources.xl_vif import XlVif, parse_vif
from xen2kvmd.xml import Element

BY_SCRIPT, RBD = "xl-disk-script", "xl-disk-rbd"  # steps/way.py knows them, too
_RBD = re.compile(r"rbd:([^:]+/[^:]+)(?::.*)?")  # POOL/IMAGE, and options of QEMU's
_PCI = re.compile(r"(?:([0-9a-fA-F]{4}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])(?:[@,].*)?")
_USB = re.compile(r"host:(?:([0-9a-fA-F]{4}):([0-9a-fA-F]{4})|([0-9]{1,3})\.([0-9]{1,3}))")
_BACKENDS = {"phy": "phy", "tap": "tap", "qdisk": "qemu", "standalone": "qemu", "": "qemu"}
_SOUND = {"sb16": "sb16", "es1370": "es1370", "ac97": "ac97", "hda": "ich6", "pcspk": "pcspk"}


def add_devices(devices: Element, values: Values, kind: str) -> Iterator[Finding]:
    """Fill in <devices>, in libvirt's order."""
    emulator = values.text("device_model_override") or values.text("device_model")
    if emulator.startswith("/"):
        _add(devices, "emulator").text = emulator
    for entry in values.words("disk"):
        yield from _disk(devices, parse_disk(entry))
    for entry in values.words("vif"):
        yield from _vif(devices, parse_vif(entry), hvm=kind == "hvm")
    yield from _ports(devices, values, kind)
    _inputs(devices, values, bus="ps2" if kind == "hvm" else "xen")
    yield from _screens(devices, values, kind)
    yield from _host_devices(devices, values)


def _disk(devices: Element, disk: XlDisk) -> Iterator[Finding]:
    block = disk.backendtype == "phy" or disk.target.startswith("/dev/")
    made = _add(devices, "disk", type="block" if block else "file")
    floppy = disk.vdev.startswith("fd")
    made.set("device", "cdrom" if disk.cdrom else "floppy" if floppy else "disk")
    raw = {"vhd": "vpc", "empty": "raw", "aio": "raw"}.get(disk.format, disk.format)
    driver = _add(made, "driver", name=_BACKENDS[disk.backendtype], type=raw)
    if disk.discard:
        driver.set("discard", "unmap" if disk.discard == "discard" else "ignore")
    if disk.script and not is_path(disk.target):
        yield Finding(
            BY_SCRIPT,
            f"Disk '{disk.vdev}' is made by the script {disk.script} from '{disk.target}'.",
            severity=Severity.BLOCKER,
            hint="Make it readable as a file or block device and say where: "
            f"--path-map {disk.vdev}=/PATH.",
            place=f"disk[{disk.vdev}]",
        )
    elif found := _RBD.fullmatch(disk.target):
        made.set("type", "network")
        _add(made, "source", protocol="rbd", name=found[1])
        yield Finding(
            RBD,
            f"Disk '{disk.vdev}' is {found[1]} in Ceph; how that is reached is not carried.",
            hint="Add monitors and a secret to its <source> where the new guest uses the image.",
            place=f"disk[{disk.vdev}]",
        )
    elif not disk.empty:
        target = checked("path", disk.target, f"The target of disk '{disk.vdev}'")
        _add(made, "source", **{"dev" if block else "file": target})
    bus = {"xvd": "xen", "hd": "ide", "sd": "scsi", "fd": "fdc", "vd": "virtio"}
    prefix = re.match(r"xvd|hd|sd|fd|vd|", disk.vdev)
    _add(made, "target", dev=disk.vdev, bus=bus.get(prefix[0] if prefix else "", "xen"))
    if disk.backend:
        _add(made, "backenddomain", name=checked("name", disk.backend, "A backend"))
    if disk.readonly:
        _add(made, "readonly")
    if disk.access == "w!":
        _add(made, "shareable")


def _vif(devices: Element, vif: XlVif, *, hvm: bool) -> Iterator[Finding]:
    nic = _add(devices, "interface", type="ethernet" if vif.routed else "bridge")
    if vif.mac:
        _add(nic, "mac", address=checked("mac", vif.mac.lower(), "A NIC's mac"))
    if not vif.routed:
        bridge = checked("device", vif.bridge or "xenbr0", "A NIC's bridge")
        _add(nic, "source", bridge=bridge)
        if not vif.bridge:
            yield _note(
                "xl-default-bridge", "A NIC names no bridge; xl's default is xenbr0.", "vif"
            )
    for address in vif.ip.split():
        host, _, prefix = address.partition("/")
        if not is_address(host) or not (prefix or "0").isdigit() or int(prefix or 0) > 128:
            yield _note("xl-vif-part", f"'{address}' of a NIC is no IP address.", "vif")
            continue
        more = {"prefix": prefix} if prefix else {}
        _add(nic, "ip", address=host, family="ipv6" if ":" in host else "ipv4", **more)
    if vif.script:
        _add(nic, "script", path=vif.script)
    if vif.openvswitch:
        _add(nic, "virtualport", type="openvswitch")
        _vlan(nic, vif)
    if vif.vifname:
        _add(nic, "target", dev=checked("device", vif.vifname, "A NIC's vifname"))
    if vif.backend:
        _add(nic, "backenddomain", name=checked("name", vif.backend, "A backend"))
    if vif.model or (hvm and vif.type == "vif"):
        _add(nic, "model", type="netfront" if vif.type == "vif" else vif.model)
    if vif.rate:
        _add(_add(nic, "bandwidth"), "outbound", average=str(vif.rate))
    if vif.mtu:
        _add(nic, "mtu", size=checked("number", vif.mtu, "A NIC's mtu"))
    for part in vif.unknown:
        yield _note("xl-vif-part", f"'{part}' of a NIC is not carried.", "vif")


def _vlan(nic: Element, vif: XlVif) -> None:
    tags = (vif.tag, *vif.trunk) if vif.tag else vif.trunk
    if tags:
        vlan = _add(nic, "vlan", **({"trunk": "yes"} if vif.trunk else {}))
        for tag in tags:
            native = {"nativeMode": "untagged"} if vif.trunk and tag == vif.tag else {}
            _add(vlan, "tag", id=tag, **native)


def _ports(devices: Element, values: Values, kind: str) -> Iterator[Finding]:
    if kind != "hvm":
        _add(_add(devices, "console", type="pty"), "target", type="xen", port="0")
    for name in ("serial", "parallel"):
        ports = [port for port in values.words(name) if port not in ("", "none", "0")]
        for number, port in enumerate(ports):
            if port == "pty":
                _add(_add(devices, name, type="pty"), "target", port=str(number))
            elif port.startswith("/dev/"):
                made = _add(devices, name, type="dev")
                _add(made, "source", path=port)
                _add(made, "target", port=str(number))
            else:
                yield _note("xl-port-dropped", f"The {name} port '{port}' is not carried.", name)
    for entry in values.words("channel"):
        words = dict(part.strip().partition("=")[::2] for part in entry.split(","))
        socket = words.get("connection") == "socket"
        made = _add(devices, "channel", type="unix" if socket else "pty")
        if socket:
            path = checked("path", words.get("path", ""), "A channel's path")
            _add(made, "source", mode="bind", path=path)
        _add(made, "target", type="xen", name=words.get("name", ""))


def _inputs(devices: Element, values: Values, *, bus: str) -> None:
    for entry in values.words("usbdevice"):
        if entry in ("tablet", "mouse", "keyboard"):
            _add(devices, "input", type=entry, bus="usb")
    _add(devices, "input", type="mouse", bus=bus)
    _add(devices, "input", type="keyboard", bus=bus)


def _screens(devices: Element, values: Values, kind: str) -> Iterator[Finding]:
    frames = [] if kind == "hvm" else [_frame(entry) for entry in values.words("vfb")]
    for screen in frames or [values]:
        _screen(devices, screen, wanted=bool(frames))
    if values.number("spice") and kind == "hvm":
        spice = _add(devices, "graphics", type="spice")
        _listen(spice, values.text("spicehost"), values.number("spiceport"))
        if values.number("spicetls_port"):
            spice.set("tlsPort", str(values.number("spicetls_port")))
        if values.text("spicepasswd") and not values.number("spicedisable_ticketing"):
            spice.set("passwd", values.text("spicepasswd"))
    if kind == "hvm" and not values.number("nographic"):
        model = values.text("vga") or ("stdvga" if values.number("stdvga") else "cirrus")
        names = {"stdvga": "vga", "cirrus": "cirrus", "qxl": "qxl", "none": "none"}
        made = _add(_add(devices, "video"), "model", type=names.get(model, "vga"))
        if values.number("videoram") > 0:
            made.set("vram", str(values.number("videoram") * 1024))
    elif frames:
        _add(_add(devices, "video"), "model", type="xen")
    for name in values.text("soundhw").split(","):
        if name in _SOUND:
            _add(devices, "sound", model=_SOUND[name])
        elif name:
            yield _note("xl-sound-dropped", f"The sound card '{name}' is not carried.", "soundhw")


def _frame(entry: str) -> Values:
    """Read an entry of vfb=[...], which has the options of a screen between commas."""
    words = (part.strip().partition("=") for part in entry.split(","))
    return Values({key.strip(): value.strip() for key, _, value in words})


def _screen(devices: Element, values: Values, *, wanted: bool) -> None:
    old = values.text("type")
    if values.number("vnc", int(wanted and not values.number("sdl"))) or old == "vnc":
        vnc = _add(devices, "graphics", type="vnc")
        display = values.number("vncdisplay", -1)
        fixed = display >= 0 and not values.number("vncunused")
        _listen(vnc, values.text("vnclisten"), 5900 + display if fixed else 0)
        if values.text("vncpasswd"):
            vnc.set("passwd", values.text("vncpasswd"))
        if values.text("keymap"):
            vnc.set("keymap", values.text("keymap"))
    if values.number("sdl") or old == "sdl":
        sdl = _add(devices, "graphics", type="sdl")
        for name, attribute in (("display", "display"), ("xauthority", "xauth")):
            if values.text(name):
                sdl.set(attribute, values.text(name))


def _listen(graphics: Element, address: str, port: int) -> None:
    host, _, display = address.partition(":") if address.count(":") == 1 else (address, "", "")
    port = 5900 + int(display) if display.isdigit() and not port else port
    graphics.set("port", str(port or -1))
    graphics.set("autoport", "no" if port else "yes")
    if host:
        graphics.set("listen", checked("host", host, "A screen's address"))
        _add(graphics, "listen", type="address", address=host)


def _host_devices(devices: Element, values: Values) -> Iterator[Finding]:
    for entry in values.words("pci"):
        match = _PCI.match(entry.removeprefix("bdf=").strip())
        if match:
            host = _add(devices, "hostdev", mode="subsystem", type="pci", managed="yes")
            domain, bus, slot, function = (f"0x{part or '0000'}" for part in match.groups())
            source = _add(host, "source")
            _add(source, "address", domain=domain, bus=bus, slot=slot, function=function)
        else:
            yield _note("xl-pci-unread", f"The PCI device '{entry}' was not understood.", "pci")
    for entry in values.words("usbdevice"):
        match = _USB.fullmatch(entry)
        if match:
            host = _add(devices, "hostdev", mode="subsystem", type="usb")
            source = _add(host, "source")
            if match[1]:
                _add(source, "vendor", id=f"0x{match[1]}")
                _add(source, "product", id=f"0x{match[2]}")
            else:
                _add(source, "address", bus=match[3], device=match[4])
        elif entry not in ("tablet", "mouse", "keyboard"):
            yield _note("xl-usb-unread", f"The USB device '{entry}' is not carried.", "usbdevice")


def _note(code: str, message: str, place: str) -> Finding:
    return Finding(code, message, hint="Add it with 'virsh edit' if it is needed.", place=place)


def _add(parent: Element, name: str, /, **attributes: str) -> Element:
    return etree.SubElement(parent, name, attributes)
