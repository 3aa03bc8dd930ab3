# SPDX-License-Identifier: GPL-2.0-or-later
"""Let virt-v2v convert what is inside the guest, on our overlays, and take its disks from there.

It writes into a private folder of the job. The disks that come out stand where the overlays of our
own conversion would: the copy to the target, the comparison, the domain and its boot are the same.
So nothing of its output is used that it does badly: names, libvirt, metadata. Its -in-place sister
would save a pass, but does not tell what it made of the guest.
"""

import logging
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from xen2kvmd import domain
from xen2kvmd.errors import Failed
from xen2kvmd.guest import emulation
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.devices import remap_text, xen_order
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Case, Finding, Request, Severity
from xen2kvmd.steps import context, keys, turn, v2v_words
from xen2kvmd.steps.engine import TOOLS, virtio_win
from xen2kvmd.steps.v2v_document import NAME, given, output_name, written
from xen2kvmd.system import appliances, files
from xen2kvmd.system.supervised import End, supervise
from xen2kvmd.words import letters, one_line

LIMIT = 86400.0  # seconds; a terabyte over ssh takes that long
OUTPUT = 1 << 26  # bytes of its output that are read: its bar prints 60 each second, for hours
LAST = 5  # lines that an error shows where virt-v2v has no message for it

log = logging.getLogger(__name__)


def convert(run: Run) -> None:
    """Convert by virt-v2v. Raises its errors as ours; leaves nothing running or lying about."""
    run.close(Appliance)  # it has the memory that virt-v2v's needs
    folder = run.scratch / "v2v"
    turn.take(run)
    known = appliances.folders()
    images = sorted(context.overlays(run), key=lambda image: xen_order(image.dev))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    source = domain.read(context.document(run))
    text = given(
        [image.path for image in images],
        [nic.mac for nic in context.case(run).nics],
        memory=source.memory,
        vcpus=source.vcpus,
    )
    files.write_atomic(run.scratch / "v2v-source.xml", text)
    try:
        _run(run, folder)
    finally:
        appliances.end(run.scratch)
        appliances.sweep(known)
    run.close(turn.Turn)
    _check_outcome(run, (folder / f"{NAME}.xml").read_text("utf-8", "replace"))
    for number, image in enumerate(images):
        os.replace(folder / output_name(number), image.path)
    shutil.rmtree(folder)


def _run(run: Run, folder: Path) -> None:
    request = context.request(run)
    said = run.scratch / "v2v.json"
    said.unlink(missing_ok=True)
    watch = _Watch(run, said)
    argv = [
        "virt-v2v", f"--machine-readable=file:{said}", "--root", request.root or "first",
        "-i", "libvirtxml", str(run.scratch / "v2v-source.xml"),
        "-o", "local", "-os", str(folder), "-of", "qcow2", "-on", NAME,
    ]  # fmt: skip
    with keys.in_files(request, run.secrets) as found:
        outcome = supervise(
            [*argv, *_key_words(run, found)],
            stdin=b"",
            environment=_environment(run, request),
            timeout=LIMIT,
            stopped=watch.look,
            tell=watch.tell,
            most=OUTPUT,
        )
    run.check_cancelled()
    watch.look()
    for message in watch.messages:
        if message.type == "warning":
            _warn(run, "It warned of something.", said=one_line(message.text))
    if outcome.end is End.TIME:
        raise Failed(f"virt-v2v was not done after {LIMIT:g} seconds and was ended.")
    if outcome.code:
        raise v2v_words.failure(watch.messages, tuple(watch.last), outcome.code)


