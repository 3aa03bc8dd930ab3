# SPDX-License-Identifier: GPL-2.0-or-later
"""A file of a job that is not written yet, or will never be."""

from pathlib import Path

import pytest

from xen2kvmd.errors import NotFinished
from xen2kvmd.jobs.store import Store


@pytest.mark.parametrize("name", ["log", "plan.json"])
def test_what_is_not_written_leads_to_how_far_the_job_came(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    with pytest.raises(NotFinished, match=f"The job u0_web1 has no {name}") as raised:
        store.log_lines("u0_web1", 0, 1) if name == "log" else store.text("u0_web1", name)
    assert raised.value.hint.endswith(": xen2kvm show u0_web1")
