#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Print the completions of xen2kvm for a shell, made of the client's own arguments.

tools/completions.py bash|zsh|fish; completions/ keeps what it prints, and a test compares them.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from xen2kvmd.cli.arguments import make_parser

HEAD = """\
# SPDX-License-Identifier: GPL-2.0-or-later
# Made by tools/completions.py of the client's arguments."""
# The ids of jobs hold nothing that a shell could take for its own.
JOBS = r"""xen2kvm jobs --json 2>/dev/null | sed -n 's/^ *"Id": "\([A-Za-z0-9_-]*\)".*/\1/p'"""
FILES = ("FILE", "GUEST")
FOLDERS = ("DIR", "DIR|POOL", "BACKUP")
ZSH_FILES = dict.fromkeys(FILES, "_files") | dict.fromkeys(FOLDERS, "_files -/")

Commands = Mapping[str, argparse.ArgumentParser]


def commands() -> tuple[Commands, dict[str, str]]:
    """Return the parsers of the commands, and what each does."""
    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            says = {choice.dest: choice.help or "" for choice in action._choices_actions}
            return action.choices, says
    raise AssertionError("the client has no commands")


def options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the options that a person may want."""
    return [
        action
        for action in parser._actions
        if action.option_strings and action.help != argparse.SUPPRESS
    ]


def operand(parser: argparse.ArgumentParser) -> str:
    """Return what the command's operand is called, or ""."""
    names = [str(action.metavar) for action in parser._actions if not action.option_strings]
    return names[0] if names else ""


def takes_value(action: argparse.Action) -> bool:
    """Tell whether a word after the option belongs to it."""
    return action.nargs != 0


def words(action: argparse.Action) -> str:
    """Return the words that an option's value is one of."""
    return " ".join(str(choice) for choice in action.choices or ())


def bash() -> Iterator[str]:
    """Yield the lines for bash; without the package bash-completion, which may not be there."""
    parsers, _ = commands()
    yield HEAD
    yield "# shellcheck shell=bash"
    yield f"_xen2kvm_jobs() {{\n  {JOBS}\n}}\n"
    yield """_xen2kvm() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' word
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] || { command=$word && break; }
  done
  case "$command $previous" in"""
    for name, parser in parsers.items():
        for action in filter(takes_value, options(parser)):
            shown = " | ".join(f"'{name} {option}'" for option in action.option_strings)
            if action.choices:
                done = f"""mapfile -t COMPREPLY < <(compgen -W '{words(action)}' -- "$current")"""
            elif action.metavar in FILES:
                done = 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current")'
            elif action.metavar in FOLDERS:
                done = 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current")'
            else:
                done = ":"
            yield f"    {shown}) {done}; return ;;"
    yield '  esac\n  case "$command:$current" in'
    names = f"{' '.join(parsers)} --help --version"
    yield f"""    :*) mapfile -t COMPREPLY < <(compgen -W '{names}' -- "$current") ;;"""
    for name, parser in parsers.items():
        found = " ".join(option for action in options(parser) for option in action.option_strings)
        yield f"""    {name}:-*) mapfile -t COMPREPLY < <(compgen -W '{found}' -- "$current") ;;"""
        if operand(parser) in (*FILES, *FOLDERS):
            kind = "-d" if operand(parser) in FOLDERS else "-f"
            files = f'compopt -o filenames; mapfile -t COMPREPLY < <(compgen {kind} -- "$current")'
            yield f"    {name}:*) {files} ;;"
        elif operand(parser) == "JOB":
            ids = '"$(_xen2kvm_jobs)"'
            yield f"""    {name}:*) mapfile -t COMPREPLY < <(compgen -W {ids} -- "$current") ;;"""
    yield "  esac\n}\ncomplete -F _xen2kvm xen2kvm"


def zsh() -> Iterator[str]:
    """Yield the lines for zsh (zshcompsys(1), _arguments)."""
    parsers, says = commands()
    yield "#compdef xen2kvm"
    yield HEAD
    yield f"_xen2kvm_jobs() {{\n  compadd -- $({JOBS})\n}}\n"
    yield "_xen2kvm() {\n  local state line\n  local -a found\n  found=("
    yield from (f"    {shlex.quote(f'{name}:{_zsh(says[name])}')}" for name in parsers)
    yield "  )"
    yield "  _arguments -C '(- *)--help[help]' '(- *)--version[version]' \\"
    yield "    '1: :->command' '*:: :->rest'"
    yield "  case $state in"
    yield "    command) _describe command found ;;"
    yield "    rest) case $words[1] in"
    for name, parser in parsers.items():
        yield f"      {name}) _arguments \\"
        for action in options(parser):
            for option in action.option_strings:
                yield f"        {shlex.quote(_zsh_option(action, option))} \\"
        fills = {"JOB": "_xen2kvm_jobs"} | ZSH_FILES
        taken = operand(parser)
        shown = shlex.quote(f"1:{taken}:{fills[taken]}") if taken else ""
        yield f"        {shown} ;;"
    yield '    esac ;;\n  esac\n}\n_xen2kvm "$@"'


def _zsh_option(action: argparse.Action, option: str) -> str:
    shown = f"*{option}[{_zsh(action.help or '')}]"
    if not takes_value(action):
        return shown
    fill = f"({words(action)})" if action.choices else ZSH_FILES.get(str(action.metavar), " ")
    return f"{shown}:{_zsh(str(action.metavar or action.dest))}:{fill}"


def _zsh(text: str) -> str:
    for character in "\\:[]":
        text = text.replace(character, f"\\{character}")
    return text


def fish() -> Iterator[str]:
    """Yield the lines for fish (complete(1))."""
    parsers, says = commands()
    yield HEAD
    yield f"function __xen2kvm_jobs\n    {JOBS}\nend\n"
    yield "complete -c xen2kvm -f"
    for name, parser in parsers.items():
        yield f"complete -c xen2kvm -n __fish_use_subcommand -a {name} -d {_fish(says[name])}"
        here = f"complete -c xen2kvm -n '__fish_seen_subcommand_from {name}'"
        if operand(parser) in (*FILES, *FOLDERS):
            yield f"{here} -F"
        elif operand(parser) == "JOB":
            yield f"{here} -a '(__xen2kvm_jobs)'"
        for action in options(parser):
            yield f"{here} {_fish_option(action)} -d {_fish(action.help or '')}"


def _fish_option(action: argparse.Action) -> str:
    parts = []
    for option in action.option_strings:
        bare = option.lstrip("-")
        kind = "-l" if option.startswith("--") else "-s" if len(bare) == 1 else "-o"
        parts.append(f"{kind} {bare}")
    if takes_value(action):
        parts.append("-r")
        parts.append("-F" if action.metavar in (*FILES, *FOLDERS) else "-f")
        if action.choices:
            parts.append(f"-a '{words(action)}'")
    return " ".join(parts)


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}

if __name__ == "__main__":
    if sys.argv[1:2] not in ([shell] for shell in SHELLS):
        sys.exit(f"usage: {sys.argv[0]} {'|'.join(SHELLS)}")
    sys.stdout.write("\n".join(SHELLS[sys.argv[1]]()) + "\n")
