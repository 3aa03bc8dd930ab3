# SPDX-License-Identifier: GPL-2.0-or-later
"""Hooks: an administrator's own programs, found in a folder, checked, and run within a time limit.

A hook runs as we do, as root: so whoever could change one, or put another in its place, would be
root. Each is refused unless it, and all folders above it, are in safe hands.
"""

import configparser
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xen2kvmd.errors import HookRefused

SETTINGS = "hooks.conf"
TIMEOUT = 300  # seconds, where hooks.conf does not say otherwise
LONGEST = 86400
LINKS = 40  # as many as the kernel follows (path_resolution(7))
EVERYWHERE = "all"  # the section of hooks.conf that counts for all phases
FAIL, WARN = "fail", "warn"
KEYS = ("timeout", "on-failure")

# What editors and package managers leave beside a file.
LEFTOVERS = ("~", ".bak", ".swp", ".orig", ".rpmnew", ".rpmsave", ".rpmorig", ".dpkg-old",
             ".dpkg-new", ".dpkg-dist", ".dpkg-tmp")  # fmt: skip


@dataclass(frozen=True)
class Hook:
    """A program to run in a phase. timeout is in seconds; required: its failure fails the job."""

    phase: str
    path: Path
    timeout: float
    required: bool

    @property
    def name(self) -> str:
        return f"{self.phase}/{self.path.name}"


@dataclass(frozen=True)
class Found:
    """The hooks of a phase in the order of their names, and the files that are not run."""

    hooks: tuple[Hook, ...]
    not_executable: tuple[Path, ...]


def find(folder: Path, phases: Sequence[tuple[str, bool]]) -> dict[str, Found]:
    """Return the hooks of each phase: folder/PHASE/*, the settings folder/hooks.conf applied.

    phases says of each whether a failure fails the job where nothing else is set. Raises
    HookRefused if a hook, or the settings, could be written by anybody but root, or makes no sense.
    """
    names = [phase for phase, _ in phases]
    settings = _settings(folder, names)
    found = {phase: Found((), ()) for phase in names}
    if not folder.exists():
        return found
    _check_safe(folder)
    _check_names(folder, names)
    for phase, required in phases:
        found[phase] = _find(folder / phase, settings, required=required)
    for section in settings.sections():
        phase, _, name = section.partition("/")
        if name and name not in {hook.path.name for hook in found[phase].hooks}:
            raise HookRefused(
                f"{folder / SETTINGS} names the hook '{section}', which is not there.",
                hint="Correct the name, make the hook executable, or remove the section.",
            )
    return found


def _find(folder: Path, settings: configparser.ConfigParser, *, required: bool) -> Found:
    if not folder.exists():
        return Found((), ())
    _check_safe(folder)
    hooks, passed_over = [], []
    for path in _files(folder):
        if not path.stat().st_mode & 0o111:
            passed_over.append(path)
            continue
        _check_safe(path)
        section = f"{folder.name}/{path.name}"
        timeout, must = _setting(settings, section, required=required)
        hooks.append(Hook(folder.name, path, timeout, must))
    return Found(tuple(hooks), tuple(passed_over))


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.endswith(LEFTOVERS):
            continue
        if not path.is_file():
            raise HookRefused(
                f"The hook {path} is no file.", hint="Remove it, or mend the link that it is."
            )
        yield path


def _check_names(folder: Path, phases: Sequence[str]) -> None:
    """Refuse a folder of a misspelt phase: its hooks would never run, and nobody would know."""
    for path in folder.iterdir():
        if path.is_dir() and not path.name.startswith(".") and path.name not in phases:
            raise HookRefused(
                f"There is no phase '{path.name}', as the folder {path} has it.",
                hint=f"The phases are: {', '.join(phases)}.",
            )


# --- settings -------------------------------------------------------------------------------------


def _settings(folder: Path, phases: Sequence[str]) -> configparser.ConfigParser:
    path = folder / SETTINGS
    settings = configparser.ConfigParser(interpolation=None, default_section="")
    if not path.exists():
        return settings
    _check_safe(path)
    try:
        settings.read_string(path.read_text("utf-8"), source=str(path))
    except (configparser.Error, UnicodeDecodeError) as error:
        raise HookRefused(
            f"{path} cannot be read: {error}.", hint="See xen2kvm-hooks(7)."
        ) from error
    for section in settings.sections():
        unknown = sorted(set(settings[section]) - set(KEYS))
        if unknown:
            raise HookRefused(
                f"{path} has the key '{unknown[0]}', which is unknown.",
                hint=f"The keys are: {', '.join(KEYS)}.",
            )
        phase = section.partition("/")[0]
        if section != EVERYWHERE and phase not in phases:
            raise HookRefused(
                f"{path} has the section '{section}', but there is no phase '{phase}'.",
                hint=f"The phases are: {', '.join(phases)}.",
            )
        _setting(settings, section, required=True)
    return settings


def _setting(
    settings: configparser.ConfigParser, section: str, *, required: bool
) -> tuple[float, bool]:
    """Return the time limit and whether a failure counts: of the hook, its phase, or all."""

    def value(key: str) -> str | None:
        for name in (section, section.partition("/")[0], EVERYWHERE):
            if settings.has_option(name, key):
                return settings[name][key]
        return None

    limit = value("timeout") or str(TIMEOUT)
    if not (limit.isascii() and limit.isdecimal() and 0 < int(limit) <= LONGEST):
        raise HookRefused(
            f"The time limit of '{section}' in {SETTINGS} is no number of seconds: '{limit}'.",
            hint=f"Write a whole number from 1 to {LONGEST}.",
        )
    policy = value("on-failure") or (FAIL if required else WARN)
    if policy not in (FAIL, WARN):
        raise HookRefused(
            f"on-failure of '{section}' in {SETTINGS} is '{policy}'.",
            hint=f"Write '{FAIL}' or '{WARN}'.",
        )
    return float(limit), policy == FAIL


# --- safe hands -----------------------------------------------------------------------------------


def _check_safe(path: Path) -> None:
    """Refuse a file that others could change: look at each folder and link on the way."""
    at, waiting, links = Path("/"), list(path.absolute().parts[1:]), 0
    _check_owned(at)
    while waiting:
        part = waiting.pop(0)
        at = at.parent if part == ".." else at / part
        _check_owned(at)
        if at.is_symlink():
            links += 1
            if links > LINKS:
                raise HookRefused(f"{path} is a link that leads nowhere.", hint="Remove it.")
            leads = at.readlink()
            at = Path("/") if leads.is_absolute() else at.parent
            waiting = [*(part for part in leads.parts if part != "/"), *waiting]


def _check_owned(path: Path) -> None:
    state = path.lstat()
    if state.st_uid not in (0, os.geteuid()):
        raise HookRefused(
            f"{path} does not belong to root, and hooks run as root.",
            hint=f"See that it does what it should, then: chown root {path}",
        )
    # In a sticky folder nobody can rename or remove what is root's (inode(7), S_ISVTX).
    sticky = stat.S_ISDIR(state.st_mode) and state.st_mode & stat.S_ISVTX
    if state.st_mode & 0o022 and not sticky and not stat.S_ISLNK(state.st_mode):
        raise HookRefused(
            f"{path} can be written by others than root, and hooks run as root.",
            hint=f"See that it does what it should, then: chmod go-w {path}",
        )
