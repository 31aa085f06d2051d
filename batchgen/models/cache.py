"""Catalogue entries kept on this machine, per API base and model."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from batchgen.models.fault import ModelUnknown
from batchgen.models.schema import ModelSchema, from_catalogue_entry


def cache_folder(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Path:
    """Where this platform keeps what can be fetched again. A user without a home keeps nothing."""
    home = _home()
    if platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "batchgen" / "Cache"
    if platform == "darwin":
        return home / "Library" / "Caches" / "batchgen"
    given = environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if Path(given).is_absolute() else home / ".cache") / "batchgen"


def _home() -> Path:
    """The user's folder, or a place where nothing can be read or written: no HOME is set, and the uid has no entry."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


class SchemaCache:
    """Files of fetched schemas; *now* is the wall clock in seconds.

    A cache can be lost at any time: what cannot be read is a miss, what cannot be written is not kept.
    """

    def __init__(self, folder: Path | None = None, now: Callable[[], float] = time.time) -> None:
        self._folder = (folder or cache_folder()) / "schemas"
        self._now = now

    def get(self, base: str, model_id: str) -> ModelSchema | None:
        """The schema kept for *model_id* of *base*, its age told by `fetched_at`; None if there is none."""
        try:
            kept = json.loads(self._file(base, model_id).read_bytes())
            if kept["base"] != base or kept["entry"]["model_id"] != model_id:
                return None
            return from_catalogue_entry(kept["entry"], source="cache", fetched_at=float(kept["fetched_at"]))
        except (OSError, ValueError, KeyError, TypeError, ModelUnknown):
            return None

    def put(self, base: str, entry: Mapping[str, Any]) -> None:
        """Keep one catalogue *entry* of *base*, whole or not at all."""
        file = self._file(base, str(entry.get("model_id", "")))
        text = json.dumps({"base": base, "fetched_at": self._now(), "entry": entry})
        part = file.with_suffix(f".{os.getpid()}.part")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, "utf-8")
            os.replace(part, file)
        except OSError:
            with suppress(OSError):
                part.unlink()

    def _file(self, base: str, model_id: str) -> Path:
        name = hashlib.sha256(f"{base}\n{model_id}".encode()).hexdigest()[:32]
        return self._folder / f"{name}.json"
