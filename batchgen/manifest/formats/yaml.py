"""YAML, read by its events and never by its own typing: plain text with lines, in bounded memory.

Only what a manifest needs is accepted. Tags, merge keys and keys given twice are problems; what could only
be meant to exhaust the reader (deep nesting, aliases that multiply) ends the reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from batchgen.core.row import Problem
from batchgen.manifest.record import unreadable
from batchgen.models import Plain, shown

_DEEPEST = 20
_MOST_NODES = 20_000
_MOST_ANCHORS = 1_000
_LIKE_TEXT = re.compile(r"\s*(#[^\s#!].*?)\s*$", re.DOTALL)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class Node(NamedTuple):
    """One value and the line it began in; lists and mappings hold Nodes. *size* counts every node in it."""

    value: Any
    line: int
    size: int = 1

    def bare(self) -> Any:
        """The value without lines: text, None, lists and dicts."""
        if isinstance(self.value, dict):
            return {key: node.bare() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.bare() for node in self.value]
        return self.value


class Entry(NamedTuple):
    """One entry of the document's top: a key with its value, or one item of `rows`."""

    key: str
    node: Node
    problems: list[Problem]


def entries(path: Path) -> Iterator[Entry]:
    """The top of the document, entry by entry, the items of `rows` one at a time.

    Raises ManifestError where the document is not YAML or not a mapping.
    """
    with open(path, "rb") as stream, _Lines(path) as lines:
        document = _Document(str(path), stream, lines)
        try:
            yield from document.entries()
        except yaml.MarkedYAMLError as error:
            is_open_quote = "quoted scalar" in (error.context or "")  # noticed only at the end of the file
            mark = error.context_mark if is_open_quote else error.problem_mark or error.context_mark
            what = " ".join(part for part in (error.context, error.problem) if part)
            raise unreadable(str(path), f"this is not YAML: {what}", mark.line + 1 if mark else None) from None
        except yaml.reader.ReaderError as error:
            raise unreadable(str(path), *_bad_byte(path, error)) from None


def _bad_byte(path: Path, error: yaml.reader.ReaderError) -> tuple[str, int | None]:
    with open(path, "rb") as stream:
        for line, raw in enumerate(stream, 1):
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as broken:
                byte = raw[broken.start]
                return f"byte 0x{byte:02X} is not UTF-8; save the file as UTF-8", line
            if (found := yaml.reader.Reader.NON_PRINTABLE.search(text.removeprefix("\ufeff"))) is not None:
                return f"the control character U+{ord(found[0]):04X} stands in this line; delete it", line
    return f"this is not YAML: {error.reason}", None


