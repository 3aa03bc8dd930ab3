# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking for a password on a terminal: polkit's own text agent, as systemctl(1) starts it.

A desktop has an agent for the whole session; a login over ssh has none, and polkit then says no
where it would have asked.
"""

import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

AGENT = "pkttyagent"
SECONDS = 5.0  # that it may take to register


@contextmanager
def text_agent() -> Iterator[None]:
    """Let pkttyagent(1) ask for passwords on our terminal for the time of the block.

    It asks for this process only. Without it (polkit without its programs) all goes on, and what
    would have been asked for is refused. Not --fallback, which would leave it to a desktop's agent:
    polkit 122 does not find such an agent where no other is.
    """
    if shutil.which(AGENT) is None:
        yield
        return
    ready, told = os.pipe()
    try:
        agent = subprocess.Popen(
            [AGENT, "--notify-fd", str(told)],  # for its parent, which we are
            pass_fds=(told,),
            stderr=subprocess.DEVNULL,
        )
        os.close(told)
        select.select([ready], [], [], SECONDS)  # it closes the descriptor when it has registered
    finally:
        os.close(ready)
    try:
        yield
    finally:
        agent.terminate()
        agent.wait()
