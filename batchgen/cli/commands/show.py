"""The command that tells one row's story: show."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli import flags
from batchgen.cli.output import emit, refusals, tell
from batchgen.core.money import dollars, usd
from batchgen.core.text import counted, prompt_of, size

if TYPE_CHECKING:
    from pathlib import Path

    from batchgen.core.job import Job, SavedFile
    from batchgen.results.row_history import Story


@click.command(cls=flags.Command)
@flags.out_folder
@click.argument("row", metavar="ROW", help="A row id.")
@flags.as_json
def show(out: Path, row: str, as_json: bool) -> None:
    """One row's story in time order: what was asked, what it cost, what became of it, where its files are."""
    with refusals():
        from batchgen.results.row_history import story
        from batchgen.storage.paths import RunFolder

        told, folder = story(out, row), RunFolder.at(out).row(row)
        last = told.attempts[-1]
        if as_json:
            known: dict[str, Any] = {"row": row, "state": last.state, "model": last.model, "input": dict(last.input)}
            known |= {"cost_usd": usd(last.cost_micro), "folder": str(folder) if last.saved else None}
            emit(known | {"events": list(told.events)})
        else:
            tell(*_head(last, str(folder)), "", *_events(told))


_COLUMN = 9


def _head(last: Job, folder: str) -> Iterator[str]:
    """The row as it stands now."""
    yield f"{last.row_id}: {last.state.value.replace('_', ' ')}, attempt {last.n}"
    known = {"model": last.model, "prompt": prompt_of(last.input), "cost": _cost(last)}
    if last.saved:
        known["folder"] = folder
        known["files"] = ", ".join(
            f"{file.name} ({size(file.bytes)}{f', {file.width}x{file.height}' if file.width else ''})"
            for file in last.saved
        )
    for name, words in known.items():
        if words:
            yield f"{name:<{_COLUMN}}{words}"


def _file(file: SavedFile) -> str:
    pixels = f", {file.width}x{file.height}" if file.width else ""
    checked = "" if file.is_decoded else ", not decoded"
    blank = ", blank: one colour" if file.blank else ""
    return f"{file.name} ({size(file.bytes)}{pixels}{checked}{blank})"


def _cost(job: Job) -> str:
    if job.billed == "no":
        return "nothing: it was never accepted"
    if job.cost_micro is not None:
        return f"{dollars(usd(job.cost_micro))} measured"
    if job.estimate_micro is None:
        return "unknown"
    return f"{dollars(usd(job.estimate_micro))} estimated" if job.intent_at else ""


def _events(told: Story) -> Iterator[str]:
    for event in told.events:
        words = ": ".join(word for word in (_WORDS.get(event["event"], event["event"]), _learned(event)) if word)
        if event["event"] == "Intent" and (seed := told.new_seed(event["n"])) is not None:
            words += f"; attempt {event['n'] - 1} again with the new seed {seed}"
        at = event.get("at")
        when = "" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
        yield f"{when:<19}  attempt {event['n']}  {words}"


_WORDS = {
    "Intent": "about to be sent",
    "Accepted": "accepted",
    "Deferred": "not accepted, and worth another try",
    "Refused": "refused",
    "ContactLost": "sent, and nobody knows whether it was accepted",
    "Adopted": "its request_id was found by a person",
    "GivenUp": "closed while in doubt",
    "Succeeded": "done at the provider",
    "JobFailed": "failed",
    "JobCancelled": "cancelled",
    "LinksExpired": "its links had expired and were asked for again",
    "Collected": "collected and verified",
    "FilesLost": "a file was lost or damaged",
    "CostKnown": "its cost was told",
    "Completed": "as the state file knew it",
}


def _learned(event: Mapping[str, Any]) -> str:
    """What an event brought, in words."""
    parts = [str(event[name]) for name in ("request_id", "reason") if event.get(name)]
    if event["event"] == "Intent":
        parts.append(f"{dollars(usd(event.get('estimate_micro')))} reserved")
    if event.get("cost_micro") is not None:
        parts.append(dollars(usd(event["cost_micro"])))
    if event.get("saved"):
        files = event["saved"]
        parts.append(f"{counted(len(files), 'file')}, {size(sum(file['bytes'] for file in files))}")
    return ", ".join(parts)
