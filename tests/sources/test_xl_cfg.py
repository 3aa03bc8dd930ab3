# SPDX-License-Identifier: GPL-2.0-or-later
"""xl/NAME.cfg becomes NAME.xml, NAME.findings; NAME.libvirt.xml is what a Xen host made of it.

So does xl/list-NAME.json, which has what libxl_types.idl of Xen names.
"""

import time
from pathlib import Path

import pytest
from lxml import etree

from xen2kvmd import xml
from xen2kvmd.domain import convert
from xen2kvmd.errors import InvalidSource, MigrationError, VmNotFound
from xen2kvmd.model import Case, Severity
from xen2kvmd.sources.xl_cfg import read_cfg
from xen2kvmd.sources.xl_disk import XlDisk, device_name, parse_disk
from xen2kvmd.sources.xl_domain import Imported
from xen2kvmd.sources.xl_json import read_json
from xen2kvmd.sources.xl_syntax import parse_settings
from xen2kvmd.sources.xl_vif import parse_vif

FOLDER = Path(__file__).parent / "xl"
SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
FILES = sorted([*FOLDER.glob("*.cfg"), *FOLDER.glob("list-*.json")])


def check(file: Path, content: str, *, regenerate: bool) -> None:
    if regenerate and content:
        file.write_text(content)
    assert (file.read_text() if file.exists() else "") == content


def check_valid(document: str) -> None:
    if SCHEMA.exists():
        schema = etree.RelaxNG(etree.parse(SCHEMA))
        assert schema.validate(xml.parse(document)), schema.error_log


def show(imported: Imported) -> str:
    return "".join(f"{found.severity} {found.id} {found.message}\n" for found in imported.findings)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_configuration_becomes_domain(file: Path, *, regenerate: bool) -> None:
    imported = (read_json if file.suffix == ".json" else read_cfg)(file.read_bytes())

    check(file.with_suffix(".xml"), imported.domain_xml, regenerate=regenerate)
    check(file.with_suffix(".findings"), show(imported), regenerate=regenerate)
    check_valid(imported.domain_xml)
    check_valid(convert(imported.domain_xml, Case()).domain_xml)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.libvirt.xml")), ids=lambda file: file.name)
def test_result_is_that_of_libvirts_importer(file: Path) -> None:
    ours = read_cfg(file.with_name(file.name.replace(".libvirt.xml", ".cfg")).read_bytes())
    target = [convert(source, Case()) for source in (ours.domain_xml, file.read_bytes())]
    assert comparable(target[0].domain_xml) == comparable(target[1].domain_xml)
    assert ours.findings == ()


def comparable(document: str) -> str:
    root = xml.parse(document)
    for model in root.iterfind("devices/video/model"):
        for default in ("vram", "heads", "primary"):  # libvirt writes its defaults out
            model.attrib.pop(default, None)
    return xml.serialize(root)


def test_list_of_libxl_gives_the_same_domain_as_the_configuration() -> None:
    listed = read_json((FOLDER / "pv-pygrub.json").read_bytes())
    written = read_cfg((FOLDER / "pv-pygrub.cfg").read_bytes())
    # libxl does not tell that the script was named: it is the default one.
    script = '      <script path="vif-bridge"/>\n'
    assert listed.domain_xml == written.domain_xml.replace(script, "")


def test_guest_is_chosen_from_a_list_by_name() -> None:
    document = (FOLDER / "two-domains.json").read_bytes()
    assert "<name>pv-pygrub</name>" in read_json(document).domain_xml
    assert read_json(document, "pv-pygrub") == read_json(document)
    with pytest.raises(VmNotFound, match="no guest 'web1'"):
        read_json(document, "web1")


def test_python_is_left_out_with_its_line_and_never_run() -> None:
    settings = parse_settings("import os\nname = 'a'\nmemory = os.getpid()\nx = 'a' + 'b'\n")
    assert settings.values == {"name": "a"}
    assert [found.place for found in settings.findings] == ["line 1", "line 3", "line 4"]


def test_lines_of_a_block_are_left_out_too() -> None:
    text = "name = 'a'\nif x:\n  memory = 1\nelse:\n  memory = 2\nvcpus = 3\n"
    assert parse_settings(text).values == {"name": "a", "vcpus": 3}


def test_values_and_comments_and_continuation() -> None:
    text = (
        "a=1 # one\nb = 0x10; c = \"x\\\"y\"\nd=['p',\n 'q', # q\n]\ne = 'l' \\\n 'r'\nd += ['s']\n"
    )
    values = {"a": 1, "b": 16, "c": 'x"y', "d": ("p", "q", "s"), "e": "lr"}
    assert parse_settings(text).values == values


