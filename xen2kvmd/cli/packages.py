# SPDX-License-Identifier: GPL-2.0-or-later
"""The arguments for what a guest lacks: packages, its own repositories, the guest agent."""

import argparse
import os


def add_packages(command: argparse.ArgumentParser) -> None:
    """Add these arguments to a command."""
    command.add_argument(
        "--packages", action="append", default=[], type=os.path.abspath, metavar="PATH",
        help=".deb or .rpm file, or a folder of them, for what the guest lacks: kernel, agent",
    )  # fmt: skip
    command.add_argument(
        "--guest-repositories", action="store_true",
        help="let the guest fetch what it lacks from its own repositories",
    )  # fmt: skip
    command.add_argument(
        "--guest-agent", action="store_true", help="install and enable the QEMU guest agent"
    )
