# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for what a person sees of the guest: <graphics> and <video>."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import (
    add_device,
    append,
    brief,
    devices,
    number,
    place,
    remove,
    remove_all,
)
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element

_ANYWHERE = ("", "0.0.0.0", "127.0.0.1", "::", "::1", "localhost")
_MODELS = frozenset("vga cirrus vmvga qxl virtio none bochs ramfb".split())
_ONE_SCREEN = frozenset("vga cirrus vmvga bochs ramfb none".split())


@rule(guide="")
def graphics_kvm(domain: Element, case: Case) -> Iterator[Finding]:
    """Keep the displays that a server can give, one of each kind.

    SDL opens a window on the Xen host's own screen; QEMU's driver has one VNC and one SPICE.
    """
    seen = set()
    for graphics in devices(domain, "graphics"):
        kind = graphics.get("type", "")
        if kind in ("sdl", "rdp", "desktop") or kind in seen:
            why = "a second one of its kind" if kind in seen else "not for a server"
            where, shown = place(graphics), brief(graphics)
            remove(graphics)
            yield Finding(
                "graphics-dropped",
                f"The display {shown} is dropped: it is {why}.",
                hint="Use VNC: 'virsh domdisplay' tells where.",
                place=where,
            )
        seen.add(kind)


@rule(guide="")
def graphics_access(domain: Element, case: Case) -> Iterator[Finding]:
    """Carry addresses and passwords of displays, and say so; a password is never shown."""
    for graphics in devices(domain, "graphics"):
        where = place(graphics)
        if graphics.get("passwd"):
            yield Finding(
                "graphics-password",
                f"The {graphics.get('type')} password is carried inside the domain XML.",
                severity=Severity.INFO,
                hint="See it with 'virsh dumpxml --security-info'; change it with 'virsh edit'.",
                place=where,
            )
        if graphics.attrib.pop("tlsPort", "-1") != "-1":
            yield Finding(
                "spice-tls",
                "A fixed TLS port is not carried: the target host may not have SPICE with TLS.",
                hint="Set spice_tls in /etc/libvirt/qemu.conf, then the port with 'virsh edit'.",
                place=where,
            )
        addresses = {graphics.get("listen", "")}
        addresses |= {listen.get("address", "") for listen in graphics.iterfind("listen")}
        for address in sorted(addresses.difference(_ANYWHERE)):
            yield Finding(
                "graphics-listen",
                f"The display listens on {address}, an address of the Xen host.",
                hint="The guest does not start where the target host lacks it: change it.",
                place=where,
            )


@rule(guide="")
def a_screen(domain: Element, case: Case) -> Iterator[Finding]:
    """Give a guest without graphics a VNC screen, open to the target host alone.

    A PV guest often has none: its kernel spoke to Xen's console from the first line. Under KVM,
    firmware and boot loader speak to a screen, and a guest that stops there shows nothing else.
    """
    if domain.find("devices/graphics") is None:
        add_device(domain, "graphics", type="vnc", port="-1", autoport="yes", listen="127.0.0.1")
    return iter(())


@rule(guide="")
def video_kvm(domain: Element, case: Case) -> Iterator[Finding]:
    """Give each display adapter a model that QEMU has: VGA, which firmware and guests know."""
    if domain.find("devices/video") is None:
        append(add_device(domain, "video"), "model", type="vga")
    for model in domain.iterfind("devices/video/model"):
        if model.get("type", "") not in _MODELS:
            model.attrib.clear()
            model.set("type", "vga")
    return iter(())


@rule(guide="")
def video_limits(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove what QEMU's adapter cannot do: more heads, too little memory, acceleration.

    A second adapter is for QXL and virtio alone.
    """
    for position, video in enumerate(devices(domain, "video")):
        model = video.find("model")
        if model is None:
            continue
        kind, before = model.get("type", ""), brief(model)
        where = place(video)
        if position and kind not in ("qxl", "virtio"):
            remove(video)
            yield _video(f"A second adapter, {before}, is dropped.", where)
            continue
        if kind in _ONE_SCREEN and model.get("heads", "1") != "1":
            model.set("heads", "1")
            yield _video(f"The adapter {before} has one screen under KVM.", where)
        if number(model, "vram", 1024) < 1024:
            model.attrib.pop("vram")
        if kind != "virtio" and model.find("acceleration") is not None:
            remove_all(model, "acceleration")
            yield _video(f"The adapter {before} has no acceleration under KVM.", where)


def _video(message: str, where: str) -> Finding:
    hint = "A virtio adapter can do it, where the guest has the driver."
    return Finding("video-changed", message, severity=Severity.INFO, hint=hint, place=where)
