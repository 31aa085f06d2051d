"""How far a run folder had come, in a file beside its state: an older state that is put back does not know it.

The folder is opened for writing again and again; each opening has a number, in the state and in the file. In a folder
that was closed, the file also holds when its folders of outputs were last changed: as long as they were not, nothing
in them has to be looked at.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from batchgen.storage.paths import RunFolder


@dataclass(frozen=True, slots=True)
class Generation:
    """*folder* is the run folder's own name, made once; *number* counts its openings, *seq* the moves of its rows.

    *accepted* is how many attempts were accepted, or may have been. *changed_ns* is when each folder of outputs
    was last changed, as long as nobody writes.
    """

    folder: str
    number: int
    seq: int
    accepted: int
    changed_ns: Mapping[str, int] | None = None

    def is_of(self, folder: RunFolder) -> bool:
        """Whether nothing in the folders of outputs has been added, removed or put back since this was written."""
        return self.changed_ns is not None and self.changed_ns == changed_ns(folder)


_META = "SELECT name, value FROM meta WHERE name IN ('folder', 'generation', 'journal_seq')"
_ACCEPTED = """SELECT COALESCE(SUM(jobs), 0) FROM tally
  WHERE state IN ('submitting', 'in_doubt', 'submitted', 'ready', 'collected')
    OR (state IN ('failed', 'cancelled') AND billed <> 'no')"""


def of_state(connection: sqlite3.Connection) -> Generation:
    """How far the state itself has come; a folder that was never opened by this version has number 0 and no name."""
    meta = dict(connection.execute(_META))
    accepted = connection.execute(_ACCEPTED).fetchone()[0]
    return Generation(meta.get("folder", ""), int(meta.get("generation", 0)), int(meta["journal_seq"]), int(accepted))


def beside(folder: RunFolder) -> Generation | None:
    """What the file beside the state says; None if there is none that can be read."""
    try:
        found = json.loads(folder.read_bytes(folder.generation))
        return Generation(**found)
    except (OSError, ValueError, TypeError):
        return None


def new_name() -> str:
    return secrets.token_hex(16)


def begin(connection: sqlite3.Connection) -> Generation:
    """The next opening of the folder, in its state."""
    before = of_state(connection)
    begun = replace(before, folder=before.folder or new_name(), number=before.number + 1)
    values = [("folder", begun.folder), ("generation", str(begun.number))]
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values)
    return begun


def keep(folder: RunFolder, generation: Generation) -> None:
    """Put *generation* beside the state of *folder*, on disk."""
    folder.write_whole(folder.generation, json.dumps(asdict(generation)).encode())


def keep_soon(folder: RunFolder, generation: Generation) -> None:
    """The same for now and then in a run, which has no time for the disk: a crash may leave the one before, or none."""
    part = folder.generation.with_name(folder.generation.name + ".part")
    with folder.writing(part) as stream:
        stream.write(json.dumps(asdict(generation)).encode())
    folder.replace(part, folder.generation)


def changed_ns(folder: RunFolder) -> dict[str, int]:
    """When names in each folder of outputs were last added or removed; a folder that is not there has 0.

    On POSIX that is the time no program can set back, as `cp -a` and `rsync -a` do with the other one.
    """
    changed = {}
    for place in folder.of_outputs:
        found = folder.stat(place)
        changed[place.name] = 0 if found is None else max(found.st_ctime_ns, found.st_mtime_ns)
    return changed
