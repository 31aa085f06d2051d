"""What the attempts of a folder come to, by model and state, in tables that the state file keeps itself.

Triggers keep them, whoever writes: whoever opens a folder of a million rows, or asks how it stands, has no second for
each look at all of its attempts, and sums that only some writers keep would one day be wrong about money.
"""

from __future__ import annotations

_PRICE = "COALESCE({job}.cost_micro, {job}.estimate_micro)"
_KIND = (
    "{job}.model, {job}.state, COALESCE({job}.billed, ''), {job}.latest, "
    "{job}.state <> 'pending' OR {job}.position IS NOT NULL"
)
_TALLIED = f"{_KIND}, {{one}}, {{one}} * {{job}}.units, {{one}} * COALESCE({_PRICE}, 0), {{one}} * ({_PRICE} IS NULL)"
_OLD, _NEW = _TALLIED.format(job="OLD", one=-1), _TALLIED.format(job="NEW", one=1)
_ADD_UP = """ON CONFLICT (model, state, billed, latest, placed) DO UPDATE SET jobs = jobs + excluded.jobs,
  units = units + excluded.units, price_micro = price_micro + excluded.price_micro,
  unpriced = unpriced + excluded.unpriced"""

_SAVED = """{job}.model, {job}.latest, {one} * json_array_length({job}.saved),
  (SELECT {one} * COALESCE(SUM(json_extract(value, '$.bytes')), 0) FROM json_each({job}.saved))"""
_ADD_SAVED = "ON CONFLICT (model, latest) DO UPDATE SET files = files + excluded.files, bytes = bytes + excluded.bytes"
_SAVE = f"INSERT INTO saved_files SELECT {_SAVED.format(job='NEW', one=1)} WHERE NEW.saved IS NOT NULL {_ADD_SAVED}"
_UNSAVE = f"INSERT INTO saved_files SELECT {_SAVED.format(job='OLD', one=-1)} WHERE OLD.saved IS NOT NULL {_ADD_SAVED}"

_UNIT_MICRO = "({job}.cost_micro + MAX({job}.units, 1) - 1) / MAX({job}.units, 1)"
_RAISE = f"""INSERT INTO unit_prices VALUES (NEW.model, {_UNIT_MICRO.format(job="NEW")})
  ON CONFLICT (model) DO UPDATE SET highest_micro = MAX(highest_micro, excluded.highest_micro)"""

UNIT_PRICE_TRIGGERS = f"""
CREATE TRIGGER jobs_unit_price_first AFTER INSERT ON jobs WHEN NEW.cost_micro IS NOT NULL AND NEW.units > 0 BEGIN
  {_RAISE};
END;
CREATE TRIGGER jobs_unit_price AFTER UPDATE OF cost_micro ON jobs
WHEN NEW.cost_micro IS NOT NULL AND NEW.units > 0 AND NEW.cost_micro IS NOT OLD.cost_micro
BEGIN
  {_RAISE};
END;
"""
"""What keeps the highest price of a unit; a job of an unknown number of units tells none."""

TALLY = f"""
-- How many attempts there are of each kind and what they come to. `placed` is 0 for what was never sent and has left
-- the manifest; `billed` is '' where nothing is known of it.
CREATE TABLE tally (
  model       TEXT NOT NULL,
  state       TEXT NOT NULL,
  billed      TEXT NOT NULL,
  latest      INTEGER NOT NULL,
  placed      INTEGER NOT NULL,
  jobs        INTEGER NOT NULL,
  units       INTEGER NOT NULL,
  price_micro INTEGER NOT NULL,
  unpriced    INTEGER NOT NULL,
  PRIMARY KEY (model, state, billed, latest, placed)
) WITHOUT ROWID;
CREATE TRIGGER jobs_tallied_first AFTER INSERT ON jobs BEGIN
  INSERT INTO tally VALUES ({_NEW}) {_ADD_UP};
END;
CREATE TRIGGER jobs_tallied
AFTER UPDATE OF model, state, billed, latest, position, units, cost_micro, estimate_micro ON jobs
WHEN OLD.position IS NEW.position  -- or else rows that only move up a place would each be counted anew
  OR (OLD.position IS NULL, OLD.model, OLD.state, OLD.billed, OLD.latest, OLD.units, OLD.cost_micro,
    OLD.estimate_micro) IS NOT (NEW.position IS NULL, NEW.model, NEW.state, NEW.billed, NEW.latest, NEW.units,
    NEW.cost_micro, NEW.estimate_micro)
BEGIN
  INSERT INTO tally VALUES ({_OLD}), ({_NEW}) {_ADD_UP};
END;

-- The files of the attempts, and their bytes.
CREATE TABLE saved_files (
  model  TEXT NOT NULL,
  latest INTEGER NOT NULL,
  files  INTEGER NOT NULL,
  bytes  INTEGER NOT NULL,
  PRIMARY KEY (model, latest)
) WITHOUT ROWID;
CREATE TRIGGER jobs_saved_first AFTER INSERT ON jobs WHEN NEW.saved IS NOT NULL BEGIN
  {_SAVE};
END;
CREATE TRIGGER jobs_saved AFTER UPDATE OF saved, latest, model ON jobs
WHEN OLD.saved IS NOT NEW.saved OR OLD.latest <> NEW.latest OR OLD.model <> NEW.model
BEGIN
  {_UNSAVE};
  {_SAVE};
END;

-- The most that one output or second of each model was ever measured to cost.
CREATE TABLE unit_prices (
  model         TEXT PRIMARY KEY,
  highest_micro INTEGER NOT NULL
) WITHOUT ROWID;
{UNIT_PRICE_TRIGGERS}

CREATE INDEX rows_left ON rows (key) WHERE position IS NULL;
"""

_ALL = f"SELECT {_TALLIED.format(job='jobs', one=1)} FROM jobs"
_ALL_SAVED = f"SELECT {_SAVED.format(job='jobs', one=1)} FROM jobs WHERE saved IS NOT NULL"
_UNIT_PRICES = (
    f"SELECT model, MAX({_UNIT_MICRO.format(job='jobs')}) FROM jobs "
    "WHERE cost_micro IS NOT NULL AND units > 0 GROUP BY model"
)

COUNT_UP = f"""
INSERT INTO tally {_ALL} WHERE true {_ADD_UP};
INSERT INTO saved_files {_ALL_SAVED} {_ADD_SAVED};
INSERT INTO unit_prices {_UNIT_PRICES}
"""
"""What fills the tables for the attempts of an older file."""

AS_TALLIED = f"""
CREATE TEMP VIEW tally (model, state, billed, latest, placed, jobs, units, price_micro, unpriced) AS {_ALL};
CREATE TEMP VIEW saved_files (model, latest, files, bytes) AS {_ALL_SAVED};
CREATE TEMP VIEW unit_prices (model, highest_micro) AS {_UNIT_PRICES};
"""
"""What a reader of an older file has instead of them."""
