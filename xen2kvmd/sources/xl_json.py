# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest in the JSON that `xl list -l` prints: libxl's structures in the words of xl.cfg."""

import json
import re
from collections.abc import Mapping
from typing import Any

from xen2kvmd import xml
from xen2kvmd.errors import InvalidSource, VmNotFound
from xen2kvmd.sources.xl_domain import Imported, to_domain
from xen2kvmd.sources.xl_syntax import Settings, Value

# libxl's keys, of the build information and its part for the type, that xl.cfg names otherwise.
_NAMES = {
    "nested_hvm": "nestedhvm",
    "device_model": "device_model_override",
    "usbdevice_list": "usbdevice",
    "serial_list": "serial",
    "viridian_enable": "viridian",
    "firmware": "firmware_override",
    "system_firmware": "bios_path_override",
    "extra": "device_model_args",
    "extra_pv": "device_model_args_pv",
    "extra_hvm": "device_model_args_hvm",
    "vcpu_soft_affinity": "cpus_soft",
    "vnuma_nodes": "vnuma",
    "disable_migrate": "nomigrate",
    "event_channels": "max_event_channels",
    "stubdomain_memkb": "stubdomain_memory",
    "mmio_hole_memkb": "mmio_hole",
    "rdm_mem_boundary_memkb": "rdm_mem_boundary",
    "device_model_stubdomain": "device_model_stubdomain_override",
    "ssid_label": "seclabel",
    "exec_ssid_label": "init_seclabel",
    "device_model_ssid_label": "device_model_stubdomain_seclabel",
    "pool_name": "pool",
}
# What has a place of its own below, what libxl notes for itself, and what it made at the start.
_READ = frozenset(
    """
    type name uuid domid ssidref poolid run_hotplug_scripts xsdata platformdata
    max_vcpus avail_vcpus cpumap nodemap numa_placement vcpu_hard_affinity
    max_memkb target_memkb video_memkb shadow_memkb iommu_memkb slack_memkb sched_params
    exec_ssidref device_model_ssidref ms_vm_genid viridian_disable gfx_passthru_kind
    vga vnc sdl spice arch_arm arch_x86
    """.split()
)
# What these are where nothing was set: libxl writes some of them out.
_DEFAULTS: dict[str, tuple[Value, ...]] = {
    "bios": ("unknown",),
    "nx": (1,),
    "acpi_s3": (1,),
    "acpi_s4": (1,),
    "vpt_align": (1,),
    "xen_platform_pci": (1,),
    "claim_mode": (1,),
    "pirq": (1,),
    "timer_mode": ("no_delay_for_missed_ticks",),
    "device_model_version": ("qemu_xen",),
    "hdtype": ("ide",),
    "altp2m": ("disabled",),
    "vendor_device": ("none",),
    "tee": ("none",),
    "max_grant_frames": (32, 64),
    "max_maptrack_frames": (1024,),
    "max_grant_version": (1, 2),
    "max_event_channels": (1023,),
    "pool": ("Pool-0",),
    "on_watchdog": ("destroy",),
    "on_soft_reset": ("soft_reset",),
    "spiceagent_mouse": (1,),
}
# Devices that the domain XML does not hold, by libxl's name for their list.
_OTHER_DEVICES = {
    "usbdevs": "usbdev",
    "usbctrls": "usbctrl",
    "vtpms": "vtpm",
    "p9s": "p9",
    "pvcallsifs": "pvcalls",
    "vdispls": "vdispl",
    "vsnds": "vsnd",
    "virtios": "virtio",
    "dtdevs": "dt_dev",
    "rdms": "rdm",
}
_EVENTS = ("on_poweroff", "on_reboot", "on_crash", "on_watchdog", "on_soft_reset")
_SCHEDULER = {"weight": ("cpu_weight", 256), "cap": ("cap", 0)}  # the option, its default
_VNC = {"listen": "vnclisten", "passwd": "vncpasswd"}
_SDL = {"display": "display", "xauthority": "xauthority", "opengl": "opengl"}
_SPICE = {
    "port": "spiceport",
    "tls_port": "spicetls_port",
    "host": "spicehost",
    "disable_ticketing": "spicedisable_ticketing",
    "passwd": "spicepasswd",
    "agent_mouse": "spiceagent_mouse",
    "vdagent": "spicevdagent",
    "clipboard_sharing": "spice_clipboard_sharing",
    "usbredirection": "spiceusbredirection",
    "image_compression": "spice_image_compression",
    "streaming_video": "spice_streaming_video",
}
_DISK = {"backend": "backendtype", "backend_domname": "backend"}
_DISK_AS_IS = ("vdev", "format", "script")
_VIF = {"ifname": "vifname", "backend_domname": "backend"}
_VIF_AS_IS = ("mac", "bridge", "model", "ip", "script", "mtu", "gatewaydev")
_OWN_IFNAME = re.compile(r"vif[0-9]+\.[0-9]+(-emu)?")  # Xen's: of the guest's number as it runs


