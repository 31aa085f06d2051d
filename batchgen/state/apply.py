"""Taking the rows of a judged manifest into the state file, and starting new attempts at them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from batchgen.core.row import json_encoder
from batchgen.state.renewal import REQUEST_COLUMNS, REQUEST_JSON, renew, with_seed_of
from batchgen.state.staging import Staging

_in_json = json_encoder()

MAY_HAVE_BEEN_SENT = "rows_may_have_been_sent"
"""Left by a repair that could not find all that was accepted: rows that the next whole manifest brings are in doubt."""


def enrol(
    state: sqlite3.Connection,
    scratch: Staging,
    *,
    partial: bool,
    rerun_changed: bool,
    keep_changed: bool,
    only: Collection[str] | None = None,
) -> None:
    """Take the rows of *scratch*, which is attached, into *state*, inside the caller's transaction.

    Never-accepted rows are updated in place. With *rerun_changed*, a changed row that was accepted gets a new
    attempt, once its live one has ended; a doubtful one never; of *only* those rows, if any are named. With
    *keep_changed* it stays as it was paid for.
    The rows of a *partial* manifest that failed keep their edits for the attempt that follows. What asks for the same
    as before is worded as it now stands in the manifest, whatever becomes of changed rows.
    """
    if not partial and scratch.source is not None:
        _keep_meta(state, manifest_path=scratch.source)
    if scratch.unchanged:
        _unplace_who_left(state)
        start_queued(state)
        _keep_meta(state, enrolment=_next_enrolment(state))
        return
    if not partial:
        _note_who_left(state)
        _move_seen(state)
    _update_known(state)
    renew(state, scratch, partial=partial)
    if not keep_changed:
        _update_unsent(state)
        _queue(state, "jobs.state IN ('failed', 'cancelled')" if partial else "jobs.billed = 'no'")
    if rerun_changed:
        _queue_changed(state, only)
    _insert_new(state, "in_doubt" if _meta(state, MAY_HAVE_BEEN_SENT) else "pending")
    if not partial:
        state.execute("DELETE FROM meta WHERE name = ?", (MAY_HAVE_BEEN_SENT,))
    state.execute(
        "INSERT OR REPLACE INTO input_files SELECT path, size_bytes, mtime_ns, sha256 FROM scratch.scratch_files"
    )
    start_queued(state)
    if not partial and scratch.recalled is None:  # checked by other schemas, or by other rules
        state.execute("UPDATE rows SET digest = NULL WHERE digest IS NOT NULL")
    _keep_digests(state, partial)
    _keep_meta(state, enrolment=_next_enrolment(state))
    if not partial:
        _keep_meta(state, schemas=json.dumps(scratch.schemas, sort_keys=True))
    _keep_manifest(state, None if partial else scratch.manifest)


def _keep_manifest(state: sqlite3.Connection, manifest: str | None) -> None:
    """Remember by what the manifest is known as a whole, if none of its rows would be read again for itself."""
    read_again = "SELECT 1 FROM rows WHERE digest IS NULL AND position IS NOT NULL LIMIT 1"
    if manifest is None or state.execute(read_again).fetchone() is not None:
        state.execute("DELETE FROM meta WHERE name = 'manifest'")
    else:
        _keep_meta(state, manifest=manifest)


def _keep_meta(state: sqlite3.Connection, **values: str) -> None:
    state.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())


def _next_enrolment(state: sqlite3.Connection) -> str:
    return str(int(_meta(state, "enrolment") or 0) + 1)


def _meta(state: sqlite3.Connection, name: str) -> str | None:
    found = state.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if found is None else str(found[0])


def _note_who_left(state: sqlite3.Connection) -> None:
    gone = "row_id NOT IN (SELECT row_id FROM scratch.scratch) AND key NOT IN (SELECT key FROM scratch.seen)"
    state.execute(f"UPDATE rows SET position = NULL WHERE position IS NOT NULL AND {gone}")
    _unplace_who_left(state)


def _unplace_who_left(state: sqlite3.Connection) -> None:
    """Rows that have left wait no longer, not even for an attempt that a `retry` began and did not send."""
    state.execute(
        "UPDATE jobs SET position = NULL WHERE state = 'pending' AND position IS NOT NULL AND key IN "
        "(SELECT key FROM rows WHERE position IS NULL)"
    )


def _move_seen(state: sqlite3.Connection) -> None:
    """Rows that are as they were may stand in another place."""
    state.execute(
        "UPDATE rows SET position = s.position, source = s.source, line = s.line FROM scratch.seen AS s "
        "WHERE rows.key = s.key AND (rows.position, rows.line, rows.source) IS NOT (s.position, s.line, s.source)"
    )


def _keep_digests(state: sqlite3.Connection, partial: bool) -> None:
    """Remember by what each row of the manifest is known, if its latest attempt asks for just that.

    A *partial* manifest is not what rows are read from the next time: its rows keep their digests, or lose them.
    """
    digest = "rows.digest" if partial else "s.digest"
    of_same = "rows.inputs_expire_at" if partial else "s.inputs_expire_at"  # `renew` chose between two wordings
    expiry = f"CASE WHEN jobs.fingerprint = s.fingerprint THEN {of_same} ELSE s.inputs_expire_at END"
    state.execute(
        f"UPDATE rows SET digest = CASE WHEN jobs.fingerprint = s.fingerprint THEN {digest} END, "
        f"local_files = s.local_files, inputs_expire_at = {expiry} FROM scratch.scratch AS s, jobs "
        "WHERE rows.row_id = s.row_id AND jobs.key = rows.key AND jobs.latest"
    )


def _update_known(state: sqlite3.Connection) -> None:
    """Place, priority and notes follow the manifest; they are not part of the request."""
    state.execute(
        "UPDATE rows SET position = s.position, priority = s.priority, meta = s.meta, note = s.note, "
        "source = s.source, line = s.line, explicit_id = s.explicit_id FROM scratch.scratch AS s "
        "WHERE rows.row_id = s.row_id AND (rows.position, rows.priority, rows.meta, rows.note, rows.source, "
        "rows.line) IS NOT (s.position, s.priority, s.meta, s.note, s.source, s.line)"
    )
    state.execute(  # a change that was taken back is no change
        "UPDATE rows SET next_request = NULL FROM scratch.scratch AS s, jobs WHERE rows.next_request IS NOT NULL "
        "AND rows.row_id = s.row_id AND jobs.key = rows.key AND jobs.latest AND jobs.fingerprint = s.fingerprint "
        f"AND {_ASKS_FOR_ANOTHER}"
    )
    state.execute(
        "UPDATE jobs SET position = rows.position, priority = rows.priority FROM rows "
        "WHERE jobs.key = rows.key AND jobs.state = 'pending' "
        "AND (jobs.position, jobs.priority) IS NOT (rows.position, rows.priority)"
    )


_ASKS_FOR_ANOTHER = "json_extract(rows.next_request, '$.fingerprint') <> jobs.fingerprint"


def _update_unsent(state: sqlite3.Connection) -> None:
    """What was never accepted becomes what the manifest asks for."""
    state.execute(
        f"UPDATE jobs SET ({REQUEST_COLUMNS}) = (s.model, s.input, s.files, s.fingerprint, s.outputs_asked, s.units) "
        "FROM scratch.scratch AS s JOIN rows USING (row_id) "
        "WHERE jobs.key = rows.key AND jobs.latest AND jobs.state = 'pending' AND jobs.fingerprint <> s.fingerprint"
    )


def _queue_changed(state: sqlite3.Connection, only: Collection[str] | None) -> None:
    _queue(state, "jobs.state NOT IN ('pending', 'in_doubt', 'submitting')")
    named = "" if only is None else "AND rows.row_id IN (SELECT value FROM json_each(:only))"
    state.execute(
        "UPDATE rows SET next_request = json_set(next_request, '$.start', 1) FROM jobs "
        f"WHERE rows.next_request IS NOT NULL AND jobs.key = rows.key AND jobs.latest AND {_ASKS_FOR_ANOTHER} {named}",
        {"only": json.dumps([*(only or ())])},
    )


def _queue(state: sqlite3.Connection, where: str) -> None:
    """Keep the changed request of rows whose latest attempt is *where*, for their next attempt."""
    state.execute(
        f"UPDATE rows SET next_request = {REQUEST_JSON} FROM scratch.scratch AS s, jobs "
        f"WHERE rows.row_id = s.row_id AND jobs.key = rows.key AND jobs.latest "
        f"AND jobs.fingerprint <> s.fingerprint AND {where}"
    )


def _insert_new(state: sqlite3.Connection, first_state: str) -> None:
    state.execute(
        "INSERT INTO rows (row_id, folded, explicit_id, position, priority, meta, note, source, line) "
        "SELECT row_id, folded, explicit_id, position, priority, meta, note, source, line FROM scratch.scratch AS s "
        "WHERE NOT EXISTS (SELECT 1 FROM rows WHERE rows.row_id = s.row_id) ORDER BY position"
    )
    state.execute(
        f"INSERT INTO jobs (key, n, state, reason, position, priority, {REQUEST_COLUMNS}) "
        "SELECT rows.key, 1, :state, :reason, s.position, s.priority, s.model, s.input, s.files, s.fingerprint, "
        "s.outputs_asked, s.units FROM scratch.scratch AS s JOIN rows USING (row_id) "
        "WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.key = rows.key) ORDER BY s.position",
        {"state": first_state, "reason": None if first_state == "pending" else _SINCE},
    )


_INPUT, _FINGERPRINT = (REQUEST_COLUMNS.split(", ").index(name) for name in ("input", "fingerprint"))
_SINCE = "the folder's state was lost or older than its rows: it may have been sent since"

_ENDED = "('collected', 'failed', 'cancelled')"


def start_queued(state: sqlite3.Connection, key: int | None = None) -> int:
    """Start a new attempt for every row (or the one with *key*) whose changed request was waiting for its end."""
    here = "" if key is None else f"AND rows.key = {int(key)}"
    keys = [
        found
        for (found,) in state.execute(
            # Rows first: there are few such, and SQLite would go through all jobs.
            f"SELECT rows.key FROM rows CROSS JOIN jobs ON jobs.key = rows.key AND jobs.latest "
            f"WHERE rows.next_request IS NOT NULL AND json_extract(rows.next_request, '$.start') "
            f"AND jobs.state IN {_ENDED} {here}"
        )
    ]
    return start_attempts(state, keys)


def start_attempts(state: sqlite3.Connection, keys: Iterable[int], seeds: Mapping[int, Any] | None = None) -> int:
    """A new `pending` attempt for each of *keys*, with the changed or newly worded request where one was kept.

    Otherwise it repeats the latest attempt. What is no other request gets the seed that *seeds* has for the key. The
    fingerprint stays that of the manifest's request, so that another seed is no change of the row.
    """
    started = 0
    for key in keys:
        request = state.execute("SELECT next_request FROM rows WHERE key = ?", (key,)).fetchone()[0]
        old = state.execute(f"SELECT n, {REQUEST_COLUMNS} FROM jobs WHERE key = ? AND latest", (key,)).fetchone()
        n, *repeated = old
        values = [json.loads(request)[name] for name in REQUEST_COLUMNS.split(", ")] if request else repeated
        if values[_FINGERPRINT] == repeated[_FINGERPRINT]:
            values[_INPUT] = with_seed_of(values[_INPUT], repeated[_INPUT], n)
            if seeds is not None and key in seeds:
                values[_INPUT] = _in_json(json.loads(values[_INPUT]) | {"seed": seeds[key]})
        state.execute("UPDATE jobs SET latest = 0 WHERE key = ? AND latest", (key,))
        state.execute(
            f"INSERT INTO jobs (key, n, state, position, priority, {REQUEST_COLUMNS}) "
            "SELECT key, ?, 'pending', COALESCE(position, 1), priority, ?, ?, ?, ?, ?, ? FROM rows WHERE key = ?",
            (n + 1, *values, key),
        )
        state.execute("UPDATE rows SET next_request = NULL WHERE key = ?", (key,))
        started += 1
    return started
