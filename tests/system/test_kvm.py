# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM counts only where a guest runs under it, and not slower than without it."""

from pathlib import Path

import pytest

from xen2kvmd.system import kvm

pytestmark = pytest.mark.skipif(not Path("/dev/kvm").exists(), reason="there is no /dev/kvm")

PROOF = kvm.PROOF << 1 | 1

# QEMU that emulates where it is asked for KVM: like a KVM at its best.
AS_FAST = """#!/bin/sh
case "$*" in *"-accel kvm -cpu host"*) slower= ;; esac
for word; do
  shift
  case $word in kvm) word=tcg ;; host) word=max ;; esac
  set -- "$@" "$word"
done
exec qemu-system-x86_64 $slower "$@"
"""
# It looks up each instruction, and takes 30 times as long: like a KVM that interprets them.
INTERPRETS = AS_FAST.replace("slower=", "slower='-singlestep -d nochain'")


@pytest.mark.parametrize(
    ("under_kvm", "emulated", "works"),
    [
        (f"exit {PROOF}", f"exit {PROOF}", True),
        (f"exec sleep {kvm.LEAST + 3}", f"exit {PROOF}", False),
        ("exit 1", f"exit {PROOF}", False),  # "failed to set MSR"
        (f"sleep {kvm.LEAST + 1}; exit {PROOF}", f"sleep 1; exit {PROOF}", True),  # a busy machine
        (f"exit {PROOF}", "exit 1", True),  # "invalid accelerator tcg": QEMU is built without it
        ("exit 1", "exit 1", False),  # the binary is no QEMU
    ],
)
def test_kvm_works_as_fast_as_emulation(
    tmp_path: Path, under_kvm: str, emulated: str, *, works: bool
) -> None:
    emulator = tmp_path / "qemu"
    emulator.write_text(
        f'#!/bin/sh\ncase "$*" in *"-accel kvm "*) {under_kvm} ;; *) {emulated} ;; esac\n'
    )
    emulator.chmod(0o755)
    assert kvm.works(str(emulator)) is works


@pytest.mark.parametrize(
    ("script", "works"), [(AS_FAST, True), (INTERPRETS, False)], ids=["fast", "interprets"]
)
def test_a_kvm_that_interprets_is_none(tmp_path: Path, script: str, *, works: bool) -> None:
    emulator = tmp_path / "qemu"
    emulator.write_text(script)
    emulator.chmod(0o755)
    assert kvm.works(str(emulator)) is works


@pytest.mark.parametrize("name", ["none", ""])
def test_no_emulator_is_no_kvm(tmp_path: Path, name: str) -> None:
    assert kvm.works(str(tmp_path / name)) is False


def test_red_hats_emulator_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    emulator = tmp_path / "qemu-kvm"
    emulator.write_text("")
    emulator.chmod(0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(kvm, "EMULATORS", ("qemu-system-x86_64", str(emulator)))
    assert kvm.emulator() == str(emulator)