def read_json(document: str | bytes, name: str = "") -> Imported:
    """Make a Xen domain XML of one guest in the list: the one called name, or the only one."""
    if len(document) > xml.MAX_BYTES:
        raise InvalidSource(f"The list has more than {xml.MAX_BYTES} bytes.")
    try:
        listed = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise InvalidSource(
            f"This is no JSON: {error}.", hint="Give what 'xl list -l GUEST' prints."
        ) from error
    return to_domain(Settings(_settings(_choose(listed, name))))


def _choose(listed: object, name: str) -> Mapping[str, Any]:
    """Find the guest; Domain-0 is none."""
    entries = listed if isinstance(listed, list) else [listed]
    guests = {}
    for entry in entries:
        config = _part(entry, "config") or _part(entry)
        called = str(_part(config, "c_info").get("name", ""))
        if called and called != "Domain-0":
            guests[called] = config
    if name in guests:
        return guests[name]
    if name or len(guests) != 1:
        raise VmNotFound(
            f"The list has no guest '{name}'." if name else f"The list has {len(guests)} guests.",
            hint=f"Name one of: {', '.join(sorted(guests)) or 'there is none'}.",
        )
    return next(iter(guests.values()))


def _settings(config: Mapping[str, Any]) -> dict[str, Value]:
    created, built = _part(config, "c_info"), _part(config, "b_info")
    kind = str(created.get("type", "pv"))
    inner = {**built, **_part(built, f"type.{kind}")}
    found: dict[str, Value] = {}
    for whole in (created, inner, _part(built, "arch_x86")):
        found |= _options(whole)
    found |= {"type": kind, "name": _scalar(created.get("name", ""))}
    if created.get("uuid"):
        found["uuid"] = _scalar(created["uuid"])
    found["maxmem"] = _mib(built.get("max_memkb", 0))
    found["memory"] = _mib(built.get("target_memkb", 0)) or found["maxmem"]
    found |= _processors(built)
    found |= _screens(inner) | {"videoram": _mib(built.get("video_memkb", 0))}
    found["vfb"] = tuple(map(_vfb, _items(config, "vfbs")))
    found["disk"] = tuple(map(_disk, _items(config, "disks")))
    found["vif"] = tuple(map(_vif, _items(config, "nics")))
    found["pci"] = tuple(map(_pci, _items(config, "pcidevs")))
    found["channel"] = tuple(map(_channel, _items(config, "channels")))
    for key, option in _OTHER_DEVICES.items():
        if devices := _items(config, key):
            found[option] = len(devices)
    return found | _options({event: config.get(event) for event in _EVENTS})


def _options(whole: Mapping[str, Any]) -> dict[str, Value]:
    """Return what has one value, by xl.cfg's name: what that does not know either is told, too."""
    found: dict[str, Value] = {}
    for key, given in whole.items():
        if (
            key in _READ
            or given in (None, "", {}, [])
            or not (key.isascii() and key.isidentifier())
        ):
            continue
        option, value = _NAMES.get(key, key), _scalar(given)
        if value not in _DEFAULTS.get(option, ()):
            found[option] = value
    return found


def _processors(built: Mapping[str, Any]) -> dict[str, Value]:
    """Return the CPUs, where they run and what the scheduler gives them."""
    most = _scalar(built.get("max_vcpus", 1))
    available = built.get("avail_vcpus")
    now = len(available) if isinstance(available, list) else most
    found: dict[str, Value] = {"maxvcpus": most, "vcpus": now}
    if pinned := _items(built, "vcpu_hard_affinity"):
        found["cpus"] = tuple(
            ",".join(map(str, each if isinstance(each, list) else ())) for each in pinned
        )
    for key, (option, default) in _SCHEDULER.items():
        share = _part(built, "sched_params").get(key, default)
        if isinstance(share, int) and share > 0 and share != default:
            found[option] = share
    return found


