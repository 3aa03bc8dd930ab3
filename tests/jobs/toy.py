# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker with toy steps: spec says what each does, and each leaves a file that undo removes."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from xen2kvmd import config
from xen2kvmd.errors import ConnectionFailed, InvalidDisk
from xen2kvmd.jobs import patience
from xen2kvmd.jobs.process import run
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.system import command, ssh_login

NAMES = ("one", "two", "three")
SIZE = 1 << 20


def _place(run_: Run, name: str) -> Path:
    return Path(run_.spec["place"]) / f"{run_.id}-{name}"


def _tell(run_: Run, what: str) -> None:
    """Write down what is done, in a file that no step undoes."""
    with (run_.folder / "history").open("a") as history:
        history.write(f"{what}\n")


def do(run_: Run, name: str) -> None:
    run_.note(name, str(_place(run_, name)))
    _place(run_, name).write_text("made")
    _tell(run_, f"do {name}")
    BEHAVIOUR[run_.spec.get(name, "ok")](run_)


def go_on(run_: Run, name: str) -> None:
    _tell(run_, f"go on {name}")
    BEHAVIOUR[run_.spec.get(f"go on {name}", "ok")](run_)


def undo(run_: Run, name: str) -> None:
    _tell(run_, f"undo {name}")
    way = run_.spec.get(f"undo {name}")
    died = Path(str(_place(run_, name)) + ".died")
    if way == "fail":
        raise OSError("the disk is on fire")
    if way == "wait" and not (Path(run_.spec["place"]) / "back").exists():
        raise ConnectionFailed("kvm2 cannot be reached.", hint="Mend the network.")
    if way == "die" or (way == "die once" and not died.exists()):
        died.touch()
        _die(run_)
    if name in run_.notes:
        Path(run_.notes[name]).unlink(missing_ok=True)


def _fail(_run: Run) -> None:
    raise InvalidDisk("The toy is broken.", hint="Mend it.")


def _bug(_run: Run) -> None:
    raise ValueError("a bug")


def _die(_run: Run) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(run_: Run) -> None:
    died = run_.folder / "died"
    if not died.exists():
        died.touch()
        _die(run_)


def _slow(run_: Run) -> None:
    for done in range(600):
        run_.progress(done * SIZE, 600 * SIZE)
        time.sleep(0.05)


def _child(_run: Run) -> None:
    command.run(["sleep", "600"], timeout=600)


def _wait_for(run_: Run, name: str) -> None:
    while not (Path(run_.spec["place"]) / name).exists():
        run_.progress(1, 2)
        time.sleep(0.02)


def _keep_broken(run_: Run) -> None:
    def close() -> None:
        raise OSError("it is broken")

    run_.keep(object(), close)
    _fail(run_)


def _login(run_: Run) -> None:
    """Write down as whom ssh would log in, and how fast may be copied."""
    user, rate = config.host("xen1", ssh_login.CONFIG).user, ssh_login.rate_limit("ssh://xen1")
    with (run_.folder / "ssh").open("a") as stream:
        stream.write(f"{user} {rate}\n")


def _use_secret(run_: Run) -> None:
    if (run_.secrets / "1").read_text() != "hunter2":
        _fail(run_)


def _use_secret_twice(run_: Run) -> None:
    _use_secret(run_)
    _die_once(run_)


BEHAVIOUR: dict[str, Callable[[Run], None]] = {
    "ok": lambda run_: run_.progress(SIZE, SIZE),
    "fail": _fail,
    "keep broken": _keep_broken,
    "bug": _bug,
    "die": _die,
    "die once": _die_once,
    "slow": _slow,
    "child": _child,
    "ssh": _login,
    "secret": _use_secret,
    "secret, die once": _use_secret_twice,
    "wait": partial(_wait_for, name="go"),
    "wait again": partial(_wait_for, name="go again"),
}


def steps_of(operation: str) -> Sequence[Step]:
    return tuple(
        Step(
            name,
            partial(do, name=name),
            partial(undo, name=name),
            partial(go_on, name=name) if name == "two" else None,
            cancellable=name != "three",
            final=(operation, name) == ("finalize", "three"),
        )
        for name in NAMES
    )


if __name__ == "__main__":
    if "TOY_DIES_AT_ONCE" in os.environ:
        sys.exit("The toy cannot even begin.")
    patience.SECONDS = float(os.environ.get("TOY_PATIENCE", patience.SECONDS))
    sys.exit(run(steps_of))
