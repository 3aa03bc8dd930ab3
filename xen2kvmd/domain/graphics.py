# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for what a person sees of the guest: <graphics> and <video>."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import add_device, devices
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element


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
def video_vga(domain: Element, case: Case) -> Iterator[Finding]:
    """Replace Xen's frame buffer with VGA, which firmware and every guest know."""
    if domain.find("devices/video") is None:
        video = add_device(domain, "video")
        video.append(video.makeelement("model", {"type": "vga"}, None))
    for video in devices(domain, "video"):
        model = video.find("model")
        if model is not None and model.get("type") == "xen":
            model.attrib.clear()
            model.set("type", "vga")
    return iter(())
