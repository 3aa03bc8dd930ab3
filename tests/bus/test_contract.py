# SPDX-License-Identifier: GPL-2.0-or-later
"""What is served is what the XML says."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import fields

import pytest
from lxml import etree

from tests.bus.client import FDO, JOB, MANAGER, NAME, ROOT, Client
from tests.bus.running import CHECKOUT
from xen2kvmd.bus import contract, options, polkit
from xen2kvmd.bus.contract import LOG_CONTROL, ContractError
from xen2kvmd.bus.log_control import LogControl
from xen2kvmd.bus.option_table import OPTIONS
from xen2kvmd.bus.service import Guarded, Handler, Service
from xen2kvmd.errors import BY_NAME
from xen2kvmd.model import Request, Target

XML = contract.find().read_bytes()
ROOT_ELEMENT = etree.fromstring(XML)
STANDARD = {"Introspectable", "Peer", "Properties"}


def method(interface: str, name: str) -> str:
    return f"interface[@name='{interface}']/method[@name='{name}']"


def members(interface: etree._Element) -> set[tuple[str, str]]:
    return {
        (child.tag, child.get("name", ""))
        for child in interface
        if isinstance(child.tag, str) and child.tag != "annotation"
    }


def test_a_method_without_an_action_is_refused() -> None:
    root = etree.fromstring(XML)
    found = root.find(method(JOB, "Cancel"))
    assert found is not None
    found.remove(found.findall("annotation")[0])
    with pytest.raises(ContractError, match=r"Job\.Cancel"):
        contract.load(etree.tostring(root))


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(ContractError, match=r"Manager\.Migrate"):
        contract.load(XML.replace(b'"org.xen2kvm.migrate ', b'"org.xen2kvm.migarte '))


class Half:
    """An object that lacks something, or has more than it should."""

    path = ROOT
    interface = MANAGER
    setters: Mapping[str, Handler] = {}

    def __init__(self, handlers: set[str], properties: set[str]) -> None:
        self.handlers: dict[str, Handler] = dict.fromkeys(handlers, self.handle)
        self._properties = properties

    def handle(self, *_: object) -> Guarded:
        raise NotImplementedError

    def properties(self) -> dict[str, object]:
        return dict.fromkeys(self._properties)


@pytest.mark.parametrize(
    ("missing", "more"), [({"Plan"}, set()), (set(), {"Hidden"}), ({"Version"}, set())]
)
async def test_an_object_that_differs_is_refused(missing: set[str], more: set[str]) -> None:
    interfaces = contract.load(XML)
    service = Service(None, interfaces, root=ROOT, authority=None, callers=None)  # type: ignore[arg-type]
    methods = set(interfaces[MANAGER].methods) - missing | more
    with pytest.raises(ContractError, match=(missing | more).pop()):
        service.export(Half(methods, set(interfaces[MANAGER].properties) - missing))


def test_each_action_is_one_of_the_policy() -> None:
    policy = etree.parse(CHECKOUT / "polkit/org.xen2kvm.policy")
    ids = {action.get("id") for action in policy.iterfind("action")}
    used = {
        str(action)
        for interface in contract.load(XML).values()
        for found in interface.methods.values()
        for action in found.actions
    }
    ours = {str(action) for action in polkit.Action}
    assert used == ours
    assert ids == ours - {"none", "owner"}


@pytest.mark.parametrize("name", ["Inspect", "Plan", "Migrate", "ConvertXml", "ListJobs"])
def test_the_xml_documents_the_options(name: str) -> None:
    assert options.document(name) in XML.decode()


def test_methods_of_the_options_are_methods() -> None:
    known = {name for interface in contract.load(XML).values() for name in interface.methods}
    assert {name for option in OPTIONS for name in option.methods.split()} <= known


def test_every_documented_option_is_one() -> None:
    for comment in ROOT_ELEMENT.iter(etree.Comment):
        name = str(comment.text).split(":", 1)[0].strip()
        documented = set(re.findall(r"^          ([a-z._-]+) \([^ ]+\):", str(comment.text), re.M))
        assert documented == set(options.taken_by(name) if documented else ())


@pytest.mark.parametrize(
    ("name", "target"), [("Plan", Request), ("Migrate", Request), ("ConvertXml", Target)]
)
def test_options_set_fields_that_exist(name: str, target: type[Request | Target]) -> None:
    known = {field.name for field in fields(target)}
    assert {option.field for option in options.taken_by(name).values() if option.field} <= known


def test_everything_is_documented() -> None:
    for interface in ROOT_ELEMENT:
        for member in interface:
            if not isinstance(member.tag, str):
                continue
            comment = member.getprevious()
            assert isinstance(comment, etree._Comment)
            assert str(comment.text).strip().startswith(f"{member.get('name')}:")


def test_error_names_of_the_xml_exist() -> None:
    from_text = re.findall(r"Errors: ([^.]+)\.", XML.decode())
    names = {name for text in from_text for name in re.findall(r"\b[A-Z]\w+[A-Z]\w+", text)}
    known = {*BY_NAME, "ErrorName"}
    assert names - known == set()


def test_dialogs_tell_what_is_to_be_done() -> None:
    """The same action guards a migration and a backup."""
    policy = etree.parse(CHECKOUT / "polkit/org.xen2kvm.policy")
    for action in ("inspect", "inspect-paths", "migrate", "migrate-paths"):
        message = policy.findtext(f"action[@id='org.xen2kvm.{action}']/message")
        assert message is not None
        assert "$(operation) $(vm)" in message


# --- on the bus -----------------------------------------------------------------------------------


async def test_the_xml_is_served_as_it_stands(root: Client) -> None:
    job = await root.start()
    for path, name in ((ROOT, MANAGER), (job, JOB), (LogControl.path, LOG_CONTROL)):
        (served,) = await root.call("Introspect", path=path, interface=FDO + ".Introspectable")
        node = etree.fromstring(served.encode())
        ours = ROOT_ELEMENT.find(f"interface[@name='{name}']")
        found = node.find(f"interface[@name='{name}']")
        assert ours is not None
        assert found is not None
        assert etree.tostring(found).strip() == etree.tostring(ours).strip()
        others = {item.get("name", "") for item in node.iterfind("interface")} - {name}
        manager = {"ObjectManager"} if path == ROOT else set()
        assert others == {f"{FDO}.{item}" for item in STANDARD | manager}


async def test_the_way_to_the_objects_is_shown(root: Client) -> None:
    job = await root.start()

    async def children(path: str) -> set[str]:
        (served,) = await root.call("Introspect", path=path, interface=FDO + ".Introspectable")
        node = etree.fromstring(served.encode())
        return {child.get("name", "") for child in node.iterfind("node")}

    assert await children("/") == {"org"}
    assert await children(ROOT) == {"jobs"}
    assert job.rpartition("/")[2] in await children(ROOT + "/jobs")


async def test_gdbus_reads_it(root: Client, bus_address: str) -> None:
    job = await root.start()
    for path, name in ((ROOT, MANAGER), (job, JOB), (LogControl.path, LOG_CONTROL)):
        shown = run("gdbus", "introspect", f"--address={bus_address}", "-x", "-d", NAME, "-o", path)
        found = etree.fromstring(shown.encode()).find(f"interface[@name='{name}']")
        ours = ROOT_ELEMENT.find(f"interface[@name='{name}']")
        assert found is not None
        assert ours is not None
        assert members(found) == members(ours)
        actions = "annotation[@name='org.xen2kvm.PolkitAction']"
        assert [item.get("value") for item in found.iterfind(f"method/{actions}")] == [
            item.get("value") for item in ours.iterfind(f"method/{actions}")
        ]


async def test_busctl_reads_it(root: Client, bus_address: str) -> None:
    job = await root.start()
    for path, name in ((ROOT, MANAGER), (job, JOB), (LogControl.path, LOG_CONTROL)):
        shown = run("busctl", f"--address={bus_address}", "introspect", NAME, path, name)
        rows = [line.split() for line in shown.splitlines()[1:]]
        ours = ROOT_ELEMENT.find(f"interface[@name='{name}']")
        assert ours is not None
        assert {(row[1], row[0].lstrip(".")) for row in rows} == members(ours)
        flags = {row[0].lstrip("."): row[-1] for row in rows if row[1] == "property"}
        says = {"true": "emits-change", "invalidates": "emits-invalidation", "const": "const"}
        says["false"] = "writable"
        properties = contract.load(XML)[name].properties
        assert flags == {key: says[item.emits] for key, item in properties.items()}


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
