# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot a disk in plain QEMU and talk to it over its serial port."""

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROMPT = "x2k:# "
CONTROLS = re.compile(r"\r|\x1b\[[0-9;?]*[A-Za-z]")


class Console:
    """The serial port of a machine that runs."""

    def __init__(self, port: socket.socket) -> None:
        self._port = port
        self.text = ""

    def expect(self, pattern: str, *, seconds: float) -> str:
        """Wait until the console shows the pattern; return what it showed up to its end."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            self._port.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                new = self._port.recv(65536)
            except TimeoutError:
                new = b""
            if not new and time.monotonic() >= deadline:
                raise AssertionError(f"no {pattern!r} on the console:\n{self.text[-3000:]}")
            self.text = CONTROLS.sub("", self.text + new.decode(errors="replace"))
        shown, self.text = self.text[: found.end()], self.text[found.end() :]
        return shown

    def type(self, text: str) -> None:
        self._port.sendall(text.encode() + b"\n")

    def login(self, password: str, *, seconds: float) -> None:
        """Wait for the login prompt and log in as root."""
        self.expect("login: ", seconds=seconds)
        self.type("root")
        self.expect("assword: ", seconds=60)
        self.type(password)
        self.expect("[#$] ", seconds=60)
        self.type(f"stty -echo; PS1='{PROMPT}'")
        self.expect(f"\n{PROMPT}", seconds=60)

    def run(self, command: str, *, seconds: float = 60) -> str:
        """Run a command in the guest and return what it printed."""
        self.type(command)
        return self.expect(re.escape(PROMPT), seconds=seconds).removesuffix(PROMPT)


@contextmanager
def booted(folder: Path, *disks: Path, mac: str = "", uefi: bool = False) -> Iterator[Console]:
    """Boot qcow2 disks on virtio by software emulation, as a migrated guest would be."""
    path = folder / "serial.sock"
    drives = [
        word
        for disk in disks
        for word in ("-drive", f"file={disk},format=qcow2,if=virtio,cache=unsafe,discard=unmap")
    ]
    firmware = ["-bios", "/usr/share/ovmf/OVMF.fd"] if uefi else []
    process = subprocess.Popen(
        [
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max"),
            *("-smp", "2", "-m", "512", "-nodefaults", "-display", "none", "-vga", "std"),
            *drives,
            *firmware,
            *("-netdev", "user,id=net", "-device", f"virtio-net-pci,netdev=net,mac={mac}"),
            *("-chardev", f"socket,id=port,path={path},server=on,wait=on"),
            *("-serial", "chardev:port"),
        ],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        with _connected(path) as port:
            yield Console(port)
    finally:
        process.kill()
        process.communicate()


def _connected(path: Path) -> socket.socket:
    deadline = time.monotonic() + 20
    while True:
        port = socket.socket(socket.AF_UNIX)
        try:
            port.connect(str(path))
        except OSError:
            port.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return port
