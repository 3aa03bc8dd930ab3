# SPDX-License-Identifier: GPL-2.0-or-later
"""The sizes of many disks of another host at once, for a list: none is opened for more than that.

One program there answers for all, because an ssh server lets a login have but ten (MaxSessions in
sshd_config(5)).
"""

import re
from collections.abc import Iterable, Iterator

from xen2kvmd.errors import Failed
from xen2kvmd.system.device_size import SIZE_OF_DEVICE
from xen2kvmd.system.ssh import Connection, Program

VPC_FOOTER = 512
HEAD = 64  # bytes of a disk that are looked at
AT_ONCE = 50  # paths that are asked for before an answer is read: less than a pipe holds
ANSWER = re.compile(r"([0-9]{1,20}) ((?:[0-9a-f]{2})*)")
SCRIPT = f"""{SIZE_OF_DEVICE}
export LC_ALL=C
while IFS= read -r path; do
  size=0
  if [ -b "$path" ]; then
    size=$(size_of_device "$path")
  elif [ -f "$path" ]; then
    size=$(stat -Lc %s "$path")
  fi
  echo "${{size:-0}} $(dd if="$path" bs={HEAD} count=1 2>/dev/null | od -An -v -tx1 | tr -d ' \\n')"
done
"""

Named = tuple[str, str]  # path and format of a disk


def sizes(connection: Connection, disks: Iterable[Named]) -> dict[Named, int]:
    """Return the virtual size of each disk in bytes, of those that can be seen.

    Raises ConnectionFailed or Failed.
    """
    asked = [disk for disk in dict.fromkeys(disks) if _can_ask(disk[0])]
    with connection.program(["sh", "-c", SCRIPT]) as program:
        found = dict(zip(asked, _answers(program, asked), strict=True))
    return {disk: size for disk, size in found.items() if size}


def _can_ask(path: str) -> bool:
    return path.startswith("/") and "\n" not in path


def _answers(program: Program, asked: list[Named]) -> Iterator[int]:
    for at in range(0, len(asked), AT_ONCE):
        some = asked[at : at + AT_ONCE]
        try:
            program.stdin.write(
                b"".join(path.encode(errors="surrogateescape") + b"\n" for path, _ in some)
            )
            program.stdin.flush()
        except BrokenPipeError as error:
            raise program.lost() from error
        for _, image_format in some:
            line = program.line()
            answer = ANSWER.fullmatch(line)
            if not answer:
                raise Failed(
                    f"The host {program.host} does not tell the sizes of its disks: it prints "
                    f"{line[:60]!r}.",
                    hint="See that its shell prints nothing of its own: ssh HOST true",
                )
            yield _virtual(int(answer[1]), bytes.fromhex(answer[2]), image_format)


def _virtual(size: int, head: bytes, image_format: str) -> int:
    """Return a disk's size by its first bytes: docs/interop/qcow2.txt of QEMU, and VHD's format."""
    match image_format:
        case "raw":
            return size
        case "qcow2" if head.startswith(b"QFI\xfb"):
            return int.from_bytes(head[24:32], "big")
        case "vpc" if head.startswith(b"conectix"):  # a dynamic one has a copy of its footer there
            return int.from_bytes(head[48:56], "big")
        case "vpc":  # a fixed one: the disk, and the footer
            return max(size - VPC_FOOTER, 0)
        case _:
            return 0
