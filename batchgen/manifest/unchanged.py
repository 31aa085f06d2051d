"""Rows that the run folder has exactly as the manifest gives them, known by what is written before it is understood.

A record's digest covers its text as it stands in the file and all that decides what that text means, except for the
models' schemas. A record whose digest is known is not parsed, typed or checked again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from batchgen.core.row import FINGERPRINT_VERSION
from batchgen.core.version import __version__

Lookup: TypeAlias = Callable[[bytes], int | None]
"""From the digest of a record to the key of the row that the folder has for it, each row once; None if it is new."""

_DIGEST_BYTES = 16


class UnchangedRow(NamedTuple):
    """A row that is as the folder has it: its *key* there, and its *line* in *source*."""

    key: int
    source: str
    line: int


class RecordDigests:
    """What is remembered of records. Without *recall* they are given digests, and none is known."""

    def __init__(self, recall: Lookup | None = None) -> None:
        self.recall = recall
        self._begun = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self._begun.update(_spelled((__version__, FINGERPRINT_VERSION)))

    def of(self, *context: object, recalls: bool = True) -> RecordDigests:
        """The memory of records whose meaning hangs on *context* as well."""
        narrower = RecordDigests(self.recall if recalls else None)
        narrower._begun = self._begun.copy()
        narrower._begun.update(_spelled(context))
        return narrower

    def digest(self, written: bytes) -> bytes:
        """The digest of one record as it is *written*."""
        begun = self._begun.copy()
        begun.update(written)
        return begun.digest()

    def key(self, digest: bytes) -> int | None:
        """The key of the row that the folder has for a record, the first time that it is asked for."""
        return None if self.recall is None else self.recall(digest)


def _spelled(context: object) -> bytes:
    return repr(context).encode("utf-8", "surrogatepass")
