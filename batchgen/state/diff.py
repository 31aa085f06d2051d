"""What enrolling a manifest would mean: its rows against those of the folder. Writes nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import astuple, dataclass
from typing import Any

from batchgen.state.staging import Staging, attached

# A row was accepted, or may have been, if its latest attempt is one of these.
PAID = """(jobs.state IN ('submitting', 'in_doubt', 'submitted', 'ready', 'collected')
  OR (jobs.state IN ('failed', 'cancelled') AND jobs.billed <> 'no'))"""
_BOTH = "scratch JOIN main.rows USING (row_id) JOIN main.jobs ON jobs.key = rows.key AND jobs.latest"
_NAMED = 20


@dataclass(frozen=True, slots=True)
class DiffCounts:
    """Rows of one model, or of all, by what enrolling them would mean.

    *new* ones are not in the folder yet, *waiting* ones were never accepted, *again* ended (or are live) and are
    asked for again, *paid* were accepted. *changed* says how many of these the manifest changed, *changed_paid* how
    many of the changed were accepted. *to_send*, *outputs* and *units* are what the run may send within its limits;
    *unbounded* says of how many of these nobody knows the units.
    """

    new: int = 0
    waiting: int = 0
    again: int = 0
    paid: int = 0
    changed: int = 0
    changed_paid: int = 0
    left: int = 0
    in_doubt: int = 0
    to_send: int = 0
    outputs: int = 0
    units: int = 0
    unbounded: int = 0


@dataclass(frozen=True, slots=True)
class ManifestDiff:
    """What enrolling a manifest would do, by model and in all. Row ids are named up to a limit, counts are whole."""

    models: Mapping[str, DiffCounts]
    changed_paid_ids: tuple[str, ...] = ()
    left_unnamed_paid: int = 0
    renamed: int = 0
    live: int = 0

    @property
    def all(self) -> DiffCounts:
        every = [astuple(rows) for rows in self.models.values()]
        return DiffCounts(*map(sum, zip(*every, strict=True))) if every else DiffCounts()

    @property
    def looks_like_an_edit(self) -> bool:
        """Accepted rows without an id left, or were renamed, and new rows came."""
        return self.all.new > 0 and (self.left_unnamed_paid > 0 or self.renamed > 0)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows a run may send: those of *only*, *limit* of them at most.

    *partial*: the manifest is a part of the folder's rows (its `failed.csv`): absent rows have not left, and
    those that failed are asked for again. *rerun_changed*: changed rows that were paid for are, too.
    """

    partial: bool = False
    rerun_changed: bool = False
    only: frozenset[str] | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A staged manifest beside the rows of a folder, within a scope. Every call asks anew, and writes nothing."""

    state: sqlite3.Connection
    scratch: Staging
    scope: Scope

    def diff(self) -> ManifestDiff:
        """What enrolling the manifest would do."""
        with attached(self.state, self.scratch):
            absent = "main.rows WHERE 0" if self.scratch.unchanged else _ABSENT
            self.state.execute(f"CREATE TEMP TABLE absent AS SELECT key FROM {absent}")
            try:
                return _diff(self.state, self.scope, self.scratch)
            finally:
                self.state.execute("DROP TABLE absent")

    def rows_within(self, unit_prices: Mapping[str, int], left_micro: int) -> int:
        """How many of the rows to send, in the order of sending, *left_micro* pays for; *unit_prices* are by model."""
        found = self._ask(
            "SELECT COUNT(*) FROM (SELECT SUM(units * prices.value) OVER (ORDER BY priority DESC, position "
            "ROWS UNBOUNDED PRECEDING) AS total FROM ({rows}) JOIN json_each(:prices) AS prices "
            "ON prices.key = model) WHERE total <= :left",
            prices=json.dumps(unit_prices),
            left=left_micro,
        )
        return int(found[0][0])

    def local_files_to_send(self) -> int:
        """How many local input files go with the rows to send."""
        return int(self._ask("SELECT SUM(local_files) FROM ({rows})")[0][0] or 0)

    def to_send_among(self, row_ids: Collection[str]) -> list[str]:
        """Which of *row_ids* are rows to send."""
        sql = "SELECT row_id FROM ({rows}) WHERE row_id IN (SELECT value FROM json_each(:ids))"
        return [row_id for (row_id,) in self._ask(sql, ids=json.dumps([*row_ids]))]

    def expiring_inputs(self, now: float, each_s: float) -> list[str]:
        """Rows to send whose signed input URLs stop working before their turn, if one is started every *each_s*."""
        found = self._ask(
            "SELECT row_id FROM (SELECT row_id, inputs_expire_at, "
            "ROW_NUMBER() OVER (ORDER BY priority DESC, position) - 1 AS before_it FROM ({rows})) "
            "WHERE inputs_expire_at <= :now + before_it * :each_s ORDER BY before_it",
            now=now,
            each_s=each_s,
        )
        return [row_id for (row_id,) in found]

    def _ask(self, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
        """The answer to *sql*, in which {rows} stands for the rows to send."""
        with attached(self.state, self.scratch):
            rows = _rows_to_send(self.scope, self.scratch)
            parameters["only"] = json.dumps([*(self.scope.only or ())])
            return self.state.execute(sql.format(rows=rows), parameters).fetchall()


_CHANGED = f"{_BOTH} WHERE jobs.fingerprint <> scratch.fingerprint"
_NEW = "scratch WHERE NOT EXISTS (SELECT 1 FROM main.rows WHERE rows.row_id = scratch.row_id)"
_ABSENT = (
    "main.rows WHERE rows.position IS NOT NULL AND NOT EXISTS (SELECT 1 FROM seen WHERE seen.key = rows.key) "
    "AND NOT EXISTS (SELECT 1 FROM scratch WHERE scratch.row_id = rows.row_id)"
)
_LEFT = "temp.absent JOIN main.rows USING (key) JOIN main.jobs ON jobs.key = rows.key AND jobs.latest"
_LIVE = "jobs.state IN ('submitting', 'in_doubt', 'submitted', 'ready')"  # as the index on them has it


def _diff(state: sqlite3.Connection, scope: Scope, scratch: Staging) -> ManifestDiff:
    def count(sql: str) -> int:
        return int(state.execute(f"SELECT COUNT(*) FROM {sql}").fetchone()[0])

    whole = not scope.partial
    changed_ids = state.execute(f"SELECT row_id FROM {_changed_paid(scope)} ORDER BY scratch.line LIMIT {_NAMED}")
    return ManifestDiff(
        models=_by_model(state, scope, scratch),
        changed_paid_ids=tuple(row_id for (row_id,) in changed_ids.fetchall()),
        left_unnamed_paid=count(f"{_LEFT} WHERE NOT rows.explicit_id AND {PAID}") if whole else 0,
        renamed=_renamed(state) if whole else 0,
        live=count(f"main.jobs WHERE {_LIVE} AND state IN ('submitted', 'ready')"),
    )


def _by_model(state: sqlite3.Connection, scope: Scope, scratch: Staging) -> dict[str, DiffCounts]:
    doubtful = "jobs.state IN ('in_doubt', 'submitting')"
    counted = {
        "new": ("scratch.model", _NEW),
        "waiting": ("scratch.model", f"{_BOTH} WHERE jobs.state = 'pending'"),
        "again": ("scratch.model", f"{_BOTH} WHERE {_again(scope)}"),
        "paid": ("scratch.model", f"{_BOTH} WHERE {PAID} AND NOT {doubtful}"),
        "changed": ("scratch.model", _CHANGED),
        "changed_paid": ("scratch.model", _changed_paid(scope)),
        "in_doubt": ("jobs.model", f"main.jobs WHERE {_LIVE} AND jobs.latest AND {doubtful}"),
    }
    if not scope.partial:
        counted["left"] = ("jobs.model", _LEFT)
    found: dict[str, dict[str, int]] = {}
    for name, (model_column, rows) in counted.items():
        for model, count in state.execute(f"SELECT {model_column}, COUNT(*) FROM {rows} GROUP BY 1").fetchall():
            found.setdefault(model, {})[name] = count
    for model, waiting, paid in state.execute(_ALL_SEEN if scratch.unchanged else _SEEN).fetchall():
        for name, count in (("waiting", waiting), ("paid", paid)):
            if count:
                of_model = found.setdefault(model, {})
                of_model[name] = of_model.get(name, 0) + count
    for model, rows_to_send, outputs, units, unbounded in _to_send(state, scope, scratch):
        found.setdefault(model, {}).update(to_send=rows_to_send, outputs=outputs, units=units, unbounded=unbounded)
    return {model: DiffCounts(**counts) for model, counts in sorted(found.items())}


_SEEN = (
    f"SELECT jobs.model, SUM(jobs.state = 'pending'), SUM({PAID} AND jobs.state NOT IN ('in_doubt', 'submitting')) "
    "FROM seen CROSS JOIN main.jobs ON jobs.key = seen.key AND jobs.latest GROUP BY jobs.model"
)

# The same where the whole manifest is: all rows but those that have left it.
_IS_PAID = (
    "(state IN ('submitted', 'ready', 'collected') OR state IN ('failed', 'cancelled') AND billed NOT IN ('', 'no'))"
)
_ALL_SEEN = f"""
SELECT model, SUM(jobs * (state = 'pending')), SUM(jobs * {_IS_PAID}) FROM (
  SELECT model, state, billed, jobs FROM tally WHERE latest
  UNION ALL
  SELECT jobs.model, jobs.state, COALESCE(jobs.billed, ''), -1
  FROM main.rows CROSS JOIN main.jobs ON jobs.key = rows.key AND jobs.latest WHERE rows.position IS NULL
) GROUP BY model HAVING SUM(jobs) > 0
"""


def _changed_paid(scope: Scope) -> str:
    """Changed rows that were paid for; those of a failed.csv were edited to be sent again."""
    edited = "AND jobs.state NOT IN ('failed', 'cancelled')" if scope.partial else ""
    return f"{_CHANGED} AND {PAID} {edited}"


def _again(scope: Scope) -> str:
    """Rows that have ended, or are live, and are asked for again."""
    asked = ["0"]
    if scope.partial:
        asked.append("jobs.state IN ('failed', 'cancelled')")
    if scope.rerun_changed:
        asked.append(
            "jobs.fingerprint <> scratch.fingerprint AND jobs.state NOT IN ('pending', 'in_doubt', 'submitting')"
        )
    return f"({' OR '.join(asked)})"


def _to_send(state: sqlite3.Connection, scope: Scope, scratch: Staging) -> tuple[tuple[str, int, int, int, int], ...]:
    """(model, rows, outputs, units, rows of unknown units) of what the run may send."""
    rows = _rows_to_send(scope, scratch)
    found = state.execute(
        f"SELECT model, COUNT(*), SUM(outputs_asked), SUM(units), SUM(units <= 0) FROM ({rows}) "
        "GROUP BY model ORDER BY model",
        {"only": json.dumps([*(scope.only or ())])},
    )
    return tuple(found.fetchall())


# A table of the folder itself may be older than the manifest; `renewal` has what lasts longer sent.
_LONGEST = (
    "CASE WHEN jobs.fingerprint = scratch.fingerprint "
    "AND COALESCE(rows.inputs_expire_at, 9e999) > scratch.inputs_expire_at "
    "THEN rows.inputs_expire_at ELSE scratch.inputs_expire_at END AS inputs_expire_at"
)


def _rows_to_send(scope: Scope, scratch: Staging) -> str:
    """The rows that the run may send within its limits, the ids of *scope* being the parameter `:only`."""
    columns = ("position", "priority", "row_id", "model", "outputs_asked", "units", "inputs_expire_at", "local_files")
    asked = ", ".join(f"scratch.{column}" for column in columns)
    both = asked.replace("scratch.inputs_expire_at", _LONGEST) if scope.partial else asked
    rows = (
        f"SELECT {asked} FROM {_NEW} UNION ALL "
        f"SELECT {both} FROM {_BOTH} WHERE jobs.state = 'pending' OR {_again(scope)}"
    )
    if scratch.unchanged:
        rows += (
            " UNION ALL SELECT rows.position, jobs.priority, rows.row_id, jobs.model, jobs.outputs_asked, jobs.units, "
            "rows.inputs_expire_at, rows.local_files FROM main.jobs CROSS JOIN main.rows ON rows.key = jobs.key "
            "WHERE jobs.state = 'pending' AND rows.position IS NOT NULL"
        )
    elif scratch.recalled is not None:
        rows += (
            " UNION ALL SELECT seen.position, jobs.priority, rows.row_id, jobs.model, jobs.outputs_asked, jobs.units, "
            "rows.inputs_expire_at, rows.local_files FROM main.jobs CROSS JOIN seen ON seen.key = jobs.key "
            "JOIN main.rows ON rows.key = jobs.key WHERE jobs.state = 'pending'"
        )
    if scope.only is not None:
        rows = f"SELECT * FROM ({rows}) WHERE row_id IN (SELECT value FROM json_each(:only))"
    if scope.limit is not None:
        rows = f"SELECT * FROM ({rows}) ORDER BY priority DESC, position LIMIT {int(scope.limit)}"
    return rows


def _renamed(state: sqlite3.Connection) -> int:
    """Rows that were paid for under an id that left, and ask for the same under a new one."""
    found = state.execute(
        f"SELECT COUNT(*) FROM {_NEW} AND fingerprint IN (SELECT jobs.fingerprint FROM {_LEFT} WHERE {PAID})"
    )
    return int(found.fetchone()[0])
