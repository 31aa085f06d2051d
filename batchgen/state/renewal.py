"""A request that is the same by its fingerprint may be worded anew: its links signed again, its files touched, a value
typed by a newer schema. What is sent next is sent as the manifest words it now.
"""

from __future__ import annotations

import json
import sqlite3

from batchgen.core.row import canonical, json_encoder
from batchgen.state.staging import Staging

_in_json = json_encoder()

REQUEST_COLUMNS = "model, input, files, fingerprint, outputs_asked, units"

REQUEST_JSON = (
    "json_object('model', s.model, 'input', s.input, 'files', s.files, 'fingerprint', s.fingerprint, "
    "'outputs_asked', s.outputs_asked, 'units', s.units)"
)
"""SQL of a request of `scratch AS s`, as `next_request` keeps it."""

_SAME_REQUEST = "rows.row_id = s.row_id AND jobs.key = rows.key AND jobs.latest AND jobs.fingerprint = s.fingerprint"
_WORDED_ANEW = (
    "(jobs.n > 1 OR (jobs.input, jobs.files, jobs.outputs_asked, jobs.units) "
    "IS NOT (s.input, s.files, s.outputs_asked, s.units))"
)

# A `failed.csv` may be older than the manifest: of two wordings the one whose links last longer is sent.
_LASTS_LONGER = "COALESCE(s.inputs_expire_at, 9e999) >= COALESCE(rows.inputs_expire_at, 9e999)"


def renew(state: sqlite3.Connection, scratch: Staging, *, partial: bool = False) -> None:
    """Word every request of *scratch*, which is attached, as it stands there, inside the caller's transaction.

    What waits to be sent is sent so; of all others the next attempt will be, whenever one begins. A seed that an
    attempt got for itself stays. No row is changed otherwise.
    """
    if scratch.unchanged:
        return
    state.create_function("with_seed_of", 3, with_seed_of, deterministic=True)
    newer = f"AND {_LASTS_LONGER}" if partial else ""
    state.execute(
        "UPDATE jobs SET (input, files, outputs_asked, units) = "
        "(with_seed_of(s.input, jobs.input, jobs.n), s.files, s.outputs_asked, s.units) "
        f"FROM scratch.scratch AS s, rows WHERE {_SAME_REQUEST} AND jobs.state = 'pending' AND {_WORDED_ANEW} {newer}"
    )
    if not partial:  # a wording that was taken back is none
        state.execute(
            "UPDATE rows SET next_request = NULL FROM scratch.scratch AS s, jobs "
            f"WHERE {_SAME_REQUEST} AND next_request IS NOT NULL"
        )
    state.execute(
        f"UPDATE rows SET next_request = {REQUEST_JSON} FROM scratch.scratch AS s, jobs "
        f"WHERE {_SAME_REQUEST} AND jobs.state <> 'pending' AND {_WORDED_ANEW} {newer}"
    )
    state.execute(
        "UPDATE rows SET inputs_expire_at = s.inputs_expire_at FROM scratch.scratch AS s, jobs "
        f"WHERE {_SAME_REQUEST} AND rows.inputs_expire_at IS NOT s.inputs_expire_at {newer}"
    )


def with_seed_of(asked: str, sent: str, n: int) -> str:
    """The input *asked* for, with the seed that attempt *n* at the same request was *sent* with: a later one may have
    got a seed for itself.
    """
    own = json.loads(sent).get("seed") if n > 1 else None
    wanted = json.loads(asked) if own is not None else {}
    if own is None or canonical(own) == canonical(wanted.get("seed")):
        return asked
    return _in_json(wanted | {"seed": own})
