# SPDX-License-Identifier: GPL-2.0-or-later
"""A new block device filled with zeroes, here or on another host: it has what was there before.

Where the device can do that by itself it takes no time; else as long as writing it does. Between
two steps it can be ended.
"""

from xen2kvmd.errors import Failed
from xen2kvmd.system import heartbeat
from xen2kvmd.system.command import run
from xen2kvmd.system.disk import WRITE
from xen2kvmd.system.ssh import Connection
from xen2kvmd.words import one_line

ERASE = ("blkdiscard", "--zeroout", "--step", str(256 << 20))

# It ends with the connection, or when it hears no more of us: what goes on writing would keep the
# device from being removed.
SCRIPT = (
    heartbeat.LISTEN
    + r"""
export LC_ALL=C
silence=$1
shift
for path; do :; done
[ -b "$path" ] || { echo done; exit; }
exec 3<&0
"$@" 2>&1 &
worker=$!
(listen "$silence" <&3; kill "$worker" 2>/dev/null) >/dev/null &
wait "$worker"
code=$?
case $code in
0) echo done ;;
143) ;; # SIGTERM, of ours
*) echo "it ended with code $code" ;;
esac
"""
)


def write_zeroes(path: str) -> None:
    """Fill a block device of this host. Raises Failed."""
    run([*ERASE, path], timeout=WRITE)


def write_zeroes_there(host: Connection, path: str) -> None:
    """Fill a block device of another host; a file in /dev/shm is left as it is.

    Raises ConnectionFailed or Failed.
    """
    argv = ["sh", "-c", SCRIPT, "sh", str(heartbeat.SILENCE), *ERASE, path]
    with host.program(argv) as program, heartbeat.beating(program.stdin):
        if (said := program.line()) != "done":
            raise Failed(f"The host {host.host} cannot erase {path}: {one_line(said)}.")
