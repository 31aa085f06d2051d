"""What is known of outputs while a round is planned, kept on disk: a data set may have millions.

Names and hashes are kept by 64 bits each: ten million of them find no two alike by chance.
"""

from __future__ import annotations

import hashlib

from batchgen.results.export.columns import Record
from batchgen.results.reviews import MARKS, each_mark
from batchgen.state import Memo
from batchgen.storage.paths import RunFolder

_MARKS = ("none", *(mark for mark in MARKS if mark != "none"))


class Seen:
    """The outputs that the data set holds already, and their bytes."""

    def __init__(self) -> None:
        self._outputs = Memo()
        self._contents = Memo()

    def has(self, record: Record) -> bool:
        """Whether this very output is in the data set."""
        return self._outputs.get(_key(record["request_id"], record["output"])) is not None

    def remember(self, record: Record, number: int) -> None:
        """Take in an item of an earlier round."""
        self._outputs.put(_key(record["request_id"], record["output"]), number)
        self.take(record, number)

    def twin(self, record: Record) -> int | None:
        """The number of the item with the same bytes."""
        return self._contents.get(_key_of_hash(record["sha256"]))

    def take(self, record: Record, number: int) -> None:
        self._contents.put(_key_of_hash(record["sha256"]), number)

    def close(self) -> None:
        self._outputs.close()
        self._contents.close()


class Reviews:
    """The latest review mark of every output of a run folder."""

    def __init__(self, folder: RunFolder) -> None:
        self._marks = Memo()
        for output, mark in each_mark(folder):
            self._marks.put(_key(*output), _MARKS.index(mark))

    def of(self, row_id: str, file: str, sha256: str) -> str:
        """accepted, rejected, unsure, or empty."""
        number = self._marks.get(_key(row_id, file, sha256))
        return _MARKS[number] if number else ""

    def close(self) -> None:
        self._marks.close()


def _key(*words: object) -> int:
    text = "\0".join(map(str, words)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), signed=True)


def _key_of_hash(sha256: str) -> int:
    return int.from_bytes(bytes.fromhex(sha256[:16]), signed=True)
