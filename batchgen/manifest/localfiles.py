"""The local files a row names: found beside the file they are written in, and known by their content."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from batchgen.core.row import LocalFile
from batchgen.core.suggest import nearest
from batchgen.models import Fault, MediaField
from batchgen.models.fault import shown

KnownHash = Callable[[str, int, int], str | None]
"""(path, size in bytes, mtime in ns) to the sha256 such a file had when it was last read, or None."""

_REMOTE = ("https://", "http://", "data:")
_WEB = re.compile(r"https?://", re.IGNORECASE)
_WITHOUT_SCHEME = re.compile(r"(?://|www\.)[^/\s]+\.[a-z]{2,}(?:/|$)", re.IGNORECASE)
_SEVERAL = re.compile(r"\s*[,;\n]\s*")
_KEPT = 20_000
"""How many files are remembered during one read: enough for any matrix, and memory stays flat."""


class LocalFiles:
    """Looks up local input files, each read at most once while it is remembered."""

    def __init__(self, known_hash: KnownHash | None) -> None:
        self._known_hash = known_hash
        self._seen: dict[tuple[str, str], tuple[str, int, int, str] | str] = {}

    def of(
        self,
        media: Mapping[str, MediaField],
        request_input: Mapping[str, Any],
        cells: Mapping[str, Any],
        folder_of: Callable[[Mapping[str, Any], str], str],
    ) -> tuple[tuple[LocalFile, ...], list[Fault]]:
        """The local files *request_input* names, and a fault for each that cannot be read.

        *folder_of* the row's *cells* and a field is the folder its paths are relative to.
        """
        files: list[LocalFile] = []
        faults: list[Fault] = []
        for name in media:
            value = request_input.get(name)
            if value is None:
                continue
            for index, address in enumerate(value) if type(value) is list else ((None, value),):
                if type(address) is not str or address.startswith(_REMOTE):
                    continue
                found = self._find(folder_of(cells, name), address)
                if isinstance(found, str):
                    faults.append(Fault(f"$.{name}" if index is None else f"$.{name}[{index}]", found))
                else:
                    files.append(LocalFile(name if index is None else f"{name}.{index}", *found))
        return tuple(files), faults

    def _find(self, folder: str, address: str) -> tuple[str, int, int, str] | str:
        key = folder, address
        found = self._seen.get(key)
        if found is None:
            if len(self._seen) >= _KEPT:
                self._seen.clear()
            found = self._seen[key] = self._look(folder, address)
        return found

    def _look(self, folder: str, address: str) -> tuple[str, int, int, str] | str:
        if (why := _meant_for_the_web(address)) is not None:
            return why
        path = _spelled_as_on_disk(os.path.abspath(os.path.join(folder, address)))
        try:
            stat = os.stat(path)
            if stat.st_size == 0:
                return f"{shown(address)} is an empty file"
            sha256 = self._hash(path, stat.st_size, stat.st_mtime_ns)
        except FileNotFoundError:
            return f"no file {shown(address)} beside this manifest{_hint(folder, address, Path(path))}"
        except IsADirectoryError:
            return f"{shown(address)} is a folder; name a file in it"
        except (OSError, ValueError) as error:
            return f"{shown(address)} cannot be read: {getattr(error, 'strerror', None) or error}"
        return path, stat.st_size, stat.st_mtime_ns, sha256

    def _hash(self, path: str, size_bytes: int, mtime_ns: int) -> str:
        known = self._known_hash(path, size_bytes, mtime_ns) if self._known_hash else None
        if known is not None:
            return known
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _spelled_as_on_disk(path: str) -> str:
    """*path* in the Unicode form that its file has: the same letters, composed here and taken apart elsewhere."""
    if path.isascii() or os.path.exists(path):
        return path
    forms = (unicodedata.normalize(form, path) for form in ("NFC", "NFD"))
    return next((form for form in forms if os.path.exists(form)), path)


def _meant_for_the_web(address: str) -> str | None:
    """What to write for an *address* that is neither a path nor an address as they are written here."""
    found = _WEB.search(address)
    if found is not None and (found.start() or found[0][:4] != "http"):
        return f"write the address alone, as https://...: {shown(found[0].lower() + address[found.end() :])}"
    scheme, separator, _ = address.partition("://")
    if separator:
        return f"{scheme}:// addresses are not fetched; write an https:// URL or a path"
    if _WITHOUT_SCHEME.match(address):
        return f"{shown(address)} has no scheme; write {shown('https://' + address.lstrip('/'))}"
    return None


def _hint(folder: str, address: str, path: Path) -> str:
    """What to write instead: the path of a file of a like name, as it would stand in the manifest."""
    slashed = address.replace("\\", "/")
    if slashed != address and os.path.isfile(os.path.join(folder, slashed)):
        return f"; did you mean {slashed!r}?"
    several = [part for part in _SEVERAL.split(address) if part]
    if len(several) > 1 and all("." in part for part in several):
        return f"; for several files write {shown('|'.join(several))}"
    if not path.parent.is_dir():
        return f"; there is no folder {shown(path.parent.name)} there either"
    with os.scandir(path.parent) as found:
        by_stem = {Path(entry.name).stem: entry.name for entry, _ in zip(found, range(2_000), strict=False)}
    meant = nearest(path.stem, by_stem)  # the suffix alone makes short names look alike
    if meant is None:
        return "; write a path from there, or an https:// URL"
    return f"; did you mean {address.removesuffix(path.name) + by_stem[meant]!r}?"