class _Lines:
    """The lines of a document, read beside its events, and forgotten behind them."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, encoding="utf-8-sig", errors="replace")  # noqa: SIM115 - closed in `__exit__`
        self._line, self._number = "", 0

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def after(self, mark: Any) -> str:
        """What stands behind *mark* in its line; nothing for one above a line that was asked for."""
        while self._number <= mark.line:
            self._line = self._file.readline()
            self._number += 1
        return self._line[mark.column :] if self._number == mark.line + 1 else ""


class _Document:
    def __init__(self, file: str, stream: Any, lines: _Lines) -> None:
        self._file = file
        self._lines = lines
        # The C parser is four times faster; both give the same events.
        self._events = yaml.parse(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self._anchors: dict[str, Node] = {}
        self._problems: list[Problem] = []

    def entries(self) -> Iterator[Entry]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                break
        else:
            raise unreadable(self._file, "the document is empty; write at least `rows:`")
        top = next(self._events)
        if not isinstance(top, yaml.MappingStartEvent):
            message = "a manifest is a mapping with `model:` and `rows:`"
            raise unreadable(self._file, message, _line(top))
        self._refuse_tag(top)
        yield from self._top()
        next(self._events)  # the end of the document
        following = next(self._events)
        if isinstance(following, yaml.DocumentStartEvent):
            raise unreadable(self._file, "a second document begins here; keep one a file", _line(following))

    def _top(self) -> Iterator[Entry]:
        seen: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, seen)
            value = next(self._events)
            if key == "rows" and isinstance(value, yaml.SequenceStartEvent):
                self._refuse_tag(value)
                yield from self._items(key)
            else:
                node = self._node(value, 1)._replace(line=_line(event))
                if key == "rows":
                    self._problem(node.line, "`rows` is a list of rows; write each after a dash")
                yield Entry(key, node, self._take_problems())

    def _items(self, key: str) -> Iterator[Entry]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            node = self._node(event, 2)
            yield Entry(key, node, self._take_problems())

    def _take_problems(self) -> list[Problem]:
        problems, self._problems = self._problems, []
        return problems

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._refuse_tag(event)
        if depth > _DEEPEST:
            raise unreadable(self._file, f"nested more than {_DEEPEST} deep", _line(event))
        match event:
            case yaml.ScalarEvent():
                node = Node(_scalar(event), _line(event))
                self._warn_of_lost_text(event)
            case yaml.SequenceStartEvent():
                node = self._sequence(event, depth)
            case _:
                node = self._mapping(event, depth)
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            self._anchor(event.anchor, node)
        return node

    def _sequence(self, start: yaml.Event, depth: int) -> Node:
        items: list[Node] = []
        size = 1
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
            size = self._grown(size, items[-1], start)
        return Node(items, _line(start), size)

    def _mapping(self, start: yaml.Event, depth: int) -> Node:
        found: dict[str, Node] = {}
        seen: dict[str, int] = {}
        size = 1
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, seen)
            node = self._node(next(self._events), depth + 1)
            size = self._grown(size, node, start)
            found.setdefault(key, node._replace(line=_line(event)))
        return Node(found, _line(start), size)

    def _grown(self, size: int, node: Node, start: yaml.Event) -> int:
        if size + node.size > _MOST_NODES:
            message = f"this entry holds more than {_MOST_NODES} values, aliases counted; split it"
            raise unreadable(self._file, message, _line(start))
        return size + node.size

    def _key(self, event: yaml.Event, seen: dict[str, int]) -> str:
        line = _line(event)
        if not isinstance(event, yaml.ScalarEvent):
            raise unreadable(self._file, "a key is one word, not a list, mapping or alias", line)
        self._refuse_tag(event)
        key: str = event.value
        if key == "<<":
            self._problem(line, "merge keys (<<) are not read; write what all rows share under `defaults`")
        elif key in seen:
            self._problem(line, f"the key {key!r} stands twice, first in line {seen[key]}; delete one", key)
        seen.setdefault(key, line)
        return key

    def _anchor(self, name: str, node: Node) -> None:
        if len(self._anchors) >= _MOST_ANCHORS:
            raise unreadable(self._file, f"more than {_MOST_ANCHORS} anchors", node.line)
        self._anchors[name] = node

    def _alias(self, event: yaml.AliasEvent) -> Node:
        node = self._anchors.get(str(event.anchor))
        if node is None:
            self._problem(_line(event), f"no anchor &{event.anchor} is finished above this alias")
            return Node(None, _line(event))
        return node

    def _refuse_tag(self, event: Any) -> None:
        if event.tag not in (None, "!"):
            self._problem(_line(event), f"the tag {event.tag!r} is not read; types come from the model's schema")

    def _warn_of_lost_text(self, event: yaml.ScalarEvent) -> None:
        """Plain text ends at a ` #`. A comment of a person has a blank behind it; what has none is likely text."""
        if event.style in (None, "") and event.value and event.end_mark is not None:
            lost = _LIKE_TEXT.match(self._lines.after(event.end_mark))
            if lost is not None:
                message = f"{shown(lost[1])} is a comment in YAML and is not sent; put the whole text in quotes"
                self._problems.append(Problem(self._file, _line(event), None, None, None, message, "warning"))

    def _problem(self, line: int, message: str, column: str | None = None) -> None:
        self._problems.append(Problem(self._file, line, column, None, None, message))


def _scalar(event: yaml.ScalarEvent) -> Plain | str | None:
    if event.style not in (None, ""):
        return str(event.value)
    return None if event.value in _NULLS else Plain(event.value)


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.line + 1
