# SPDX-License-Identifier: GPL-2.0-or-later
"""The standard interfaces: anybody may use them, for they tell what everybody may know."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lxml import etree

from xen2kvmd.bus.contract import Interface
from xen2kvmd.bus.fault import fault
from xen2kvmd.bus.library import Message, Variant
from xen2kvmd.bus.packed import Packed

PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
PEER = "org.freedesktop.DBus.Peer"

MANAGED = "a{oa{sa{sv}}}"  # all objects with their properties

_DOCTYPE = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)

_XML = f"""<node>
  <interface name="{INTROSPECTABLE}">
    <method name="Introspect"><arg name="xml_data" type="s" direction="out"/></method>
  </interface>
  <interface name="{PEER}">
    <method name="Ping"/>
    <method name="GetMachineId"><arg name="machine_uuid" type="s" direction="out"/></method>
  </interface>
  <interface name="{PROPERTIES}">
    <method name="Get">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="GetAll">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="properties" type="a{{sv}}" direction="out"/>
    </method>
    <method name="Set">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
    <signal name="PropertiesChanged">
      <arg name="interface_name" type="s"/>
      <arg name="changed_properties" type="a{{sv}}"/>
      <arg name="invalidated_properties" type="as"/>
    </signal>
  </interface>
  <interface name="{OBJECT_MANAGER}">
    <method name="GetManagedObjects">
      <arg name="objects" type="a{{oa{{sa{{sv}}}}}}" direction="out"/>
    </method>
    <signal name="InterfacesAdded">
      <arg name="object_path" type="o"/>
      <arg name="interfaces_and_properties" type="a{{sa{{sv}}}}"/>
    </signal>
    <signal name="InterfacesRemoved">
      <arg name="object_path" type="o"/>
      <arg name="interfaces" type="as"/>
    </signal>
  </interface>
</node>"""


class Objects(Protocol):
    """What is told of all of them."""

    @property
    def root(self) -> str: ...
    @property
    def objects(self) -> Mapping[str, Any]: ...
    @property
    def contract(self) -> Mapping[str, Interface]: ...
    def values(self, exported: Any, /) -> dict[str, dict[str, Variant]]: ...
    async def managed(self) -> Packed: ...


@dataclass(frozen=True)
class Standard:
    """A method of a standard interface: what it takes and gives, and where it is."""

    interface: str
    takes: str
    gives: str
    do: Callable[
        [Objects, Message], list[Any] | Awaitable[Packed]
    ]  # Set's alone is guarded, see settable()
    where: str = "object"  # or "root", "anywhere"


def find(objects: Objects, message: Message) -> Standard | None:
    """Find the standard method that is called, with or without naming its interface."""
    method = _METHODS.get(message.member)
    if method is None or message.interface not in (None, "", method.interface):
        return None
    places = {
        "root": message.path == objects.root,
        "object": message.path in objects.objects,
        "anywhere": True,
    }
    return method if places[method.where] else None


def _introspect(objects: Objects, message: Message) -> list[Any]:
    node = etree.Element("node")
    exported = objects.objects.get(message.path)
    if exported:
        for interface in etree.fromstring(_XML):
            if message.path == objects.root or interface.get("name") != OBJECT_MANAGER:
                node.append(interface)
        node.append(objects.contract[exported.interface].introspection())
    below = message.path.rstrip("/") + "/"
    children = {
        path.removeprefix(below).split("/")[0] for path in objects.objects if path.startswith(below)
    }
    for child in sorted(children):
        etree.SubElement(node, "node", name=child)
    return [_DOCTYPE + etree.tostring(node, encoding="unicode")]


def _ping(_objects: Objects, _message: Message) -> list[Any]:
    return []


def _machine_id(_objects: Objects, _message: Message) -> list[Any]:
    return [Path("/etc/machine-id").read_text().strip()]


def _managed(objects: Objects, _message: Message) -> Awaitable[Packed]:
    return objects.managed()


def _get(objects: Objects, message: Message) -> list[Any]:
    values = _values(objects, message)
    if message.body[1] not in values:
        raise fault("UnknownProperty", f"There is no property {message.body[1]}.")
    return [values[message.body[1]]]


def _get_all(objects: Objects, message: Message) -> list[Any]:
    return [_values(objects, message)]


def settable(objects: Objects, message: Message) -> str:
    """Return the property that a call of Set names, checked with its new value's type.

    Raises UnknownProperty, PropertyReadOnly or InvalidArgs.
    """
    name, new = message.body[1:]
    _get(objects, message)
    exported = objects.objects[message.path]
    if name not in exported.setters:
        _set(objects, message)
    declared = objects.contract[exported.interface].properties[name]
    if new.signature != declared.type:
        raise fault("InvalidArgs", f"{name} is of the type {declared.type}, not {new.signature}.")
    return str(name)


def _set(objects: Objects, message: Message) -> list[Any]:
    _get(objects, message)
    raise fault("PropertyReadOnly", f"{message.body[1]} can only be read.")


def _values(objects: Objects, message: Message) -> dict[str, Variant]:
    """Return the properties of the interface named, or of the object's own where none is."""
    exported = objects.objects[message.path]
    if message.body[0] in (PROPERTIES, INTROSPECTABLE, PEER):
        return {}
    if message.body[0] not in ("", exported.interface):
        raise fault("UnknownInterface", f"{message.path} has no {message.body[0]}.")
    return objects.values(exported)[exported.interface]


_METHODS = {
    "Introspect": Standard(INTROSPECTABLE, "", "s", _introspect, "anywhere"),
    "Ping": Standard(PEER, "", "", _ping, "anywhere"),
    "GetMachineId": Standard(PEER, "", "s", _machine_id, "anywhere"),
    "GetManagedObjects": Standard(OBJECT_MANAGER, "", MANAGED, _managed, "root"),
    "Get": Standard(PROPERTIES, "ss", "v", _get),
    "GetAll": Standard(PROPERTIES, "s", "a{sv}", _get_all),
    "Set": Standard(PROPERTIES, "ssv", "", _set),
}
