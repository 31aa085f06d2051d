"""What the state file says. Reads only, on a connection that cannot write, also while a run is on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from batchgen.core.job import RESERVED, Job, State
from batchgen.core.money import Money
from batchgen.state import generation
from batchgen.state.counters import AS_TALLIED
from batchgen.state.diff import Comparison, Scope
from batchgen.state.neighbours import paid_elsewhere
from batchgen.state.readonly import no_run_folder, opened_for_reading, why_unreadable
from batchgen.state.staging import Staging
from batchgen.state.tables import (
    BOOK_COLUMNS,
    HAS_BLANK,
    JOB_COLUMNS,
    TALLIED_VERSION,
    StateUnusable,
    create,
    job_from_record,
)
from batchgen.state.unchanged import UnchangedRows
from batchgen.storage.paths import RunFolder, refuse_planted

_MODELS = "SELECT model FROM tally GROUP BY model HAVING SUM(jobs) > 0"
_JOBS = f"SELECT {JOB_COLUMNS} FROM jobs JOIN rows USING (key)"

_IS_SHOWN = "jobs.latest AND (jobs.state <> 'pending' OR jobs.position IS NOT NULL)"
_PLACE = "COALESCE(rows.position, 1000000000000 + rows.key)"  # rows that have left the manifest come after all others
_SHOWN = f"SELECT {JOB_COLUMNS}, {_PLACE} FROM jobs JOIN rows USING (key) WHERE {_IS_SHOWN}"
_ENDED_AT = "CASE state WHEN 'collected' THEN COALESCE(collected_at, ended_at) ELSE ended_at END"
_HAS_ENDED = "latest AND state IN ('collected', 'failed', 'cancelled')"

_WITHOUT_LINKS = JOB_COLUMNS.replace("jobs.outputs,", "NULL,")

# The SQL of `budget.money`, for sums over attempts; a test keeps the two equal.
_LIVE_OR_DOUBTFUL = "state IN ('submitting', 'in_doubt', 'submitted', 'ready')"
_SUMS = f"""
  COALESCE(SUM(price_micro) FILTER (WHERE NOT {_LIVE_OR_DOUBTFUL} AND billed <> 'possibly' AND {{counts}}), 0),
  COALESCE(SUM(price_micro) FILTER (WHERE {_LIVE_OR_DOUBTFUL} AND {{counts}}), 0),
  COALESCE(SUM(price_micro) FILTER (WHERE billed = 'possibly' AND {{counts}}), 0),
  COALESCE(SUM(unpriced) FILTER (WHERE {{counts}}), 0)
