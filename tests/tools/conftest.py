# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian packages, built once."""

import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The packages, by name; tools/build-deb has lintian look at them."""
    folder = tmp_path_factory.mktemp("debs")
    argv = [CHECKOUT / "tools/build-deb", folder]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name.split("_")[0]: path for path in folder.glob("*.deb")}