@pytest.mark.parametrize("value", ["'a' " * 40_000, f"[{'1,' * 20_000}]"], ids=["joined", "list"])
def test_a_long_value_is_read_in_linear_time(value: str) -> None:
    begun = time.process_time()
    assert parse_settings(f"a = {value}").values
    assert time.process_time() - begun < 2  # 0.3, and 4 if each token cost those behind it


def test_what_is_too_long_for_a_configuration_is_refused() -> None:
    with pytest.raises(InvalidSource, match="more than 50000 words"):
        parse_settings(f"a = [{'1,' * 25_000}]")
    settings = parse_settings(f"a = 1\nmemory = {'9' * 5000}")
    assert settings.values == {"a": 1}
    assert [found.id for found in settings.findings] == ["xl-expression"]


def test_password_in_an_expression_is_not_shown() -> None:
    (found,) = parse_settings("a = 1\nvncpasswd = 'sesame' + x").findings
    assert "sesame" not in found.message


@pytest.mark.parametrize(
    ("vdev", "name"),
    [
        ("xvda", "xvda"),
        ("d0", "xvda"),
        ("d0p1", "xvda1"),
        ("51712", "xvda"),
        ("51729", "xvdb1"),
        ("0x300", "hda"),
        ("5632", "hdc"),
        ("2064", "sdb"),
        ("268439808", "xvdr"),
    ],
)
def test_device_numbers_have_names(vdev: str, name: str) -> None:
    assert device_name(vdev) == name


def test_equivalent_disks_are_equal() -> None:
    same = {
        parse_disk(text)
        for text in (
            "/dev/vg/guest-volume,,hda",
            "/dev/vg/guest-volume,raw,hda",
            "format=raw, vdev=hda, target=/dev/vg/guest-volume",
            "raw:/dev/vg/guest-volume,hda",
        )
    }
    assert same == {XlDisk(target="/dev/vg/guest-volume", format="raw", vdev="hda")}


@pytest.mark.parametrize(
    ("line", "uefi", "told"),
    [
        ("firmware = 'uefi'", True, False),
        ("firmware = 'ovmf'", True, False),
        ("firmware = '/usr/share/qemu/ovmf-x86_64-xen.bin'", True, False),
        ("firmware = 'bios'; bios = 'ovmf'", False, False),
        ("firmware = '/srv/mine.bin'", False, True),
        ("type = 'pv'; firmware = 'pvgrub64'", False, False),
        ("type = 'pv'; firmware = 'uefi'", False, True),
    ],
)
def test_firmware_is_read(line: str, *, uefi: bool, told: bool) -> None:
    imported = read_cfg(f"name = 'a'; memory = 64; type = 'hvm'; {line}")
    assert ("<loader " in imported.domain_xml) == uefi
    assert [found.id for found in imported.findings] == ["xl-firmware-unknown"] * told


def test_usb_device_is_told_with_what_to_do() -> None:
    text = "name = 'a'; memory = 64; usbdev = ['hostbus=1,hostaddr=3']; vtpm = ['backend=b']"
    usb, tpm = read_cfg(text).findings
    assert (usb.severity, tpm.severity) == (Severity.WARNING, Severity.WARNING)
    assert "virsh attach-device" in usb.message


def test_rates_are_kibibytes() -> None:
    assert [parse_vif(f"rate={rate}").rate for rate in ("10Mb/s", "250KB/s", "1GB/s@20ms")] == [
        1220,
        244,
        976562,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "\x00\x01",
        "name = 'a'",
        "memory = 512",
        "name = 'a'\nmemory = 'much'",
        "name = 'a'\nmemory = 512\ntype = 'odd'",
        "name = 'a'\nmemory = 512\ndisk = ['/a,raw']",
        "name = 'a'\nmemory = 512\ndisk = ['/a,zip,xvda']",
        "name = 'a'\nmemory = 512\ndisk = ['relative,raw,xvda']",
        "name = 'a'\nmemory = 512\nvif = ['mac=nonsense']",
        "name = 'a'\nmemory = 512\nuuid = 'nonsense'",
        "name = 'a\\x01'\nmemory = 512",
    ],
)
def test_bad_configuration_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(MigrationError) as caught:
        read_cfg(text)
    assert isinstance(caught.value, InvalidSource)


@pytest.mark.parametrize("text", ["", "nonsense", "[" * 100_000, "7", "[[]]", '{"config": 1}'])
def test_bad_list_is_refused(text: str) -> None:
    with pytest.raises(MigrationError):
        read_json(text)