""".format(counts="state <> 'pending' AND billed <> 'no'")


def read_only(path: Path) -> sqlite3.Connection:
    """A connection to the state file at *path* that cannot write. Raises StateUnusable if it is unreadable."""
    refuse_planted(RunFolder(path.parent))
    try:
        connection = opened_for_reading(path)
        connection.execute("SELECT value FROM meta LIMIT 1").fetchone()
        if connection.execute("PRAGMA user_version").fetchone()[0] < TALLIED_VERSION:
            connection.executescript(AS_TALLIED)
    except sqlite3.Error as error:
        raise StateUnusable(why_unreadable(path, error)) from None
    return connection


class ChangeMark(NamedTuple):
    """The last record and the last attempt that were looked at."""

    seq: int = -1
    attempt: int = -1


class Reader:
    """Questions to one state file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _ask(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Every line of the answer. Raises StateUnusable for what a run may meet while it is on."""
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise StateUnusable(f"the state file cannot be read: {error}") from None

    def meta(self, name: str) -> str | None:
        found = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def budget_micro(self) -> int | None:
        value = self.meta("budget_micro")
        return None if value is None else int(value)

    def counts(self, only: Collection[str] | None = None) -> dict[State, int]:
        """Rows by state, of *only* if given. Rows that were never sent and have left the manifest do not count."""
        if only is None:
            sql = "SELECT state, SUM(jobs) FROM tally WHERE latest AND placed GROUP BY state"
        else:
            sql = (
                "SELECT state, COUNT(*) FROM rows JOIN jobs USING (key) WHERE row_id IN (SELECT value FROM "
                "json_each(:only)) AND latest AND (state <> 'pending' OR jobs.position IS NOT NULL) GROUP BY state"
            )
        found = self._connection.execute(sql, {"only": json.dumps([*only])} if only is not None else {})
        counts = dict.fromkeys(State, 0)
        counts.update((State(state), count) for state, count in found)
        return counts

    def money(self) -> Money:
        return Money(*self._connection.execute(f"SELECT {_SUMS} FROM tally").fetchone())

    def by_model(self) -> list[tuple[str, int, int, Money]]:
        """(model, attempts, files, their money) of every attempt that was sent."""
        found = self._connection.execute(
            "SELECT model, SUM(jobs), COALESCE((SELECT SUM(files) FROM saved_files AS saved "
            f"WHERE saved.model = tally.model), 0), {_SUMS} FROM tally "
            "WHERE state <> 'pending' GROUP BY model HAVING SUM(jobs) > 0"
        )
        return [(model, attempts, files, Money(*sums)) for model, attempts, files, *sums in found]

    def jobs(self, states: Collection[State], only: Collection[str] | None = None) -> Iterator[Job]:
        """The latest attempts in *states*, in manifest order, of the rows *only* if given."""
        sql = f"{_JOBS} WHERE jobs.latest AND jobs.state IN (SELECT value FROM json_each(?))"
        parameters: list[Any] = [json.dumps([*states])]
        if RESERVED.issuperset(states):  # the very words of the index, or all attempts there ever were are looked at
            sql += " AND jobs.state IN ('submitting', 'in_doubt', 'submitted', 'ready')"
        if only is not None:
            sql += " AND rows.row_id IN (SELECT value FROM json_each(?))"
            parameters.append(json.dumps([*only]))
        for record in self._connection.execute(f"{sql} ORDER BY rows.position, rows.key", parameters):
            yield job_from_record(record)

    def collected(self) -> Iterator[tuple[Job, bool]]:
        """Every attempt that brought files, each with whether it is its row's latest, in manifest order and then that
        of the attempts, without the links these came from.
        """
        found = self._connection.execute(
            f"SELECT {_WITHOUT_LINKS}, jobs.latest FROM jobs JOIN rows USING (key) "
            "WHERE jobs.state = 'collected' ORDER BY rows.position, rows.key, jobs.n"
        )
        for *record, latest in found:
            yield job_from_record(tuple(record)), bool(latest)

    @property
    def has_collected(self) -> bool:
        """Whether any attempt brought files."""
        found = self._ask("SELECT 1 FROM tally WHERE state = 'collected' AND jobs > 0 LIMIT 1")
        return bool(found)

    def incomplete(self, only: Collection[str] | None = None) -> list[Job]:
        """Collected rows that lack an output, of the rows *only* if given; their `reason` says which, and why."""
        sql = f"{_JOBS} WHERE jobs.state = 'collected' AND jobs.reason IS NOT NULL AND jobs.latest"
        if only is not None:
            sql += " AND rows.row_id IN (SELECT value FROM json_each(:only))"
        found = self._ask(f"{sql} ORDER BY rows.position, rows.key", {"only": json.dumps([*(only or ())])})
        return [job_from_record(record) for record in found]

    def collected_names(self) -> tuple[list[str], list[str]]:
        """Every field of the requests, and every column beside them, that `collected` attempts have."""
        sql = (
            "SELECT DISTINCT named.key FROM jobs JOIN rows USING (key), json_each({}) AS named "
            "WHERE jobs.state = 'collected' ORDER BY named.key"
        )
        fields, meta = ([name for (name,) in self._ask(sql.format(text))] for text in ("jobs.input", "rows.meta"))
        return fields, meta

    def requests(self) -> Iterator[tuple[str, str]]:
        """Every row's id and the fingerprint of its request, in manifest order."""
        yield from self._connection.execute(
            "SELECT row_id, fingerprint FROM jobs JOIN rows USING (key) WHERE latest ORDER BY rows.position, rows.key"
        )

    def failures(self) -> list[tuple[str, int]]:
        """Why rows failed, and how many for each reason."""
        return self._ask(
            "SELECT COALESCE(reason, ''), COUNT(*) FROM jobs WHERE latest AND state = 'failed' "
            "GROUP BY 1 ORDER BY 2 DESC, 1"
        )

    def last_ended(self, most: int) -> list[Job]:
        """The rows that came to their end last, newest first."""
        sql = f"{_JOBS} WHERE jobs.latest AND jobs.state IN ('collected', 'failed', 'cancelled')"
        found = self._connection.execute(f"{sql} ORDER BY jobs.seq DESC LIMIT ?", (most,)) if most else ()
        return [job_from_record(record) for record in found]

    def saved_bytes(self) -> int:
        """What all files of the row folders come to."""
        found = self._connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM saved_files WHERE latest").fetchone()
        return int(found[0])

    def blank_files(self) -> int:
        """How many files of the row folders have one colour."""
        found = self._connection.execute(
            "SELECT COUNT(*) FROM jobs, json_each(jobs.saved) WHERE jobs.latest "
            f"AND {HAS_BLANK} AND json_extract(json_each.value, '$.blank')"
        )
        return int(found.fetchone()[0])

    def sent(self) -> Iterator[Job]:
        """Every attempt that was ever sent, of all rows, in manifest order, for the books: its request is left out."""
        found = self._connection.execute(
            f"SELECT {BOOK_COLUMNS} FROM jobs JOIN rows USING (key) WHERE jobs.state <> 'pending' "
            "ORDER BY rows.position IS NULL, rows.position, rows.key, jobs.n"
        )
        return map(job_from_record, found)

    def attempts(self, row_id: str) -> list[Job]:
        """Every attempt at one row, oldest first."""
        return [
            job_from_record(record) for record in self._ask(f"{_JOBS} WHERE rows.row_id = ? ORDER BY jobs.n", [row_id])
        ]

    def next_request(self, key: int) -> dict[str, Any] | None:
        """What the next attempt at the row of *key* will ask for, where that is not what the latest one did."""
        found = self._ask("SELECT next_request FROM rows WHERE key = ?", [key])
        return json.loads(found[0][0]) if found and found[0][0] else None

    def expired_inputs(self, row_ids: Collection[str], now: float) -> list[str]:
        """Which of these rows have signed input URLs that stopped working before *now*, in manifest order."""
        found = self._ask(
            "SELECT row_id FROM rows WHERE inputs_expire_at <= ? AND row_id IN (SELECT value FROM json_each(?)) "
            "ORDER BY position, key",
            [now, json.dumps([*row_ids])],
        )
        return [row_id for (row_id,) in found]

    def job_of(self, request_id: str) -> Job | None:
        """The attempt that holds *request_id*, of any row."""
        found = self._ask(f"{_JOBS} WHERE jobs.request_id = ? LIMIT 1", [request_id])
        return job_from_record(found[0]) if found else None

    def row_of(self, request_id: str) -> str | None:
        """The row that holds *request_id*."""
        found = self._ask("SELECT row_id FROM jobs JOIN rows USING (key) WHERE request_id = ? LIMIT 1", [request_id])
        return str(found[0][0]) if found else None

    def next_pending(
        self,
        limit: int,
        now: float,
        most_put_off_s: float,
        but: Collection[int],
        closed_models: Collection[str],
        only: Collection[str] | None,
    ) -> list[Job]:
        """Up to *limit* rows that may be sent now, by priority and then manifest order.

        A row that seems put off for longer than *most_put_off_s* may be, too: the clock was set back since then.
        Left out are rows with a key in *but*, of a model in *closed_models*, or not among *only*.
        """
        sql = (
            f"{_JOBS} WHERE jobs.state = 'pending' AND jobs.position IS NOT NULL "
            "AND (again_at IS NULL OR again_at <= ? OR again_at > ?)"
        )
        parameters: list[Any] = [now, now + most_put_off_s]
        for column, left_out in (("jobs.key", but), ("jobs.model", closed_models)):
            if left_out:
                sql += f" AND {column} NOT IN (SELECT value FROM json_each(?))"
                parameters.append(json.dumps([*left_out]))
        if only is not None:
            sql += " AND rows.row_id IN (SELECT value FROM json_each(?))"
            parameters.append(json.dumps([*only]))
        sql += " ORDER BY jobs.priority DESC, jobs.position LIMIT ?"
        return [job_from_record(record) for record in self._ask(sql, [*parameters, limit])]

    def each_pending(self, only: Collection[str] | None = None) -> Iterator[Job]:
        """Every row that waits to be sent, in the order of sending."""
        sql = f"{_JOBS} WHERE jobs.state = 'pending' AND jobs.position IS NOT NULL"
        if only is not None:
            sql += " AND rows.row_id IN (SELECT value FROM json_each(:only))"
        sql += " ORDER BY jobs.priority DESC, jobs.position"
        for record in self._connection.execute(sql, {"only": json.dumps([*(only or ())])}):
            yield job_from_record(record)

    def pending(self, only: Collection[str] | None = None) -> int:
        """How many rows wait to be sent."""
        sql = "SELECT COUNT(*) FROM jobs JOIN rows USING (key) WHERE state = 'pending' AND jobs.position IS NOT NULL"
        if only is None:
            return int(self._connection.execute(sql).fetchone()[0])
        sql += " AND rows.row_id IN (SELECT value FROM json_each(?))"
        return int(self._connection.execute(sql, (json.dumps([*only]),)).fetchone()[0])

    def units_left(self, only: Collection[str] | None = None) -> dict[str, int]:
        """Outputs or seconds of rows that have not ended and are not in doubt, by model."""
        going = "state IN ('submitting', 'submitted', 'ready', 'pending')"
        if only is None:
            sql = f"SELECT model, SUM(units) FROM tally WHERE latest AND placed AND {going} GROUP BY model"
            return dict(self._ask(f"{sql} HAVING SUM(jobs) > 0"))
        sql = (
            "SELECT jobs.model, SUM(jobs.units) FROM rows JOIN jobs USING (key) WHERE row_id IN (SELECT value FROM "
            f"json_each(?)) AND jobs.latest AND {going} AND (state <> 'pending' OR jobs.position IS NOT NULL)"
        )
        return dict(self._ask(f"{sql} GROUP BY jobs.model", [json.dumps([*only])]))

    def models(self) -> list[str]:
        """Every model that rows of this folder ask for."""
        return [model for (model,) in self._connection.execute(f"{_MODELS} ORDER BY model")]

    def input_files(self) -> Iterator[tuple[str, int, int, str]]:
        """Known local input files: path, size in bytes, mtime in ns, sha256."""
        yield from self._connection.execute("SELECT path, size_bytes, mtime_ns, sha256 FROM input_files")

    def known_hash(self, path: str, size_bytes: int, mtime_ns: int) -> str | None:
        """The content hash of a local file that has not changed since it was read."""
        found = self._connection.execute(
            "SELECT sha256 FROM input_files WHERE path = ? AND size_bytes = ? AND mtime_ns = ?",
            (path, size_bytes, mtime_ns),
        ).fetchone()
        return None if found is None else str(found[0])

    def was_sent(self, row_id: str, fingerprint: str) -> bool:
        """Whether this very request was sent under this id already."""
        found = self._connection.execute(
            "SELECT 1 FROM rows JOIN jobs ON jobs.key = rows.key AND jobs.latest "
            "WHERE row_id = ? AND fingerprint = ? AND state <> 'pending'",
            (row_id, fingerprint),
        )
        return found.fetchone() is not None

    def row_ids(self) -> list[str]:
        """The rows of the manifest that was taken in last."""
        found = self._connection.execute("SELECT row_id FROM rows WHERE position IS NOT NULL ORDER BY position")
        return [row_id for (row_id,) in found]

    @property
    def is_empty(self) -> bool:
        """Whether no manifest was ever taken in."""
        return self._connection.execute("SELECT 1 FROM rows LIMIT 1").fetchone() is None

    def unpriced(self) -> Iterator[Job]:
        """Every attempt that counts as nothing because nobody knew its price, of all rows, in manifest order."""
        sql = (
            f"{_JOBS} WHERE jobs.state <> 'pending' AND jobs.billed IS NOT 'no' "
            "AND jobs.cost_micro IS NULL AND jobs.estimate_micro IS NULL ORDER BY rows.position, rows.key, jobs.n"
        )
        for record in self._connection.execute(sql):
            yield job_from_record(record)

    def highest_unit_prices(self) -> dict[str, int]:
        """The most that one output or second of each model was measured to cost, whenever that became known."""
        return dict(self._connection.execute("SELECT model, highest_micro FROM unit_prices ORDER BY model"))

    # ── one manifest against the folder ─────────────────────────────────────────────────────────────────

    def comparison(self, scratch: Staging, scope: Scope) -> Comparison:
        return Comparison(self._connection, scratch, scope)

    def paid_elsewhere(self, scratch: Staging, scope: Scope, states: Collection[Path], base: str) -> dict[Path, int]:
        """How many rows that are new here each of *states* was paid for; see `neighbours`."""
        return paid_elsewhere(self._connection, scratch, scope, states, base)

    def unchanged_rows(self) -> UnchangedRows:
        """The rows as they are now, to be found by their digests until `end_reading`."""
        return UnchangedRows(self._connection, self.input_files())

    def kept_schemas(self) -> dict[str, str]:
        """The digest of each model's schema by which the folder's rows were checked."""
        schemas: dict[str, str] = json.loads(self.meta("schemas") or "{}")
        return schemas

    def queued(self) -> set[int]:
        """The keys of rows whose next attempt begins as soon as the one that is on has ended."""
        found = self._connection.execute(
            "SELECT key FROM rows WHERE next_request IS NOT NULL AND json_extract(next_request, '$.start')"
        )
        return {key for (key,) in found}

    def generation(self) -> generation.Generation:
        return generation.of_state(self._connection)

    # ── the page of the run ─────────────────────────────────────────────────────────────────────────────

    def begin_view(self) -> None:
        """From now until `end_view` all answers are of one moment, though a run may go on."""
        self._connection.execute("BEGIN")

    def end_view(self) -> None:
        self._connection.rollback()

    def version(self) -> int:
        """A number that is another whenever somebody wrote meanwhile."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def shown(self) -> Iterator[tuple[Job, int]]:
        """Every row with its place, which grows in manifest order, in that order."""
        for *record, place in self._connection.execute(f"{_SHOWN} ORDER BY {_PLACE}"):
            yield job_from_record(tuple(record)), place

    def shown_of(self, keys: Sequence[int]) -> list[tuple[Job, int]]:
        """The rows of *keys* with their places, in the order of *keys*."""
        sql = f"{_SHOWN} AND jobs.key IN (SELECT value FROM json_each(?))"
        by_key = {
            record[0]: (job_from_record(tuple(record)), place)
            for *record, place in self._connection.execute(sql, (json.dumps(keys),))
        }
        return [by_key[key] for key in keys if key in by_key]

    def newest(self, most: int) -> list[int]:
        """The keys of the rows of which something happened last, *most* of them at most."""
        sql = f"SELECT key FROM jobs WHERE {_IS_SHOWN} ORDER BY seq DESC, rowid LIMIT ?"
        return [key for (key,) in self._connection.execute(sql, (most,))]

    def changed_since(self, mark: ChangeMark) -> tuple[list[int], ChangeMark]:
        """The keys of the rows that changed since, what happened last first, and the mark from which to go on."""
        # `seq` grows with every record and `rowid` with every new attempt: what changed is one comparison.
        sql = f"SELECT key, seq, rowid FROM jobs WHERE {_IS_SHOWN} AND (seq > ? OR rowid > ?) ORDER BY seq DESC, rowid"
        changed = self._connection.execute(sql, mark).fetchall()
        if not changed:
            return [], mark
        keys, seqs, attempts = zip(*changed, strict=True)
        return list(keys), ChangeMark(max(mark.seq, *seqs), max(mark.attempt, *attempts))

    def files_by_kind(self) -> list[tuple[str, int, int]]:
        """(kind, files, bytes) of the row folders; kinds as in media types: image, video, audio."""
        return self._connection.execute(
            "SELECT substr(media_type, 1, instr(media_type, '/') - 1), COUNT(*), SUM(bytes) FROM ("
            "SELECT json_extract(value, '$.media_type') AS media_type, json_extract(value, '$.bytes') AS bytes "
            "FROM jobs, json_each(jobs.saved) WHERE jobs.latest) GROUP BY 1"
        ).fetchall()

    def began_at(self) -> float | None:
        """When the first of the latest attempts was begun, in Unix seconds."""
        began_at: float | None = self._connection.execute("SELECT MIN(intent_at) FROM jobs WHERE latest").fetchone()[0]
        return began_at

    def ended_at(self) -> float | None:
        """When the last row ended, in Unix seconds."""
        sql = f"SELECT MAX({_ENDED_AT}) FROM jobs WHERE {_HAS_ENDED}"
        ended_at: float | None = self._connection.execute(sql).fetchone()[0]
        return ended_at

    def ends(self) -> Iterator[tuple[float, bool]]:
        """When each row ended, in Unix seconds and this order, and whether it was collected."""
        sql = f"SELECT {_ENDED_AT}, state = 'collected' FROM jobs WHERE {_HAS_ENDED} ORDER BY 1"
        return ((at, bool(is_good)) for at, is_good in self._connection.execute(sql) if at is not None)

    def job_times_s(self) -> Iterator[float]:
        """How long each collected row was at the provider."""
        sql = "SELECT ended_at - submitted_at FROM jobs WHERE latest AND state = 'collected'"
        return (took_s for (took_s,) in self._connection.execute(sql) if took_s is not None)

    def close(self) -> None:
        self._connection.close()


def open_reader(folder: RunFolder) -> Reader:
    """What the state file of *folder* says. Raises StateUnusable if it has none, or one that cannot be read."""
    if not folder.state.exists():
        raise no_run_folder(folder)
    return Reader(read_only(folder.state))


def empty_reader() -> Reader:
    """What the state of a run folder that does not exist yet would say."""
    connection = sqlite3.connect("file::memory:", uri=True, check_same_thread=False)
    create(connection)
    return Reader(connection)
