# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks as xl-disk-configuration(5) writes them, and as old xm files did."""

import re
from dataclasses import dataclass, replace
from typing import Any

from xen2kvmd.errors import InvalidSource
from xen2kvmd.words import letters

_HINT = "See xl-disk-configuration(5): format=raw, vdev=xvda, access=rw, target=/path."
_FORMATS = frozenset({"raw", "qcow", "qcow2", "vhd", "qed", "empty"})
_BACKENDS = frozenset({"phy", "tap", "qdisk", "standalone"})
_PREFIX = re.compile(
    r"(raw|qcow2?|vhd|iscsi|e?nbd|drbd|dmmd|npiv|tapdisk|tap2?|aio|ioemu|file|phy):"
)
_FLAGS = re.compile(
    r"direct-io-safe|(?:no-)?discard|(?:no-)?colo|(?:un)?trusted|grant_usage=[01]|"
    r"(?:colo-(?:host|port|export)|active-disk|hidden-disk|specification)=.*"
)
_NAME = re.compile(r"(?:xvd|hd|sd|fd|vd)[a-z]{1,4}[0-9]{0,3}")
_VDEV = re.compile(r"d([0-9]+)(?:p([0-9]+))?")


@dataclass(frozen=True)
class XlDisk:
    """One entry of disk=[...]."""

    target: str = ""
    format: str = ""
    vdev: str = ""
    access: str = ""
    cdrom: bool = False
    backendtype: str = ""
    backend: str = ""  # name of a driver domain
    script: str = ""
    discard: str = ""  # "", "discard" or "no-discard"

    @property
    def readonly(self) -> bool:
        return self.cdrom or self.access in ("r", "ro")

    @property
    def empty(self) -> bool:
        return self.format == "empty" or not self.target


def parse_disk(text: str) -> XlDisk:
    """Read an entry: keywords, flags, and the positions target, format, vdev, access."""
    keywords, equals, target = _split_target(text)
    disk = XlDisk(target=target)
    places = [] if equals else ["target"]
    places += ["format", "vdev", "access"]
    seen = set()
    for number, given in enumerate(keywords.split(",") if keywords else []):
        word = given.strip()
        key, sign, value = word.partition("=")
        if sign and re.fullmatch(r"[a-z][-a-z_]*", key):
            disk = _keyword(disk, key, value.strip(), text)
            seen.add(key)
        elif word in ("cdrom", "discard", "no-discard") or _FLAGS.fullmatch(word):
            disk = _flag(disk, word)
        else:
            free = [place for place in places if place not in seen]
            if not free:
                raise _error(text, "has too many parts")
            seen.add(free[0])
            prefixed = not number and not equals
            disk, more = _positional(disk, free[0], word, prefixed=prefixed, text=text)
            seen |= more
    return _checked(disk, text)


def _split_target(text: str) -> tuple[str, bool, str]:
    """Cut off target=, which takes the rest of the entry, commas and all."""
    match = re.search(r"(?:^|,)\s*target=", text)
    if not match:
        return text.strip(), False, ""
    return text[: match.start()].strip(), True, text[match.end() :].strip().removesuffix(",")


def _keyword(disk: XlDisk, key: str, value: str, text: str) -> XlDisk:
    if key == "devtype" and value in ("cdrom", "disk"):
        return replace(disk, cdrom=value == "cdrom")
    if key in ("format", "vdev", "access", "backendtype", "backend", "script"):
        return replace(disk, **_word(key, value))
    if _FLAGS.fullmatch(f"{key}={value}"):
        return disk
    raise _error(text, f"has an unknown part '{key}={value}'")


def _flag(disk: XlDisk, word: str) -> XlDisk:
    if word == "cdrom":
        return replace(disk, cdrom=True)
    return replace(disk, discard=word) if word in ("discard", "no-discard") else disk


