"""What a manifest is known by as a whole: the content of every file that its rows come from.

Where nothing of it is another, not even one record is read. The time or the size of a file proves nothing: an editor
may keep both.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from batchgen.core.row import FINGERPRINT_VERSION
from batchgen.core.version import __version__

Opens: TypeAlias = Callable[[Path], None]
"""Told of every file that rows come from, before it is read."""


class ManifestDigest:
    """The files of one reading, each by its content as it was before it was read."""

    def __init__(self, path: Path, default_model: str | None) -> None:
        self._basis = _basis(path, default_model)
        self._files: dict[str, str] = {}

    def opens(self, path: Path) -> None:
        self._files.setdefault(str(path), _digest(path))

    def kept(self) -> str | None:
        """What a later start may be held against; None if a file has changed while it was read."""
        if not self._files or any(_digest(Path(name)) != digest for name, digest in self._files.items()):
            return None
        return json.dumps({"basis": self._basis, "files": [*self._files.items()]})


def is_as_kept(kept: str | None, path: Path, default_model: str | None) -> bool:
    """Whether the manifest at *path* is, in all its files, what it was when *kept* was."""
    if kept is None:
        return False
    told = json.loads(kept)
    if told["basis"] != _basis(path, default_model) or told["files"][0][0] != str(path):
        return False
    return all(_digest(Path(name)) == digest for name, digest in told["files"])


def _basis(path: Path, default_model: str | None) -> list[str | int | None]:
    """All but the files that decides what the rows are: who reads, and from where relative paths start."""
    return [__version__, FINGERPRINT_VERSION, default_model, os.path.abspath(path)]


def _digest(path: Path) -> str:
    """The content of a file; empty for one that cannot be read, of which whoever reads it tells more."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
