# SPDX-License-Identifier: GPL-2.0-or-later
"""`xen2kvm check-host`: the one command that does not ask the service, which may not start yet."""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

import xen2kvmd


def check_host(arguments: argparse.Namespace) -> NoReturn:
    """Become `python3 -m xen2kvmd.host` of this very installation.

    -P keeps the current directory, which may be anybody's, out of where Python looks for modules.
    """
    flags = [f"--{flag}" for flag in ("json", "quick") if getattr(arguments, flag)]
    argv = [sys.executable, "-P", "-m", "xen2kvmd.host", *flags]
    place = str(Path(xen2kvmd.__file__).parent.parent)
    os.execve(sys.executable, argv, os.environ | {"PYTHONPATH": place})
