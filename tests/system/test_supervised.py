# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that print, hang, ignore signals and leave others running."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from xen2kvmd.errors import Failed
from xen2kvmd.system import supervised
from xen2kvmd.system.supervised import End, Outcome, supervise


def run(
    script: str,
    *,
    timeout: float = 50,
    stdin: bytes = b"",
    stopped: Callable[[], bool] = lambda: False,
    most: int = supervised.MOST,
) -> tuple[Outcome, list[str]]:
    lines: list[str] = []
    outcome = supervise(
        ["/bin/bash", "-c", script],
        stdin=stdin,
        environment={"PATH": "/usr/bin:/bin"},
        timeout=timeout,
        stopped=stopped,
        tell=lines.append,
        most=most,
    )
    return outcome, lines


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; a zombie that init did not reap yet has."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_lines_of_both_outputs_are_told_and_the_input_is_given() -> None:
    outcome, lines = run("cat; echo bad >&2; printf end; exit 3", stdin=b"one\ntwo\n")
    assert outcome == Outcome(End.ITSELF, 3)
    assert lines == ["one", "two", "bad", "end"]


def test_input_that_nobody_reads_holds_nothing_up() -> None:
    outcome, _ = run("true", stdin=bytes(1 << 20))
    assert outcome == Outcome(End.ITSELF, 0)


def test_environment_is_the_one_given() -> None:
    os.environ["XEN2KVM_TEST_LEAK"] = "1"
    try:
        _, lines = run("echo ${XEN2KVM_TEST_LEAK-none}; pwd")
    finally:
        del os.environ["XEN2KVM_TEST_LEAK"]
    assert lines == ["none", "/"]


def test_time_limit_ends_the_whole_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "GRACE", 0.5)
    script = "trap '' TERM; sleep 600 & echo $!; echo $$; while :; do sleep 1; done"
    outcome, lines = run(script, timeout=1.5)
    assert outcome == Outcome(End.TIME, -9)
    assert len(lines) >= 2
    assert all(is_gone(int(line)) for line in lines[:2])


def test_time_limit_leaves_a_moment_to_tidy_up() -> None:
    outcome, lines = run("trap 'echo tidy; exit 9' TERM; sleep 600 & wait", timeout=1.5)
    assert outcome == Outcome(End.TIME, 9)
    assert lines == ["tidy"]


def test_what_is_left_running_is_ended() -> None:
    outcome, lines = run("sleep 600 & echo $!")
    assert outcome == Outcome(End.ITSELF, 0)
    assert is_gone(int(lines[0]))


def test_stop_is_heeded() -> None:
    begun = time.monotonic()
    outcome, _ = run("sleep 600", stopped=lambda: time.monotonic() - begun > 0.5)
    assert outcome.end is End.STOPPED


def test_output_without_end_is_cut() -> None:
    outcome, lines = run("head -c 300000 /dev/zero | tr '\\0' x", most=10_000)
    assert outcome == Outcome(End.ITSELF, 0)
    assert "the rest is not kept" in lines[-1]
    assert sum(map(len, lines)) < 100_000


def test_program_that_cannot_be_started_fails(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/nonexistent/interpreter\n")
    program.chmod(0o755)
    outcome = supervise(
        [str(program)], stdin=b"", environment={"PATH": "/usr/bin:/bin"}, timeout=50,
        stopped=lambda: False, tell=lambda _line: None,
    )  # fmt: skip
    assert outcome.code in (126, 127)  # as setpriv(1) says it


def test_missing_launcher_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "WITH_US", ("/nonexistent/setpriv",))
    with pytest.raises(Failed, match="cannot be started"):
        run("true")


def test_line_end_that_comes_in_two_parts_ends_one_line() -> None:
    _, lines = run(r"printf 'one\r'; sleep 0.3; printf '\ntwo\r'; sleep 0.3; printf 'three\r'")
    assert lines == ["one", "two", "three"]
