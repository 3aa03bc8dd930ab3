# SPDX-License-Identifier: GPL-2.0-or-later
"""See the guest boot: watch its serial console and ask its agent, and keep the evidence."""

import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from xen2kvmd.errors import Failed, InvalidOption, MigrationError, VerifyFailed
from xen2kvmd.jobs import patience
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Family, Finding, Request, Severity
from xen2kvmd.steps import boot, context, keys
from xen2kvmd.steps.define import own_domain
from xen2kvmd.steps.shutdown import check_off
from xen2kvmd.steps.start import start
from xen2kvmd.system import files
from xen2kvmd.system.libvirt import Host
from xen2kvmd.system.libvirt_console import Console
from xen2kvmd.system.libvirt_domain import Domain
from xen2kvmd.targets import target_host

LOOK = 0.5  # seconds between two looks
QUIET = 5.0  # seconds without output until a login prompt that is hidden is asked for again
AGENT = 5.0  # seconds between two questions to the guest's agent
LEASE = 15.0  # seconds that an address may take after the login prompt
KEPT = 4 << 20  # bytes of console output that are kept; a guest may print without end

LOCKED = Finding(
    "passphrase-asked",
    "The guest booted as far as it can alone: it asks for the passphrase of an encrypted disk.",
    Severity.WARNING,
    hint="Type it on its console (virsh console NAME), now and at each start, as under Xen.",
)

NOT_PROVEN = Finding(
    "boot-not-proven",
    "The guest runs, past its firmware; Windows prints nothing that would prove that it booted.",
    Severity.WARNING,
    hint="Look at its screen: as it was, in the job's report (xen2kvm report JOB --format html -o "
    "FILE), or as it is, with virt-viewer. Its first start takes long, and it starts anew several "
    "times while it takes its drivers.",
)


def do(run: Run) -> None:
    """Let the guest run until it shows a login prompt, on console or screen, or its agent answers.

    It is given the passphrases of its disks when it asks for them: those that the job has keys for.

    Raises VerifyFailed, which says how far it came, if it does neither within the time limit. Of
    Windows, which prints nothing on a serial console, it is enough that it left the firmware.
    console.log and screenshot.png stay in the job's folder either way.
    """
    _verify(run, begun=False)


def go_on(run: Run) -> None:
    """Verify a guest that may have booted while nobody looked: a login prompt comes again."""
    _verify(run, begun=True)


def _verify(run: Run, *, begun: bool) -> None:
    request = context.request(run)
    if not (request.start and request.verify):
        return
    with target_host(request) as host:
        domain = own_domain(run, host)
        if domain is None:
            raise Failed(
                f"The domain '{run.notes['domain']}' is gone.",
                hint="Somebody undefined it while the job ran. Migrate again.",
            )
        if not domain.is_active():  # this host went down since the step before
            start(run, domain, paused=True)
        recorder = Recorder(host.console(run.notes["domain"]), _passphrases(run, request))
        try:
            if domain.is_paused():
                if begun:  # the source may have been started since; its host may yet come back
                    waiting = partial(run.fraction, 0.0)
                    look = partial(check_off, run)
                    patience.patiently(look, until=patience.limit(), waiting=waiting)
                domain.resume()
            elif begun:
                recorder.press_enter()
            verdict = _watch(run, domain, recorder, seconds=request.boot_timeout)
            run.result("boot", verdict)
            _tell_addresses(run, domain)
        finally:
            files.write_atomic(run.folder / "console.log", recorder.close())
            _keep_screenshot(run, host)


class Recorder:
    """Keeps what a console prints, as far as it was taken; types what it asks for."""

    def __init__(self, console: Console, passphrases: Sequence[str]) -> None:
        self._console = console
        self._data = bytearray()
        self._passphrases = list(passphrases)
        self._typed: list[str] = []

    def take(self) -> str:
        """Take what was printed meanwhile; return all."""
        if part := self._console.read()[: KEPT - len(self._data)]:
            self._data += part
        return self._data.decode("utf-8", "replace")

    def press_enter(self) -> None:
        """Press Enter, upon which getty(8) shows its prompt again."""
        self._console.write(b"\r")

    def type_passphrase(self) -> bool:
        """Type the next passphrase, each but once; False if there is none left."""
        if not self._passphrases:
            return False
        self._typed.append(self._passphrases.pop(0))
        self._console.write(self._typed[-1].encode() + b"\r")
        return True

    def close(self) -> str:
        """Return all that was printed, and let the console go. What was typed is not shown."""
        text = self.take()
        self._console.close()
        return self.hide(text)

    def hide(self, text: str) -> str:
        """Return what the guest showed without what was typed: a guest may print all it is told."""
        for passphrase in self._typed:
            text = text.replace(passphrase, "***")
        return text