def _positional(
    disk: XlDisk, place: str, word: str, *, prefixed: bool, text: str
) -> tuple[XlDisk, set[str]]:
    """Put a word in its place; return the places that it fills besides."""
    if place == "target" and prefixed:
        return _old_target(disk, word)
    if place == "format" and not disk.target and ":" in word:
        return replace(_vdev(disk, word, text), format="empty"), {"vdev"}
    if place == "vdev":
        return _vdev(disk, word, text), set()
    return replace(disk, **_word(place, word)), set()


def _old_target(disk: XlDisk, word: str) -> tuple[XlDisk, set[str]]:
    """Read phy:/dev/vg/x, file:/x, tap:qcow2:/x: the old way, where no format follows."""
    filled: set[str] = set()
    while match := _PREFIX.match(word):
        prefix, word = match[1], word[match.end() :]
        filled.add("format")
        if prefix in _FORMATS:
            disk = replace(disk, format=prefix)
        elif prefix in ("iscsi", "nbd", "enbd", "drbd", "dmmd", "npiv"):
            disk = replace(disk, script=f"block-{prefix}")
        elif prefix == "phy":
            disk = replace(disk, backendtype="phy")
            word = word if word.startswith("/") else f"/dev/{word}"
        elif prefix in ("tap", "tap2", "tapdisk"):
            disk = replace(disk, backendtype="tap")
    return replace(disk, target=word), filled


def _vdev(disk: XlDisk, word: str, text: str) -> XlDisk:
    """Read hda, hdc:cdrom, ioemu:hda."""
    name, colon, kind = word.removeprefix("ioemu:").rpartition(":")
    if not colon:
        return replace(disk, vdev=kind)
    if kind not in ("cdrom", "disk"):
        raise _error(text, f"has an unknown kind '{kind}'")
    return replace(disk, vdev=name, cdrom=kind == "cdrom")


def _checked(disk: XlDisk, text: str) -> XlDisk:
    disk = replace(disk, vdev=device_name(disk.vdev), format=disk.format or "raw")
    if not disk.vdev:
        raise _error(text, "has no vdev")
    if not _NAME.fullmatch(disk.vdev):
        raise _error(text, f"has the unknown vdev '{disk.vdev}'")
    if disk.format not in _FORMATS | {"aio"}:
        raise _error(text, f"has the unknown format '{disk.format}'")
    if disk.backendtype not in _BACKENDS | {""}:
        raise _error(text, f"has the unknown backendtype '{disk.backendtype}'")
    if disk.access not in ("", "r", "ro", "w", "rw", "w!"):
        raise _error(text, f"has the unknown access '{disk.access}'")
    return disk


def device_name(vdev: str) -> str:
    """Name a device as Linux does: d0p1 and 51713 are xvda1, 768 is hda (xen-vbd-interface(7))."""
    match = _VDEV.fullmatch(vdev)
    if match:
        return _linux("xvd", int(match[1]), int(match[2] or 0))
    if not re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}", vdev):
        return vdev
    number = int(vdev, 16 if vdev.lower().startswith("0x") else 10)
    if number >> 28:
        return _linux("xvd", (number >> 8) & 0xFFFFF, number & 0xFF)
    major, minor = number >> 8, number & 0xFF
    if major == 202:
        return _linux("xvd", minor >> 4, minor & 15)
    if major == 8:
        return _linux("sd", minor >> 4, minor & 15)
    if major in (3, 22):
        return _linux("hd", (minor >> 6) + (2 if major == 22 else 0), minor & 63)
    return vdev


def _linux(prefix: str, disk: int, part: int) -> str:
    return f"{prefix}{letters(disk)}{part or ''}"


def _word(key: str, value: str) -> dict[str, Any]:
    return {key: value}  # cdrom, which is no string, is set by name


def _error(text: str, what: str) -> InvalidSource:
    return InvalidSource(f"The disk '{text}' {what}.", hint=_HINT)
