# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys of encrypted disks are read where they lie; what can be none is refused, never shown."""

from pathlib import Path

import pytest

from xen2kvmd.errors import InvalidOption
from xen2kvmd.guest.key import Key
from xen2kvmd.jobs import vault
from xen2kvmd.model import DiskKey, Operation, Request
from xen2kvmd.steps import keys
from xen2kvmd.system import credentials
from xen2kvmd.system.command import run


def read(*given: DiskKey, secrets: Path = Path("/nonexistent")) -> tuple[Key, ...]:
    return keys.read(Request(Operation.PLAN, "xen:///system", keys=given), secrets)


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"hunter2", "hunter2"), (b"hunter2\n", "hunter2"), (b" x \n\n", " x \n"), (b"\xc3\xbc", "ü")],
)
def test_a_newline_at_the_end_is_not_part_of_a_passphrase(content: bytes, secret: str) -> None:
    assert keys.passphrase(content, "the file") == secret
    assert keys.passphrase(b"x" * 4096 + b"\n", "the file") == "x" * 4096


@pytest.mark.parametrize("content", [b"", b"\n", b"a\0b", b"\xff\xfe", b"x" * 4097])
def test_what_is_no_passphrase_is_refused_and_not_shown(content: bytes) -> None:
    with pytest.raises(InvalidOption, match=r"in the file is no passphrase") as refused:
        keys.passphrase(content, "the file")
    assert "a\\0b" not in str(refused.value)


def test_what_was_given_is_read_as_it_is(tmp_path: Path) -> None:
    vault.keep(tmp_path / "job", {"1": " x\r\n"})
    given = DiskKey("/dev/xvda2", file="1")
    (key,) = read(given, secrets=tmp_path / "job")
    assert (key.selector, key.secret) == ("/dev/xvda2", " x\r\n")
    assert " x" not in repr(key)


def test_what_was_given_and_is_gone_is_to_be_given_again(tmp_path: Path) -> None:
    given = DiskKey("/dev/xvda2", file="1")
    with pytest.raises(InvalidOption, match=r"/dev/xvda2.*is gone") as missing:
        read(given, secrets=tmp_path)
    assert "give it again" in missing.value.hint


def test_program_reads_keys_in_files_that_go_with_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """virt-v2v knows no other way; so an encrypted credential is in clear nowhere else."""
    monkeypatch.setattr(credentials, "STORES", (tmp_path,))
    (tmp_path / "xen2kvm.vm1").write_text("hunter2\n")
    vault.keep(tmp_path / "job", {"1": " x"})
    given = (DiskKey("/dev/xvda2", file="1"), DiskKey("all", credential="vm1"))
    request = Request(Operation.PLAN, "xen:///system", keys=given)
    with keys.in_files(request, tmp_path / "job") as found:
        for _twice in range(2):
            read = [(name, run(["cat", path], timeout=9)) for name, path in found]
            assert read == [("/dev/xvda2", b" x"), ("all", b"hunter2")]
    assert not any(Path(path).exists() for _, path in found)


def test_credential_has_our_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "STORES", (tmp_path / "run", tmp_path / "etc"))
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/xen2kvm.vm1").write_text("hunter2\n")
    (tmp_path / "etc/database").write_text("others'")
    assert read(DiskKey("all", credential="vm1"))[0].secret == "hunter2"
    with pytest.raises(InvalidOption, match=r"no credential xen2kvm\.database"):
        read(DiskKey("all", credential="database"))


def test_credential_that_is_encrypted_is_decrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "ENCRYPTED", (tmp_path,))
    (tmp_path / "xen2kvm.vm1").write_text("of another host")
    with pytest.raises(InvalidOption, match=r"credential xen2kvm\.vm1 cannot be read"):
        read(DiskKey("all", credential="vm1"))