def _passphrases(run: Run, request: Request) -> tuple[str, ...]:
    """Return what opens the guest's disks; a key that was taken away meanwhile is none."""
    with suppress(InvalidOption):
        return tuple(key.secret for key in keys.read(request, run.secrets))
    return ()


def _watch(run: Run, domain: Domain, recorder: Recorder, *, seconds: int) -> str:
    """Wait for a proof that the guest booted, and return it in words."""
    begun = time.monotonic()
    asked = changed = begun
    seen = answered = 0  # characters of the console: all, and those that are over
    while (passed := time.monotonic() - begun) < seconds:
        run.fraction(passed / seconds, "waiting for a login prompt")
        active = domain.is_active()  # brings what the console printed, too
        text = recorder.take()
        if boot.asks_passphrase(text[answered:]):
            answered = len(text)
            if not recorder.type_passphrase():
                run.finding(LOCKED)
                return f"asks for the passphrase of a disk after {passed:.0f} s"
        if fault := boot.fault(text):
            raise _failure(run, fault, recorder, domain)
        if boot.shows_login(text):
            return f"login prompt after {passed:.0f} s"
        if not active:
            raise _failure(run, boot.Fault.STOPPED, recorder, domain)
        if len(text) != seen:
            seen, changed = len(text), time.monotonic()
        elif boot.offered_login(text) and time.monotonic() - changed > QUIET:
            changed = time.monotonic()
            recorder.press_enter()
        if time.monotonic() - asked > AGENT:
            asked = time.monotonic()
            if domain.agent_answers():
                return f"guest agent answered after {passed:.0f} s"
            if boot.shows_login(domain.screen_text()):
                return f"login prompt on its screen after {passed:.0f} s"
        time.sleep(LOOK)
    text, screen = recorder.take(), domain.screen_text()
    if context.facts(run).family is Family.WINDOWS and boot.left_firmware(text, screen):
        run.finding(NOT_PROVEN)
        return f"runs after {seconds} s; not proven that it booted"
    raise _failure(run, boot.silence(text, screen), recorder, domain)


def _failure(run: Run, fault: boot.Fault, recorder: Recorder, domain: Domain) -> VerifyFailed:
    text, screen = recorder.hide(recorder.take()), recorder.hide(domain.screen_text())
    shown = boot.last_lines(text) or boot.last_lines(screen)
    return VerifyFailed(
        f"The converted guest did not boot: {fault.words}.",
        hint=f"{fault.hint} The console's last lines and the screen: "
        f"xen2kvm report {run.id} --format html -o boot.html",
        said=shown,
    )


def _tell_addresses(run: Run, domain: Domain) -> None:
    """Tell the addresses that the guest got from libvirt's own networks, if it is on any."""
    if "type='network'" not in context.plan(run).domain_xml.replace('"', "'"):
        return
    end = time.monotonic() + LEASE
    while not (addresses := domain.addresses()) and time.monotonic() < end:
        run.check_cancelled()
        time.sleep(LOOK)
    if addresses:
        run.result("addresses", " ".join(addresses))
        return
    finding = Finding(
        "no-address",
        "The guest booted, but took no address from libvirt's DHCP server.",
        Severity.WARNING,
        hint="This is right if it has a static address; otherwise look at its network.",
    )
    run.finding(finding)


def _keep_screenshot(run: Run, host: Host) -> None:
    """Keep the guest's screen; a guest without a screen, or one that is gone, has none."""
    with suppress(MigrationError):
        kind, data = host.screenshot(run.notes["domain"])
        suffix = "png" if kind == "image/png" else "ppm"
        files.write_bytes(run.folder / f"screenshot.{suffix}", data)


VERIFY = Step("verify", do, go_on=go_on, weight=40)
