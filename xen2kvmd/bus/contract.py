# SPDX-License-Identifier: GPL-2.0-or-later
"""The introspection XML is the contract: what it says is what is served, and who may call it."""

import copy
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from xen2kvmd.bus.polkit import Action

NAME = "org.xen2kvm.Migrator1"
ROOT = "/org/xen2kvm/Migrator1"
MANAGER = NAME + ".Manager"
LOG_CONTROL = "org.freedesktop.LogControl1"
JOB = NAME + ".Job"

_FILE = NAME + ".xml"
_ACTION = "org.xen2kvm.PolkitAction"
_EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"


class ContractError(Exception):
    """The XML and the code part, or the XML leaves a method unguarded: we do not start."""


@dataclass(frozen=True)
class Method:
    """A method; actions are those of which one guards each call."""

    takes: str
    gives: str
    actions: frozenset[Action]


@dataclass(frozen=True)
class Property:
    """A property; emits is "true", "invalidates", "const" or "false".

    actions guard its setting; there are none if it can only be read.
    """

    type: str
    emits: str
    actions: frozenset[Action]


@dataclass(frozen=True)
class Interface:
    """An interface as its XML declares it."""

    name: str
    element: etree._Element
    methods: dict[str, Method]
    properties: dict[str, Property]
    signals: dict[str, str]

    def check(
        self, *, methods: Iterable[str], properties: Iterable[str], settable: Iterable[str]
    ) -> None:
        """Raise ContractError unless an object has all that is declared, and no more."""
        declared = {name for name, item in self.properties.items() if item.actions}
        for what, ours, theirs in (
            ("methods", set(methods), set(self.methods)),
            ("properties", set(properties), set(self.properties)),
            ("properties that can be set", set(settable), declared),
        ):
            if ours != theirs:
                raise ContractError(f"{self.name}: {what} differ: {sorted(ours ^ theirs)}")

    def introspection(self) -> etree._Element:
        return copy.deepcopy(self.element)


def find() -> Path:
    """Find the XML: beside the checkout's package, else where installation puts it."""
    places = (
        Path(__file__).parents[2] / "dbus",
        Path(sysconfig.get_path("data")) / "share/dbus-1/interfaces",
        Path("/usr/share/dbus-1/interfaces"),
    )
    for place in places:
        if (place / _FILE).is_file():
            return place / _FILE
    raise ContractError(f"{_FILE} is in none of {', '.join(map(str, places))}.")


def load(document: bytes) -> dict[str, Interface]:
    """Read interfaces by name; raises ContractError where a method has no PolkitAction."""
    root = etree.fromstring(document)
    return {interface.name: interface for interface in map(_interface, root.iterfind("interface"))}


def _interface(element: etree._Element) -> Interface:
    name = element.get("name", "")
    return Interface(
        name,
        element,
        {item.get("name", ""): _method(name, item) for item in element.iterfind("method")},
        {
            item.get("name", ""): Property(
                item.get("type", ""),
                _annotation(item, _EMITS) or "true",
                _actions(name, item) if "write" in item.get("access", "") else frozenset(),
            )
            for item in element.iterfind("property")
        },
        {item.get("name", ""): _types(item, "") for item in element.iterfind("signal")},
    )


def _method(interface: str, element: etree._Element) -> Method:
    return Method(_types(element, "in"), _types(element, "out"), _actions(interface, element))


def _actions(interface: str, element: etree._Element) -> frozenset[Action]:
    actions = _annotation(element, _ACTION).split()
    if not actions:
        raise ContractError(f"{interface}.{element.get('name')} has no annotation {_ACTION}.")
    try:
        return frozenset(map(Action, actions))
    except ValueError as error:
        raise ContractError(f"{interface}.{element.get('name')}: {error}.") from error


def _types(element: etree._Element, direction: str) -> str:
    return "".join(
        item.get("type", "")
        for item in element.iterfind("arg")
        if not direction or item.get("direction", "in") == direction
    )


def _annotation(element: etree._Element, name: str) -> str:
    found = element.find(f"annotation[@name='{name}']")
    return "" if found is None else found.get("value", "")
