# SPDX-License-Identifier: GPL-2.0-or-later
"""The grammar of xl.cfg(5): NAME = value, NAME += value; nothing is ever executed.

A value is a number, a string or a list of values; lists may run over lines and end in a comma. Old
xm files are Python programs: what is more than such an assignment is left out, with a finding.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from xen2kvmd.errors import InvalidSource
from xen2kvmd.model import Finding, Severity

Value = int | str | tuple["Value", ...]

MAX_DEPTH = 8  # vnuma needs two
MAX_TOKENS = 50_000  # a guest of a thousand disks has a few thousand
MAX_DIGITS = 20  # of 64 bits, with a sign

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\f\r]+|\#[^\n]*|\\\r?\n)
  | (?P<end>\n|;)
  | (?P<string>\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''
      |"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<number>-?(?:0[xX][0-9a-fA-F]+|[0-9]+)(?![0-9A-Za-z_.]))
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>\+=|[=\[\](),])
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\n": ""}
# Without what these say, it is another guest: one without its second disk, or of another kind.
_NEEDED = frozenset(
    "disk vif kernel ramdisk root bootloader builder type bios firmware firmware_override".split()
)
_WORDS: dict[str, Value] = {"True": 1, "False": 0, "None": ""}  # of Python


@dataclass(frozen=True)
class Token:
    """A word of the file, where it stands; a column of 0 is the beginning of the line."""

    kind: str
    text: str
    line: int
    column: int


@dataclass(frozen=True)
class Settings:
    """What a file sets, and what in it was not understood."""

    values: dict[str, Value]
    findings: tuple[Finding, ...] = ()


class _NotUnderstood(Exception):
    """A statement is more than the grammar has."""


def parse_settings(text: str) -> Settings:
    """Read a configuration. Raises InvalidSource for a file of no setting, or of too many words."""
    values: dict[str, Value] = {}
    findings = []
    inside = False  # a block of Python, whose lines are indented and may never run
    for statement in _statements(text):
        inside = inside and statement[0].column > 0
        try:
            if inside:
                raise _NotUnderstood
            name, value, more = _assignment(statement)
            values[name] = _joined(values[name], value) if more and name in values else value
        except _NotUnderstood:
            inside = inside or statement[-1].text == ":"
            findings.append(_left_out(statement))
    if not values:
        raise InvalidSource(
            "The file has no setting of an xl configuration.",
            hint="A line is like: memory = 1024. See xl.cfg(5).",
        )
    return Settings(values, tuple(findings))


def _statements(text: str) -> Iterator[list[Token]]:
    """Split into statements: at line ends and semicolons outside of brackets."""
    statement: list[Token] = []
    depth = 0
    for token in _tokens(text):
        depth += (token.text in ("[", "(")) - (token.text in ("]", ")"))
        if token.kind == "end" and (depth <= 0 or token.text == ";"):
            if statement:
                yield statement
            statement, depth = [], 0
        elif token.kind != "end":
            statement.append(token)
    if statement:
        yield statement


def _tokens(text: str) -> Iterator[Token]:
    line, start, count = 1, 0, 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind != "space":
            count += 1
            if count > MAX_TOKENS:
                raise InvalidSource(
                    f"The configuration has more than {MAX_TOKENS} words.",
                    hint="An xl configuration has some hundred: check that this is the right file.",
                )
            yield Token(kind, match[0], line, match.start() - start)
        if "\n" in match[0]:
            line += match[0].count("\n")
            start = match.start() + match[0].rindex("\n") + 1


def _assignment(statement: list[Token]) -> tuple[str, Value, bool]:
    """Read NAME = value; the last says whether it was "+="."""
    if len(statement) < 3 or statement[0].kind != "name":
        raise _NotUnderstood
    sign = statement[1].text
    if sign not in ("=", "+="):
        raise _NotUnderstood
    value, end = _value(statement, 2, depth=0)
    if end < len(statement):
        raise _NotUnderstood
    return statement[0].text, value, sign == "+="


def _value(tokens: list[Token], at: int, *, depth: int) -> tuple[Value, int]:
    """Read the value that begins at a token; return where the next thing begins."""
    if at >= len(tokens) or depth > MAX_DEPTH:
        raise _NotUnderstood
    token = tokens[at]
    if token.kind == "number":
        return _number(token.text), at + 1
    if token.kind == "string":
        end = at + 1
        while _kind(tokens, end) == "string":  # Python joins strings side by side
            end += 1
        return "".join(_unquoted(part.text) for part in tokens[at:end]), end
    if token.kind == "name" and token.text in _WORDS:
        return _WORDS[token.text], at + 1
    if token.text in ("[", "("):
        return _list(tokens, at + 1, "]" if token.text == "[" else ")", depth=depth + 1)
    raise _NotUnderstood


def _list(tokens: list[Token], at: int, close: str, *, depth: int) -> tuple[Value, int]:
    found: list[Value] = []
    while _text(tokens, at) != close:
        value, at = _value(tokens, at, depth=depth)
        found.append(value)
        if _text(tokens, at) == ",":
            at += 1
        elif _text(tokens, at) != close:
            raise _NotUnderstood
    return tuple(found), at + 1


def _text(tokens: list[Token], at: int) -> str:
    return tokens[at].text if at < len(tokens) else ""


def _kind(tokens: list[Token], at: int) -> str:
    return tokens[at].kind if at < len(tokens) else ""


def _number(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _NotUnderstood
    return int(text, 0 if "x" in text.lower() else 10)


def _unquoted(text: str) -> str:
    marks = 3 if text.startswith(('"""', "'''")) else 1
    return _ESCAPE.sub(_character, text[marks:-marks])


def _character(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "x" and len(code) == 3:
        return chr(int(code[1:], 16))
    if code.isdigit() and code.isascii():
        return chr(int(code, 8) % 256) if set(code) <= set("01234567") else code
    return _PLAIN.get(code, code)


def _joined(old: Value, new: Value) -> Value:
    """What += makes of two values: a longer list or string, as xl does."""
    if isinstance(old, tuple) and isinstance(new, tuple):
        return old + new
    if isinstance(old, str) and isinstance(new, str):
        return old + new
    raise _NotUnderstood


def _left_out(statement: list[Token]) -> Finding:
    line = statement[0].line
    shown = " ".join("'***'" if token.kind == "string" else token.text for token in statement[:8])
    if name := _needed(statement):
        return Finding(
            "xl-setting-computed",
            f"Line {line} computes the guest's {name}, or sets it under a condition, and was left "
            f"out: {shown}.",
            Severity.BLOCKER,
            hint=f"Write the value of {name} there ('xm create --dryrun FILE' prints it), or give "
            "the guest as it runs: 'virsh dumpxml GUEST' or 'xl list -l GUEST' on the Xen host.",
            place=f"line {line}",
        )
    return Finding(
        "xl-expression",
        f"Line {line} is not plain configuration and was left out: {shown}.",
        hint="An xm file is a Python program, which is not run: write the value that it computes.",
        place=f"line {line}",
    )


def _needed(statement: list[Token]) -> str:
    """Return what of _NEEDED a statement sets, adds to or changes, which may be in its middle."""
    texts = [token.text for token in statement] + [""] * 2
    for name, sign, following in zip(texts, texts[1:], texts[2:], strict=False):
        if name in _NEEDED and (sign in ("+=", ".", "[") or (sign == "=" and following != "=")):
            return name
    return ""
