# SPDX-License-Identifier: GPL-2.0-or-later
"""systemd cannot execute a job's process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.conftest import Container
from tests.systemd.test_service import migrate, nothing_left

pytestmark = [pytest.mark.guest, pytest.mark.xdist_group("container")]

DROP_IN = "/run/systemd/system/xen2kvm-job@.service.d/gone.conf"


@pytest.fixture
def no_python(container: Container) -> Iterator[None]:
    """Let the program of jobs' units be none that is there."""
    text = "[Service]\\nExecStart=\\nExecStart=/no/such/python\\n"
    script = f"mkdir -p {DROP_IN.rpartition('/')[0]}; printf '{text}' >{DROP_IN}"
    container.run("sh", "-ec", f"{script}; systemctl daemon-reload")
    yield
    container.run("sh", "-ec", f"rm {DROP_IN}; systemctl daemon-reload")


@pytest.mark.usefixtures("no_python")
def test_job_says_why_it_has_no_process(container: Container, guest: Path) -> None:
    job = migrate(container, guest, "never")
    container.run("xen2kvm", "follow", job, check=False)
    shown = container.job(job)
    assert (shown["State"], shown["StartedAt"]) == ("failed", 0)
    assert "systemd could not execute" in shown["ErrorMessage"]
    assert "/no/such/python: No such file or directory." in shown["ErrorMessage"]
    nothing_left(container)
