# SPDX-License-Identifier: GPL-2.0-or-later
"""What counts as a proof that a guest booted, with a console and a screen that we write."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cattrs
import pytest

from xen2kvmd.errors import VerifyFailed
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Facts, Family
from xen2kvmd.steps import verify
from xen2kvmd.steps.verify import Recorder, _watch
from xen2kvmd.system.libvirt_console import Console
from xen2kvmd.system.libvirt_domain import Domain

# What OVMF prints on the serial console, and on the screen, when it starts Windows' loader.
OVMF = (
    b'BdsDxe: loading Boot0001 "Windows Boot Manager" from HD(1,GPT,6D0C5D0E)/bootmgfw.efi\r\n'
    b'\x1b[2J\x1b[01;01HBdsDxe: starting Boot0001 "Windows Boot Manager" from HD(1,GPT,6D0C)\r\n'
)


@dataclass
class Machine:
    """A running domain and its console, as far as verify looks at them."""

    printed: bytes = b""
    screen: str = ""
    answers: tuple[bytes, ...] = ()  # one for each line that is typed
    typed: bytes = b""

    def read(self) -> bytes:
        printed, self.printed = self.printed, b""
        return printed

    def write(self, data: bytes) -> None:
        self.typed += data
        self.printed, self.answers = self.answers[0], self.answers[1:]

    def is_active(self) -> bool:
        return True

    def close(self) -> None:
        pass

    def screen_text(self) -> str:
        return self.screen

    def agent_answers(self) -> bool:
        return False


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    journal, sender = Journal(tmp_path / "journal"), Sender(tmp_path / "socket", "1")
    yield Run("1", tmp_path, {}, journal, sender, cancelled=lambda: False)
    journal.close()
    sender.close()


def watch(
    run: Run, machine: Machine, family: Family, *, seconds: int, passphrases: tuple[str, ...] = ()
) -> str:
    run.notes["facts"] = cattrs.unstructure(Facts(family=family))
    recorder = Recorder(cast(Console, machine), passphrases)
    return _watch(run, cast(Domain, machine), recorder, seconds=seconds)


def found(run: Run) -> list[str]:
    return [event["finding"]["id"] for event in run.journal.events if event["type"] == "finding"]


def test_windows_that_left_the_firmware_is_a_warning(run: Run) -> None:
    verdict = watch(run, Machine(), Family.WINDOWS, seconds=0)
    assert verdict == "runs after 0 s; not proven that it booted"
    assert found(run) == ["boot-not-proven"]


def test_picture_that_is_read_as_text_is_none(run: Run) -> None:
    machine = Machine(screen="░▒▓█a#\n@@ $$\x01ÇüéâB")
    assert watch(run, machine, Family.WINDOWS, seconds=0).startswith("runs after")


def test_windows_that_uefi_handed_over_to_is_a_warning(run: Run) -> None:
    verdict = watch(run, Machine(printed=OVMF), Family.WINDOWS, seconds=0)
    assert verdict == "runs after 0 s; not proven that it booted"


@pytest.mark.parametrize(
    "machine",
    [
        Machine(screen="SeaBIOS (version 1.16)\nBooting from Hard Disk..."),
        Machine(screen="Windows failed to start. A recent hardware change might be the cause."),
        Machine(printed=OVMF + b'BdsDxe: failed to start Boot0001 "Windows Boot Manager"\r\n'),
        Machine(printed=OVMF.replace(b"Windows Boot Manager", b"UEFI PXEv4 (MAC:00163E2A0001)")),
        Machine(printed=OVMF + b"BdsDxe: No bootable option or device was found.\r\n"),
    ],
)
def test_windows_in_the_firmware_did_not_boot(run: Run, machine: Machine) -> None:
    with pytest.raises(VerifyFailed, match="did not boot"):
        watch(run, machine, Family.WINDOWS, seconds=0)
    assert found(run) == []


def test_linux_that_prints_nothing_did_not_boot(run: Run) -> None:
    with pytest.raises(VerifyFailed, match="printed nothing") as caught:
        watch(run, Machine(), Family.SUSE, seconds=0)
    assert f"xen2kvm report {run.id} --format html" in caught.value.hint


def test_login_prompt_is_a_proof(run: Run) -> None:
    verdict = watch(run, Machine(printed=b"\r\nweb1 login: "), Family.DEBIAN, seconds=5)
    assert verdict.startswith("login prompt after")
    assert found(run) == []


ASKED = b"\r\nPlease unlock disk vda2_crypt: "


def test_passphrase_is_typed_when_it_is_asked_for(run: Run) -> None:
    machine = Machine(ASKED, answers=(ASKED, b"\r\nset up successfully\r\n\r\nweb1 login: "))
    verdict = watch(run, machine, Family.DEBIAN, seconds=5, passphrases=("one", "two"))
    assert verdict.startswith("login prompt after")
    assert machine.typed == b"one\rtwo\r"
    assert found(run) == []


@pytest.mark.parametrize("passphrases", [(), ("wrong",)])
def test_guest_that_waits_for_a_passphrase_has_booted(
    run: Run, passphrases: tuple[str, ...]
) -> None:
    machine = Machine(ASKED, answers=(b"No key available\r\n" + ASKED,))
    verdict = watch(run, machine, Family.DEBIAN, seconds=5, passphrases=passphrases)
    assert verdict.startswith("asks for the passphrase of a disk after")
    assert found(run) == ["passphrase-asked"]


def test_passphrase_that_the_guest_shows_is_not_kept() -> None:
    recorder = Recorder(cast(Console, Machine(answers=(b"unlock disk: hunter2\r\n",))), ["hunter2"])
    assert recorder.type_passphrase()
    assert recorder.close() == "unlock disk: ***\r\n"


def test_passphrase_that_a_guest_prints_as_its_last_words_is_not_told(run: Run) -> None:
    words = b"unlock disk: hunter2\r\nKernel panic - not syncing: hunter2\r\n"
    machine = Machine(ASKED, answers=(words,), screen="hunter2")
    with pytest.raises(VerifyFailed, match="kernel panic") as failed:
        watch(run, machine, Family.DEBIAN, seconds=5, passphrases=("hunter2",))
    assert "***" in failed.value.said
    assert "hunter2" not in failed.value.said
    assert "not syncing" not in str(failed.value)  # everybody may read it


def test_prompt_behind_which_something_was_printed_is_asked_for_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "QUIET", 0.1)
    printed = b"web1 login: [  OK  ] Reached target Multi-User System.\r\n"
    machine = Machine(printed=printed, answers=(b"\r\nweb1 login: ",))
    assert watch(run, machine, Family.DEBIAN, seconds=20).startswith("login prompt")
    assert machine.typed == b"\r"


def test_nothing_is_typed_where_no_login_was_offered(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "QUIET", 0.1)
    machine = Machine(printed=b"Press Enter for maintenance\r\nLast login: Mon Nov 23\r\n")
    with pytest.raises(VerifyFailed):
        watch(run, machine, Family.DEBIAN, seconds=2)
    assert machine.typed == b""


def test_login_prompt_on_the_screen_is_a_proof(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "AGENT", 0.0)
    machine = Machine(screen="CentOS release 6.10 (Final)\nKernel 2.6.32\n\nweb1 login:")
    verdict = watch(run, machine, Family.REDHAT, seconds=5)
    assert verdict == "login prompt on its screen after 0 s"
