# SPDX-License-Identifier: GPL-2.0-or-later
"""A mistake in the configuration is refused with file and line; the example is all comments."""

from pathlib import Path

import pytest

from xen2kvmd import config
from xen2kvmd.config import HostOptions
from xen2kvmd.errors import InvalidConfig
from xen2kvmd.model import Limits

EXAMPLE = Path(__file__).parents[1] / "systemd/xen2kvmd.conf.example"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "xen2kvmd.conf"


def test_without_a_file_all_is_as_by_default(file: Path) -> None:
    assert config.load(file) == Limits()


def test_later_files_win_and_no_value_is_the_default(file: Path) -> None:
    file.write_text("# ours\n[Queue]\nMaxJobs = 4\nMaxJobsPerSource=1\n; more\n[Jobs]\nKeepDays=7")
    folder = file.with_name("xen2kvmd.conf.d")
    folder.mkdir()
    (folder / "10-a.conf").write_text("[Queue]\nMaxJobs=8\n")
    (folder / "20-b.conf").write_text("[Queue]\nMaxJobs=6\nMaxJobsPerSource=\n")
    (folder / "30-c").write_text("nonsense")
    assert config.load(file) == Limits(at_once=6, source=0, days=7)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[Queue]\nMaxJobs=many\n", ":2: MaxJobs=many is no number from 1 to 64"),
        ("[Queue]\nMaxJobs=0\n", ":2: MaxJobs=0 is no number from 1 to 64"),
        ("[Queue]\nMaxJobs=99999999999\n", ":2: MaxJobs=99999999999 is no number"),
        ("[Queue]\n\nMaxJob=2\n", ":3: the section [Queue] has no key MaxJob"),
        ("[Jobs]\nMaxJobs=2\n", ":2: the section [Jobs] has no key MaxJobs"),
        ("MaxJobs=2\n", ":1: a line before any section has no key MaxJobs"),
        ("[Queues]\n", ":1: there is no section [Queues]"),
        ("[Queue]\nMaxJobs\n", ":2: 'MaxJobs' is not KEY=VALUE"),
        ("[Host xen1]\nPort=0\n", ":2: Port=0 is not allowed here"),
        ("[Host xen1]\nPort=65536\n", ":2: Port=65536 is not allowed here"),
        ("[Host xen1]\nUser=-oProxyCommand=x\n", ":2: User=-oProxyCommand=x is not allowed here"),
        ("[Host xen1]\nIdentityFile=id\n", ":2: IdentityFile=id is not allowed here"),
        ("[Host xen1]\nProxyJump=gate;x\n", ":2: ProxyJump=gate;x is not allowed here"),
        ("[Host xen1]\nMaxJobs=2\n", ":2: the section [Host xen1] has no key MaxJobs"),
        ("[Host -x;]\n", ":1: there is no section [Host -x;]"),
        ("x" * (config.LARGEST + 1), " is longer than 65536 bytes"),
        ("\udcff", " cannot be read"),
    ],
)
def test_a_mistake_is_told_with_its_line(file: Path, text: str, says: str) -> None:
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidConfig) as caught:
        config.load(file)
    assert f"{file}{says}" in caught.value.message


def test_a_folder_in_its_place_is_told(file: Path) -> None:
    file.mkdir()
    with pytest.raises(InvalidConfig, match="cannot be read"):
        config.load(file)


def test_a_host_has_what_its_sections_say(file: Path) -> None:
    file.write_text(
        "[Host Xen1]\nUser=root\nPort=2222\nIdentityFile=/root/.ssh/k\n[Queue]\nMaxJobs=4\n"
        "[Host xen2]\nPort=3\n[Host [fd00::1]]\nRateLimit=5\n"
        "[Host xen1]\nPort=\nProxyJump=a@b:2,c\n"
    )
    said = HostOptions(user="root", identity_file="/root/.ssh/k", proxy_jump="a@b:2,c")
    assert config.host("xen1", file) == said
    assert config.host("fd00::1", file) == HostOptions(rate_limit=5)
    assert config.host("xen3", file) == HostOptions()
    assert config.load(file) == Limits(at_once=4)


def test_what_is_said_of_hosts_is_the_same_in_one_file(file: Path, tmp_path: Path) -> None:
    file.write_text("[Host Xen1]\nPort=1\nUser=a\n[Queue]\nMaxJobs=4\n[Host xen1]\nPort=2\n")
    folder = file.with_name("xen2kvmd.conf.d")
    folder.mkdir()
    (folder / "a.conf").write_text("[Host [FD00::1]]\nRateLimit=5\n[Host Xen1]\nUser=\nPort=3\n")
    one = tmp_path / "hosts.conf"
    one.write_text(config.hosts(file))
    for host in ("xen1", "fd00::1"):
        assert config.host(host, one) == config.host(host, file) != HostOptions()
    (folder / "b.conf").write_text("[Host xen1]\nPort=x\n")
    with pytest.raises(InvalidConfig, match=r"b\.conf:2: Port=x is not allowed here"):
        config.hosts(file)


def test_the_example_shows_each_key_with_its_default(file: Path) -> None:
    assert config.load(EXAMPLE) == Limits()
    lines = EXAMPLE.read_text().splitlines()
    shown = [line.lstrip("#") if line.startswith("#") and "=" in line else line for line in lines]
    file.write_text("\n".join(shown))
    assert config.load(file) == Limits()
    for key in (*(key for _, key in config.KEYS), *config.HOST_KEYS):
        assert any(line.startswith(f"#{key}=") for line in lines), key