def _key_words(run: Run, found: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield what opens the guest's disks, which virt-v2v calls as its appliance does: /dev/sda2."""
    order = sorted((disk.dev for disk in context.disks(run)), key=xen_order)
    here = Case(devices=tuple((dev, f"sd{letters(n)}") for n, dev in enumerate(order)))
    for selector, file in found:
        yield from ("--key", f"{remap_text(selector, here)}:file:{file}")


def _environment(run: Run, request: Request) -> Mapping[str, str]:
    """Return the environment: our TMPDIR is the job's folder, which goes with the job."""
    found = {
        **os.environ,
        "LC_ALL": "C",
        "LIBGUESTFS_BACKEND": "direct",
        "LIBGUESTFS_BACKEND_SETTINGS": "" if run.notes["kvm"] else "force_tcg",
        "LIBGUESTFS_APPEND": "" if run.notes["kvm"] else emulation.ARGUMENTS,
        "LIBGUESTFS_CACHEDIR": os.environ.get("LIBGUESTFS_CACHEDIR", "/var/tmp"),
    }
    if drivers := virtio_win(request):
        found["VIRTIO_WIN"] = drivers
    if request.vmdp:
        found["VIRT_TOOLS_DATA_DIR"] = str(_tools(run, request.vmdp))
    return found


def _tools(run: Run, vmdp: str) -> Path:
    """Make a folder with virt-v2v's tools for Windows, and vmdp.exe, which it looks for there."""
    folder = run.scratch / "virt-tools"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    for path in TOOLS.glob("*"):
        (folder / path.name).symlink_to(path)
    (folder / "vmdp.exe").unlink(missing_ok=True)
    (folder / "vmdp.exe").symlink_to(vmdp)
    return folder


class _Watch:
    """Follows a virt-v2v that runs: its messages from a file, its bar from what it prints."""

    def __init__(self, run: Run, said: Path) -> None:
        self._run = run
        self._said = said
        self._sizes = [disk.size for disk in context.disks(run)]
        self._phase = ""
        self._percent = 0
        self._shown = ""
        self.messages: tuple[v2v_words.Message, ...] = ()
        self.last: deque[str] = deque(maxlen=LAST)

    def tell(self, line: str) -> None:
        """Take a line of its output."""
        found = v2v_words.percent(line)
        if found is not None:
            self._percent = found
        elif line.strip():
            log.info("virt-v2v: %s", line)
            self.last.append(line.strip())

    def look(self) -> bool:
        """Read new messages and tell the progress; return whether the job is to end."""
        if self._run.cancelled():
            return True
        if self._said.exists():
            self.messages = tuple(v2v_words.messages(self._said.read_bytes()))
        phases = [m.text for m in self.messages if v2v_words.share(m.text) is not None]
        if phases and phases[-1] != self._phase:
            self._phase, self._percent = phases[-1], 0
        self._show()
        return False

    def _show(self) -> None:
        done = v2v_words.copied(self._phase, self._percent, self._sizes)
        share, activity = v2v_words.share(self._phase) or 0.0, one_line(self._phase)
        if done is not None:
            share += (1 - share) * done[0] / done[1]
            activity = f"{activity}: {done[0] >> 20} of {done[1] >> 20} MiB"
        if activity != self._shown:
            self._shown = activity
            self._run.fraction(share, f"virt-v2v: {activity}")


def _check_outcome(run: Run, document: str) -> None:
    """Compare what virt-v2v made of the guest with the domain XML that was planned for it."""
    outcome = written(document)
    virtio = context.facts(run).virtio
    if len(outcome.buses) != len(context.disks(run)):
        raise Failed(f"virt-v2v wrote {len(outcome.buses)} disks of {len(context.disks(run))}.")
    if virtio and any(bus not in ("virtio", "scsi") for bus in outcome.buses):
        raise Failed(
            "virt-v2v installed no virtio drivers, and the plan has virtio disks.",
            hint="Has virtio-win drivers for this version of Windows? Give another: --virtio-win.",
        )
    if virtio and any(model != "virtio" for model in outcome.models):
        _warn(run, "The guest has no virtio driver for its NICs: it will have no network.")


def _warn(run: Run, what: str, *, said: str = "") -> None:
    finding = Finding("v2v-warning", f"virt-v2v: {what}", Severity.WARNING, said=said)
    run.finding(finding)
