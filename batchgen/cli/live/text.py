"""A line of what is shown: words in the styles that a terminal draws them in.

rich's own takes longer to load than `status` takes in all, and where the output is no terminal it draws nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size

_ASCII = str.maketrans({"━": "=", "╌": "-", "✓": "+", "✗": "x", "·": "|", "…": "."})

Part = tuple[str, str]
"""Words, and the style that they are drawn in."""


class Line:
    """Its *parts* stand side by side."""

    def __init__(self, *parts: Part) -> None:
        self.parts = [*parts]

    @property
    def plain(self) -> str:
        return "".join(words for words, _ in self.parts)

    @property
    def cell_len(self) -> int:
        """How wide it is drawn."""
        return sum(cell_len(words) for words, _ in self.parts)

    def append(self, words: str, style: str = "") -> None:
        self.parts.append((words, style))

    def rstrip(self) -> None:
        """Leave out the spaces at the end."""
        while self.parts:
            words, style = self.parts.pop()
            if kept := words.rstrip(" "):
                self.parts.append((kept, style))
                return

    def truncate(self, width: int) -> None:
        """Leave out what is drawn beyond *width*."""
        kept: list[Part] = []
        for words, style in self.parts:
            room = width - sum(cell_len(before) for before, _ in kept)
            kept.append((set_cell_size(words, room) if cell_len(words) > room else words, style))
        self.parts = kept

    def translated(self, signs: dict[int, str]) -> Line:
        """The same with other signs."""
        return Line(*((words.translate(signs), style) for words, style in self.parts))


def in_ascii(lines: Iterable[Line]) -> list[Line]:
    """*lines* for a terminal that has no other signs."""
    return [line.translated(_ASCII) for line in lines]


def speaks_utf8(encoding: str | None) -> bool:
    return (encoding or "").lower().replace("-", "") == "utf8" or os.name == "nt"
