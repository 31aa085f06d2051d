"""The table of readers, by suffix."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from batchgen.manifest.formats.csv import read_csv, read_tsv
from batchgen.manifest.formats.jsonl import read_jsonl
from batchgen.manifest.formats.parquet import read_parquet
from batchgen.manifest.record import Table, unreadable
from batchgen.manifest.unchanged import RecordDigests

READERS: dict[str, Callable[[Path, RecordDigests], Table]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_jsonl,
    ".parquet": read_parquet,
}
DOCUMENTS = (".yaml", ".yml")


def open_table(path: Path, memory: RecordDigests) -> Table:
    """The records of *path*, those that *memory* knows by their keys.

    Raises ManifestError if there is no such file or no reader for it.
    """
    check_file(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise unreadable(str(path), f"no reader for {path.suffix or 'a file without suffix'}; {_known(path)}")
    return reader(path, memory)


def check_file(path: Path) -> None:
    """Raises ManifestError if *path* cannot be opened, is empty or is, whatever its name, no text in UTF-8."""
    try:
        with open(path, "rb") as file:
            head = file.read(1024)
    except IsADirectoryError:
        raise unreadable(str(path), f"this is a folder; name the manifest in it ({_known(path)})") from None
    except FileNotFoundError:
        raise unreadable(str(path), "there is no such file") from None
    except OSError as error:
        raise unreadable(str(path), f"the file cannot be read: {error.strerror}") from None
    if not head:
        raise unreadable(str(path), "the file is empty; write at least one row")
    if path.suffix.lower() != ".parquet" and (what := _other_kind(head)):
        raise unreadable(str(path), f"this is {what}")
    if path.suffix.lower() in (".csv", ".tsv") and _JSON.match(head.removeprefix(b"\xef\xbb\xbf").lstrip()):
        raise unreadable(str(path), "this is JSON, not a table; let its name end in .jsonl")


_OTHER_KINDS = (
    ((b"\xff\xfe", b"\xfe\xff"), "UTF-16; save it as UTF-8 (in Excel: CSV UTF-8)"),
    ((b"PK\x03\x04",), "an Excel workbook, or another ZIP file; open it and save the sheet as CSV UTF-8"),
    ((b"\xd0\xcf\x11\xe0",), "an Excel workbook of the old kind; open it and save the sheet as CSV UTF-8"),
    ((b"PAR1",), "a Parquet file; let its name end in .parquet"),
    ((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"), "a compressed file; unpack it first"),
    ((b"%PDF", b"{\\rtf"), "a document, not a table; save its rows as CSV UTF-8"),
    ((b"\x89PNG", b"\xff\xd8\xff", b"GIF8"), "a picture, not a manifest; write its path in a row of one"),
    ((b"SQLite format 3",), "a database, not a manifest; save its rows as CSV UTF-8"),
)
_MARKUP = re.compile(rb"<(!doctype|!--|\?xml|[a-z][a-z0-9:]*[\s/>])", re.IGNORECASE)
_JSON = re.compile(rb"\[?\s*\{\s*\"")


def _other_kind(head: bytes) -> str | None:
    """What a file that begins with *head* is, if it is neither table nor YAML, and what to do then."""
    if _MARKUP.match(head.removeprefix(b"\xef\xbb\xbf").lstrip()):
        return "a web page, perhaps of a sign-in, or another document in markup; download the file itself as CSV"
    return next((what for starts, what in _OTHER_KINDS if head.startswith(starts)), None)


def _known(path: Path) -> str:
    suffixes = ", ".join([*READERS, *DOCUMENTS])
    if path.suffix.lower() in (".xlsx", ".xls", ".xlsm", ".ods", ".numbers"):
        return f"save the sheet as CSV UTF-8 (manifests end in {suffixes})"
    return f"manifests end in {suffixes}"
