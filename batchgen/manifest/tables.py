"""The table of readers, by suffix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from batchgen.manifest.jsonlines import read_jsonl
from batchgen.manifest.memory import Memory
from batchgen.manifest.parquet import read_parquet
from batchgen.manifest.record import Table, unreadable
from batchgen.manifest.separated import read_csv, read_tsv

READERS: dict[str, Callable[[Path, Memory], Table]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
}
DOCUMENTS = (".yaml", ".yml")


def open_table(path: Path, memory: Memory) -> Table:
    """The records of *path*, those that *memory* knows by their keys.

    Raises ManifestError if there is no such file or no reader for it.
    """
    check_file(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise unreadable(str(path), f"no reader for {path.suffix or 'a file without suffix'}; {_known()}")
    return reader(path, memory)


def check_file(path: Path) -> None:
    """Raises ManifestError if *path* cannot be opened, is empty or is UTF-16."""
    try:
        with open(path, "rb") as file:
            head = file.read(2)
    except IsADirectoryError:
        raise unreadable(str(path), f"this is a folder; name the manifest in it ({_known()})") from None
    except FileNotFoundError:
        raise unreadable(str(path), "there is no such file") from None
    except OSError as error:
        raise unreadable(str(path), f"the file cannot be read: {error.strerror}") from None
    if not head:
        raise unreadable(str(path), "the file is empty; write at least one row")
    if head in (b"\xff\xfe", b"\xfe\xff"):
        raise unreadable(str(path), "the file is UTF-16; save it as UTF-8 (in Excel: CSV UTF-8)")


def _known() -> str:
    return f"manifests end in {', '.join([*READERS, *DOCUMENTS])}"