def _screens(inner: Mapping[str, Any]) -> dict[str, Value]:
    """Return the screens of an HVM guest, or those of a PV guest's frame buffer."""
    found = _screen(inner, "vnc", _VNC) | _screen(inner, "sdl", _SDL)
    found |= _screen(inner, "spice", _SPICE)
    vnc = _part(inner, "vnc")
    if "vnc" in found and vnc.get("display") is not None and not _scalar(vnc.get("findunused", 0)):
        found["vncdisplay"] = _scalar(vnc["display"])
    kind = _part(inner, "vga").get("kind")
    if kind:
        found["vga"] = {"std": "stdvga"}.get(str(kind), str(kind))
    return found


def _screen(inner: Mapping[str, Any], name: str, names: Mapping[str, str]) -> dict[str, Value]:
    part = _part(inner, name)
    if not _scalar(part.get("enable", 0)):
        return {}
    return {name: 1} | _options({names[key]: part.get(key) for key in names})


def _vfb(screen: object) -> str:
    part = _part(screen)
    said = _screens(part) | _options({"keymap": part.get("keymap")})
    return ",".join(f"{key}={value}" for key, value in ({"vnc": 0} | said).items())


def _disk(entry: object) -> str:
    disk = _part(entry)
    parts = [f"{name}={disk[name]}" for name in _DISK_AS_IS if disk.get(name)]
    parts += [f"{option}={disk[key]}" for key, option in _DISK.items() if disk.get(key)]
    parts.append("access=rw" if disk.get("readwrite") else "access=ro")
    if disk.get("is_cdrom"):
        parts.append("devtype=cdrom")
    if "discard_enable" in disk:
        parts.append("discard" if _scalar(disk["discard_enable"]) else "no-discard")
    return ",".join([*parts, f"target={disk.get('pdev_path') or ''}"])


def _vif(entry: object) -> str:
    nic = dict(_part(entry))
    if _OWN_IFNAME.fullmatch(str(nic.get("ifname", ""))):
        del nic["ifname"]
    parts = [f"{name}={nic[name]}" for name in _VIF_AS_IS if nic.get(name)]
    parts += [f"{option}={nic[key]}" for key, option in _VIF.items() if nic.get(key)]
    if nic.get("nictype") == "vif":
        parts.append("type=vif")
    size, microseconds = nic.get("rate_bytes_per_interval"), nic.get("rate_interval_usecs")
    if (
        isinstance(size, int)
        and isinstance(microseconds, int)
        and 0 < size < 1 << 64
        and microseconds > 0
    ):
        parts.append(f"rate={size * 1_000_000 // microseconds}B/s")
    return ",".join(parts)


def _channel(entry: object) -> str:
    channel = _part(entry)
    socket = _part(channel, "connection.socket").get("path")
    where = f"connection=socket,path={socket}" if socket else "connection=pty"
    return f"{where},name={channel.get('name', '')}"


def _pci(entry: object) -> str:
    pci = _part(entry)
    numbers = [pci.get(name, 0) for name in ("domain", "bus", "dev", "func")]
    domain, bus, slot, function = (each if isinstance(each, int) else 0 for each in numbers)
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _part(whole: object, name: str = "") -> Mapping[str, Any]:
    """An object of the JSON, or an empty one where something else stands."""
    inner = whole.get(name) if name and isinstance(whole, Mapping) else whole
    return inner if isinstance(inner, Mapping) else {}


def _items(config: Mapping[str, Any], name: str) -> list[object]:
    found = config.get(name)
    return found if isinstance(found, list) else []


def _scalar(value: object) -> Value:
    """A value of the JSON as xl.cfg writes it; libxl writes its switches as "True" and "False"."""
    if isinstance(value, bool) or value in ("True", "False"):
        return int(value in (True, "True"))
    if isinstance(value, list):
        return tuple(_scalar(each) for each in value)
    return value if isinstance(value, int | str) else str(value)


def _mib(kib: object) -> int:
    """KiB as whole MiB: libxl keeps a little for video memory, so it is rounded up."""
    return -(-kib // 1024) if isinstance(kib, int) and kib > 0 else 0
