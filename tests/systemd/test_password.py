# SPDX-License-Identifier: GPL-2.0-or-later
"""A user on a terminal is asked for a password, by the real polkit, pkttyagent and PAM."""

import re
from pathlib import Path

import pytest

from tests.systemd.conftest import CHECKOUT, Container

pytestmark = [pytest.mark.guest, pytest.mark.xdist_group("container")]

TYPED = ("/usr/bin/python3", str(CHECKOUT / "tests/systemd/typed.py"))
ASKED = "Password: "
PASSWORD = "opensesame"


@pytest.fixture(scope="module")
def administrator(container: Container) -> str:
    """A user whom polkit lets prove that it is an administrator (group sudo on Debian)."""
    container.run("useradd", "--groups", "sudo", "--no-create-home", "ada")
    container.run("sh", "-c", f"echo ada:{PASSWORD} | chpasswd")
    return "ada"


def plan(container: Container, user: str, answer: str, guest: Path, *options: str) -> str:
    """Let a user plan on a terminal, and type this where a password is wanted."""
    said = container.run(
        *(*TYPED, user, ASKED, answer, "xen2kvm", "plan", *options, str(guest / "guest.xml")),
        check=False,
    )
    assert PASSWORD not in said
    assert container.run("pgrep", "-a", "pkttyagent", check=False) == ""
    return said


def test_right_password_lets_the_user_go_on(
    container: Container, administrator: str, guest: Path
) -> None:
    said = plan(container, administrator, f"{PASSWORD}\\n", guest, "--pool", "no-such-pool")
    assert "AUTHENTICATING FOR org.xen2kvm.inspect-paths" in said
    assert "AUTHENTICATION COMPLETE" in said
    (job,) = re.findall(r" job (\S+)", said)  # it was made, and fails for want of the pool
    assert "no-such-pool" in said.partition(job)[2]
    container.run("xen2kvm", "remove", job)


@pytest.mark.parametrize(
    ("answer", "came_of_it"), [("wrong\\n", "AUTHENTICATION FAILED"), ("\\x03", "")]
)
def test_wrong_password_or_none_is_refused(
    container: Container, administrator: str, guest: Path, answer: str, came_of_it: str
) -> None:
    before = container.run("xen2kvm", "jobs", "--json")
    said = plan(container, administrator, answer, guest)
    assert ASKED in said
    assert came_of_it in said
    assert container.run("xen2kvm", "jobs", "--json") == before


def test_nobody_is_asked_who_does_not_want_it(
    container: Container, administrator: str, guest: Path
) -> None:
    said = plan(container, administrator, "", guest, "--no-ask-password")
    assert ASKED not in said
    assert "sudo" in said  # the hint
