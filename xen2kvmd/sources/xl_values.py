# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading an xl configuration's settings by the type that an option has."""

from dataclasses import dataclass

from xen2kvmd.errors import InvalidSource
from xen2kvmd.sources.xl_syntax import Value

_BAD = "".join(chr(code) for code in range(32) if chr(code) not in "\t\n\r") + "\ufffe\uffff"
_YES = {"yes": 1, "on": 1, "true": 1, "no": 0, "off": 0, "false": 0}


@dataclass(frozen=True)
class Values:
    """The settings; an option that is not there is "", 0 or empty."""

    values: dict[str, Value]

    def given(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str) -> Value:
        return self.values.get(name, "")

    def text(self, name: str, default: str = "") -> str:
        """A string; a number is written as one, and of a list the words are joined by commas."""
        value = self.values.get(name, default)
        if isinstance(value, tuple):
            return ",".join(self.words(name))
        return _clean(str(value), name)

    def number(self, name: str, default: int = 0) -> int:
        """A number, which a file may also write as "1024", or a switch as yes or no."""
        value = self.values.get(name, default)
        if isinstance(value, int):
            return value
        text = str(value).strip().lower() if isinstance(value, str) else "a list"
        if not text:
            return default
        if text in _YES:
            return _YES[text]
        if text.lstrip("-").isascii() and text.lstrip("-").isdigit() and len(text) < 19:
            return int(text)
        raise InvalidSource(
            f"The option {name} is {value!r}, which is no number.",
            hint="See xl.cfg(5): memory, for one, counts in MiB and takes no unit.",
        )

    def words(self, name: str) -> tuple[str, ...]:
        """The strings of a list; a single string is a list of one."""
        value = self.values.get(name, ())
        if not isinstance(value, tuple):
            value = (value,) if value != "" else ()
        return tuple(_clean(str(each), name) for each in value if not isinstance(each, tuple))


def _clean(text: str, name: str) -> str:
    """Refuse what no XML can hold."""
    if any(letter in _BAD or "\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidSource(
            f"The option {name} contains a control character.",
            hint="Remove it with an editor; 'cat -v' shows it.",
        )
    return text
