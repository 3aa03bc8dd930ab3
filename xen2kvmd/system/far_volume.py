# SPDX-License-Identifier: GPL-2.0-or-later
"""An image on another host, opened here for reading and writing: its qemu-nbd, by ssh.

Whoever runs guests has qemu-nbd. It listens on a socket in a folder that only its user may enter,
ssh leads one of ours there, and both end with the connection, however that ends: the server also
where it hears no more of us.
"""

import secrets
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from xen2kvmd.errors import Failed, Unsupported
from xen2kvmd.system import heartbeat, locks_there
from xen2kvmd.system.command import WITH_US
from xen2kvmd.system.opened_disk import image_words
from xen2kvmd.system.ssh import BEGIN, Connection, Program
from xen2kvmd.system.ssh_login import unreachable
from xen2kvmd.words import one_line

SOON = 2.0  # seconds in which it shows that a connection is over
GRACE = 60.0  # seconds that the other end has to write what it has not yet

# A shell that dies of a signal, or of saying something to nobody, would leave the server.
SCRIPT = (
    heartbeat.LISTEN
    + r"""
export LC_ALL=C
umask 077
silence=$1 folder=$2
shift 2
server=
end() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server"; }
  rm -rf "$folder"
}
command -v qemu-nbd >/dev/null || { echo lacks; exit; }
mkdir "$folder" || exit
trap end EXIT
trap exit HUP INT TERM PIPE
qemu-nbd --persistent --cache=writeback --discard=unmap --socket="$folder/socket" \
  --pid-file="$folder/pid" "$@" </dev/null >/dev/null &
server=$!
until [ -s "$folder/pid" ]; do
  kill -0 "$server" 2>/dev/null || exit
  sleep 0.1
done
echo ready
listen "$silence"
"""
)

# The server of a worker that was killed ends when its connection is seen to be over, that of a host
# that has lost its power when nothing was heard of it for a while.
MEND = (
    locks_there.FUNCTIONS
    + r"""
seconds=$1 format=$2 path=$3 tries=0
while said=$(refusal "$path" "$4") && is_lock "$said" && [ $tries -lt "$seconds" ]; do
  tries=$((tries + 1))
  sleep 1
done
if [ -z "$said" ] && [ "$format" = qcow2 ]; then
  said=$(LC_ALL=C qemu-img check -q -r leaks -f qcow2 "$path" 2>&1) && said= ||
    said=${said:-it has faults}
fi
printf '%s' "${said:-done}" | tr '\n' ' '
echo
"""
)


@contextmanager
def opened(
    host: Connection, folder: Path, path: str, image_format: str, *, compressed: bool = False
) -> Iterator[str]:
    """Yield the URI at which an image of another host can be read and written, as raw.

    compressed lets qcow2 compress what is written, whole clusters, each once. The folder holds our
    socket. When the block is left, the image is closed there. Raises ConnectionFailed, Unsupported
    or Failed.
    """
    name = f"xen2kvm-{secrets.token_hex(8)}"
    here, there = folder / name, f"/tmp/{name}"
    image = image_words(path, image_format, compressed=compressed)
    with (
        host.forwarded(here=here, there=f"{there}/socket"),
        _served(host, there, path, image) as last_words,
    ):
        uri = f"nbd+unix:///?socket={here}"
        try:
            yield uri
        except Failed as error:  # of a disk that is a socket here
            if words := last_words():
                raise unreachable(host.asked, words) from error
            told = error.message.replace(uri, f"{path} of the host {host.host}")
            raise Failed(told, hint=error.hint, said=error.said) from error


@contextmanager
def _served(
    host: Connection, folder: str, path: str, image: Sequence[str]
) -> Iterator[Callable[[], str]]:
    """Run qemu-nbd there; yield a function that returns why it ended, or "" while it runs."""
    server = ("sh", "-c", SCRIPT, "sh", str(heartbeat.SILENCE), folder, *image)
    command = f"echo {BEGIN}; {shlex.join(server)}"
    argv = [*WITH_US, *host.argv, host.address, command]
    with TemporaryFile() as said:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        assert process.stdin
        assert process.stdout
        try:
            Program(host.host, process.stdin, process.stdout, said).begin()
            answer = process.stdout.readline().strip()
            if answer == b"lacks":
                raise Unsupported(
                    f"The host {host.host} has no qemu-nbd, which writing its disks needs.",
                    hint="Install it there: qemu-utils (Debian), qemu-tools (SUSE), qemu-img "
                    "(Red Hat).",
                )
            if answer != b"ready":
                words = _last_words(process, said)
                if "qemu-nbd" in words or "mkdir" in words:
                    raise Failed(
                        f"The disk {path} of the host {host.host} cannot be opened.", said=words
                    )
                raise unreachable(host.asked, words)
            with heartbeat.beating(process.stdin):
                yield partial(_last_words, process, said)
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(timeout=GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def mend(host: Connection, path: str, image_format: str) -> None:
    """Wait until no writer there that was killed has an image; give back what it has not used.

    Raises Failed if it does not end, or the image has faults.
    """
    words = (f"{heartbeat.GONE:.0f}", image_format, *locks_there.arguments(path))
    argv = ["sh", "-c", MEND, "sh", *words]
    with host.program(argv) as program:
        if (said := program.line()) != "done":
            raise Failed(
                f"The disk {path} of the host {host.host} cannot be mended.", said=one_line(said)
            )


def _last_words(process: "subprocess.Popen[bytes]", said: IO[bytes]) -> str:
    """Return what ssh said, or that the connection was lost; "" if it is not over."""
    try:
        process.wait(timeout=SOON)
    except subprocess.TimeoutExpired:
        return ""
    said.seek(0)
    return one_line(said.read().decode(errors="replace")) or "the connection was lost"
