# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of libvirt's schema: which elements and attributes a domain XML may have, and where.

schema.txt holds them, made from libvirt's own RELAX NG files by `python3 -m xen2kvmd.domain
schema`: a line per element, indented under its parent, with its attributes. "*" stands for
anything, "..." for the content of the element of that name above it: backing chains go on.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from xen2kvmd.xml import Element

SCHEMAS = Path("/usr/share/libvirt/schemas")
RNG = "{http://relaxng.org/ns/structure/1.0}"
LIBVIRT = "http://libvirt.org/schemas/domain/"
AGAIN = "..."  # a word for "and so on, as above"

Words = dict[tuple[str, ...], frozenset[str]]  # path of an element: its attributes


def step(element: Element) -> str:
    """Name an element as schema.txt does: "disk", or "xen:commandline" in a namespace."""
    return _step(etree.QName(element).localname, etree.QName(element).namespace or "")


def _step(name: str, namespace: str) -> str:
    if namespace.startswith(LIBVIRT):
        return f"{namespace.removeprefix(LIBVIRT).partition('/')[0]}:{name}"
    return f"{{{namespace}}}{name}" if namespace else name


@dataclass(frozen=True)
class Vocabulary:
    """The words of a schema. Paths are those below <domain>."""

    words: Words

    @classmethod
    def shipped(cls) -> "Vocabulary":
        """The words of schema.txt."""
        return cls.parse((Path(__file__).parent / "schema.txt").read_text("utf-8"))

    @classmethod
    def parse(cls, text: str) -> "Vocabulary":
        """Read the form of schema.txt."""
        words: Words = {}
        path: list[str] = []
        for line in text.splitlines():
            if line and not line.startswith("#"):
                depth = len(line) - len(line.lstrip())
                name, *attributes = line.split()
                path[depth:] = [name]
                words[tuple(path[1:])] = frozenset(attributes)
        return cls(words)

    def format(self) -> str:
        """Write schema.txt."""
        lines = []
        for path, attributes in sorted(self.words.items()):
            name = path[-1] if path else "domain"
            lines.append(" ".join([" " * len(path) + name, *sorted(attributes)]))
        return "\n".join(lines) + "\n"

    def paths(self) -> tuple[str, ...]:
        """All elements and attributes, as decisions.py writes them."""
        found = []
        for path, attributes in sorted(self.words.items()):
            if AGAIN not in path:
                found += ["/".join(path)] if path else []
                found += ["/".join((*path, f"@{name}")) for name in sorted(attributes)]
        return tuple(found)

    def knows(self, path: tuple[str, ...]) -> bool:
        """Whether the schema has an element there."""
        return self._find(path) is not None

    def strangers(self, path: tuple[str, ...], names: Iterable[str]) -> tuple[str, ...]:
        """Attributes among names that the schema does not give the element there."""
        known = self.words[self._find(path) or ()]
        return () if "*" in known else tuple(name for name in names if name not in known)

    def _find(self, path: tuple[str, ...]) -> tuple[str, ...] | None:
        """Find the line for a path: literally, by "*", or by "..." for a chain's links."""
        found: tuple[str, ...] = ()
        for name in path:
            if (*found, name) in self.words:
                found = (*found, name)
                if (*found, AGAIN) in self.words:
                    found = found[:-1]
            elif (*found, "*") in self.words:
                found = (*found, "*")
            elif found and found[-1] == "*":
                pass  # anything, to any depth
            else:
                return None
        return found


def read_schema(folder: Path = SCHEMAS) -> Vocabulary:
    """Collect the words of <domain> from libvirt's RELAX NG files."""
    grammar = _Grammar.load(folder / "domain.rng")
    words: dict[tuple[str, ...], set[str]] = {}
    for path, attribute in grammar.walk(grammar.named["start"], (), frozenset()):
        words.setdefault(path, set()).update({attribute} if attribute else ())
    return Vocabulary(
        {path[1:]: frozenset(found) for path, found in words.items() if path[:1] == ("domain",)}
    )


@dataclass(frozen=True)
class _Grammar:
    """The named parts of a RELAX NG grammar, and how they nest."""

    named: dict[str, list[Element]]

    @classmethod
    def load(cls, file: Path) -> "_Grammar":
        named: dict[str, list[Element]] = {"start": []}
        waiting, seen = [file], {file}
        while waiting:
            here = waiting.pop()
            root = etree.parse(here).getroot()
            for part in root.iter(f"{RNG}define"):
                named.setdefault(part.get("name", ""), []).append(part)
            if here == file:
                named["start"] += root.iter(f"{RNG}start")
            found = {here.parent / part.get("href", "") for part in root.iter(f"{RNG}include")}
            waiting += found - seen
            seen |= found
        return cls(named)

    def walk(
        self, parts: Iterable[Element], path: tuple[str, ...], seen: frozenset[str]
    ) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield each element's path with "", and again with each of its attributes."""
        for part in parts:
            for child in part.iterchildren(etree.Element):
                kind = str(child.tag).removeprefix(RNG)
                if kind == "element":
                    yield from self._element(child, path)
                elif kind == "attribute":
                    yield from ((path, name) for name in _names(child))
                elif kind == "ref":
                    name = child.get("name", "")
                    if name not in seen:
                        yield from self.walk(self.named[name], path, seen | {name})
                elif kind not in ("name", "choice") or child.find(f"{RNG}name") is None:
                    yield from self.walk([child], path, seen)

    def _element(
        self, part: Element, path: tuple[str, ...]
    ) -> Iterator[tuple[tuple[str, ...], str]]:
        for name in _names(part):
            inside = (*path, _step(name, part.get("ns", "")))
            yield inside, ""
            if path[-1:] == (name,):
                yield (*inside, AGAIN), ""
            elif name == "*":
                yield inside, "*"
            else:
                yield from self.walk([part], inside, frozenset())


def _names(part: Element) -> list[str]:
    """An element's or attribute's names; "*" where the schema leaves it open."""
    if part.get("name"):
        return [part.get("name", "")]
    named = part.findall(f"{RNG}name") + part.findall(f"{RNG}choice/{RNG}name")
    return [(name.text or "").strip() for name in named] or ["*"]
