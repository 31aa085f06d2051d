"""How a run folder stands, as lines for a terminal of any width: the same for a run, for `status` and its `--watch`.

Colours are those that a person chose for their terminal, and nothing is said by colour alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size

from batchgen.cli.live.text import Line, Part, in_ascii, speaks_utf8
from batchgen.cli.output import near, tell
from batchgen.core.job import State
from batchgen.core.money import dollars, usd
from batchgen.core.text import STATE_WORDS, clock, counted, duration, harmless, named, rate, size
from batchgen.results.status import FinishedRow, RunStatus

_LABEL = 10
_NARROWEST = 30
_WIDEST_BAR = 100
_ROOM_FOR_NAMES, _ROOM_FOR_PROMPTS = 30, 20
_SEPARATOR = " · "
_STYLES = {State.FAILED: "red", State.CANCELLED: "red", State.IN_DOUBT: "bold"}
_MARKS = {State.COLLECTED: ("✓", "green"), State.FAILED: ("✗", "red"), State.CANCELLED: ("✗", "red")}


def view(standing: RunStatus, width: int, height: int) -> list[Line]:
    """At most *height* lines, none wider than *width*; the last finished rows take what the rest leaves."""
    width = max(width, _NARROWEST)
    lines = [_head(standing, width), _bar(standing, width), Line()]
    for label, parts in _figures(standing):
        lines += _parts(label, parts, width)
    troubles = [line for trouble in _troubles(standing) for line in _wrapped(trouble, width)]
    if troubles:
        lines += [Line(), *troubles]
    room = height - len(lines) - 1
    if standing.last and room > 0:
        lines += [Line(), *_last(standing, width, room)]
    return lines[:height]


def printed(standing: RunStatus) -> None:
    """Print how a folder stands, once; as plain text where stdout is no terminal."""
    if sys.stdout.isatty():
        from batchgen.cli.live.frame import print_styled

        print_styled(lambda width: _whole(standing, width))
    else:
        tell(*(line.plain for line in _whole(standing, 100)))


def _whole(standing: RunStatus, width: int) -> list[Line]:
    lines = view(standing, width, height=1_000)
    for line in lines:
        line.rstrip()
    return lines if speaks_utf8(sys.stdout.encoding) else in_ascii(lines)


# ── the head, the bar and the figures ───────────────────────────────────────────────────────────────────


def _head(standing: RunStatus, width: int) -> Line:
    name = harmless(standing.out.name)
    told = ["rehearsal, free"] if standing.rehearsal else []
    now = standing.activity
    if now is not None:
        since = duration(round(standing.at - now.since))
        told.append(f"waiting for {since}" if now.is_asking else f"running for {since}")
    else:
        told.append("no run is on" if standing.holder is None else "a run is on")
    right = _SEPARATOR.join(told)
    name = _fit(name, max(width - cell_len(right) - 2, 8))
    gap = " " * max(width - cell_len(name) - cell_len(right), 1)
    return Line((name, "bold"), (gap, ""), (_fit(right, width - cell_len(name) - 1), "dim"))


def _bar(standing: RunStatus, width: int) -> Line:
    rows, total = standing.rows, max(standing.total, 1)
    share = f" {_percent(standing.ended, standing.total)}"
    length = min(width, _WIDEST_BAR) - 5
    home = round(length * rows[State.COLLECTED] / total)
    lost = round(length * (rows[State.FAILED] + rows[State.CANCELLED]) / total)
    lost = min(max(lost, 1 if rows[State.FAILED] + rows[State.CANCELLED] else 0), length - home)
    rest = "╌" * (length - home - lost)
    return Line(("━" * home, "green"), ("━" * lost, "red"), (rest, "dim"), (f"{share:>5}", "bold"))


def _percent(ended: int, total: int) -> str:
    """Rounded down: 100% is said when all is done."""
    return f"{100 * ended // max(total, 1)}%"


def _figures(standing: RunStatus) -> Iterator[tuple[str, list[Part]]]:
    rows, now = standing.rows, standing.activity
    if now is not None and now.is_asking:  # nothing is under way meanwhile
        now = None
    done = f"{rows[State.COLLECTED]:,} of {standing.total:,} collected"
    others = [state for state in STATE_WORDS if rows[state] and state is not State.COLLECTED]
    yield (
        "rows",
        [(done, "bold"), *((f"{rows[state]:,} {STATE_WORDS[state]}", _STYLES.get(state, "")) for state in others)],
    )
    if now is not None:
        yield (
            "provider",
            [
                (f"{now.in_flight - now.queued:,} running", ""),
                (f"{now.queued:,} queued", ""),
                (f"at most {now.limit:,} at once", "dim"),
            ],
        )
        yield "pace", [(rate(now.rows_per_s), "") if now.rows_per_s else ("nothing has ended yet", "dim")]
        yield "finish", _finish(standing)
    yield "money", _money(standing)
    if now is not None:
        yield "files", [(f"{size(now.received_bytes)} received", ""), *_blank(standing)]
    elif standing.files_bytes:
        yield "files", [(f"{size(standing.files_bytes)} in {near(standing.out / 'rows')}", ""), *_blank(standing)]


def _blank(standing: RunStatus) -> list[Part]:
    """What came and shows nothing."""
    return [(f"{standing.blank:,} blank (one colour)", "bold")] if standing.blank else []


def _finish(standing: RunStatus) -> list[Part]:
    """The range as clock times and as what is left, as it was reckoned when the run last spoke."""
    now = standing.activity
    assert now is not None
    if now.left_s is None:
        return [("not known before a few rows have ended", "dim")]
    first, last = (now.at + left_s for left_s in now.left_s)
    left = [max(at - standing.at, 0.0) for at in (first, last)]
    seconds = left[1] < 600
    earliest, latest = (clock(at, standing.at, seconds) for at in (first, last))
    when = f"about {latest}" if earliest == latest else f"between {earliest} and {latest}"
    return [(when, ""), (f"{_roughly(left[0])} to {_roughly(left[1])} left", "")]


def _roughly(seconds: float) -> str:
    """No seconds where it is minutes that count."""
    minutes = round(seconds / 60)
    return f"{minutes} min" if 10 <= minutes < 60 else duration(round(seconds))


def _money(standing: RunStatus) -> list[Part]:
    account, budget_micro = standing.money, standing.budget_micro
    parts = [(f"{dollars(usd(account.charged))} charged", "bold"), (f"{dollars(usd(account.reserved))} reserved", "")]
    if account.possibly:
        parts.append((f"{dollars(usd(account.possibly))} possibly charged", "bold"))
    if account.unpriced:
        parts.append((f"{counted(account.unpriced, 'job')} of unknown price", "bold"))
    if budget_micro is not None:
        left = max(budget_micro - account.committed, 0)
        parts.append((f"{dollars(usd(left))} left of {dollars(usd(budget_micro))}", "" if left else "bold"))
    now = standing.activity
    if now is not None and now.cost_left_micro is not None and now.cost_left_micro[1]:
        least, most = (dollars(usd(round(micro, -4))) for micro in now.cost_left_micro)
        parts.append((f"{most} for the rest" if least == most else f"{least} to {most} for the rest", ""))
    if standing.rehearsal:
        parts.append(("play money", "dim"))
    return parts


# ── what is wrong ───────────────────────────────────────────────────────────────────────────────────────


def _troubles(standing: RunStatus) -> Iterator[str]:
    now = standing.activity
    if now is not None:
        yield from now.troubles
        if now.overdue:
            yield f"overdue: {named(now.overdue, 3)}; asked about until the end, never sent again"
    out = near(standing.out)
    if standing.rehearsal and standing.holder is None:
        yield from _left_of_a_rehearsal(standing, out)
        return
    if standing.holder is None:
        yield from _left_to_do(standing, out)
    if standing.in_doubt:
        count = counted(len(standing.in_doubt), "row")
        doubtful = named(standing.in_doubt, 3)
        yield f"{count} in doubt ({doubtful}): perhaps paid for; `batchgen reconcile {out}` settles it"


def _left_of_a_rehearsal(standing: RunStatus, out: str) -> Iterator[str]:
    """Its server ended with it: nothing goes on there, and all can be looked at."""
    if left := standing.total - standing.rows[State.COLLECTED]:
        yield (f"{counted(left, 'row')} not collected: `batchgen show {out} ROW` tells why; `rehearse` starts over")


def _left_to_do(standing: RunStatus, out: str) -> Iterator[str]:
    rows = standing.rows
    live = sum(rows[state] for state in (State.SUBMITTING, State.SUBMITTED, State.READY))
    if live:
        yield f"{counted(live, 'paid job')} not brought in: the same `batchgen run`, or `batchgen collect {out}`, does"
    if lost := rows[State.FAILED] + rows[State.CANCELLED]:
        yield f"{counted(lost, 'row')} did not work out: see {out}/failed.csv; `batchgen retry {out}` sends again"


# ── the last finished rows ──────────────────────────────────────────────────────────────────────────────


def _last(standing: RunStatus, width: int, room: int) -> Iterator[Line]:
    """One line a row: when, id, seconds, cost, and what came of it; where there is room, the prompt."""
    rows = standing.last[:room]
    id_width = min(max(cell_len(harmless(row.row_id)) for row in rows), max(width // 4, 12))
    for row in rows:
        mark, style = _MARKS[row.state]
        line = Line(
            (mark, style),
            (f" {clock(row.at, standing.at, seconds=True)}  ", "dim"),
            (_fit(harmless(row.row_id), id_width, pad=True), ""),
            (f"  {_seconds(row.took_s):>7}  {dollars(usd(row.cost_micro)):>7}  ", ""),
        )
        rest = width - line.cell_len
        if row.state is not State.COLLECTED:
            line.append(_fit(harmless(row.reason), rest), style)
        elif rest < _ROOM_FOR_NAMES:
            line.append(_fit(f"{counted(len(row.files), 'file')}, {size(row.bytes)}", rest))
        elif rest < _ROOM_FOR_NAMES + _ROOM_FOR_PROMPTS:
            line.append(_fit(_brought(row), rest))
        else:
            line.append(_fit(_brought(row), _ROOM_FOR_NAMES, pad=True))
            line.append(f"  {_fit(harmless(row.prompt), rest - _ROOM_FOR_NAMES - 2)}", "dim")
        line.truncate(width)
        line.rstrip()
        yield line


def _seconds(took_s: float | None) -> str:
    if took_s is None:
        return ""
    return f"{took_s:.1f} s" if took_s < 10 else f"{took_s:,.0f} s"


def _brought(row: FinishedRow) -> str:
    more = f" +{len(row.files) - 1}" if len(row.files) > 1 else ""
    return harmless(f"{row.files[0]}{more}, {size(row.bytes)}") if row.files else ""


# ── fitting ─────────────────────────────────────────────────────────────────────────────────────────────


def _fit(text: str, width: int, pad: bool = False) -> str:
    """*text* in at most *width* cells, cut with a sign; with *pad* in exactly as many."""
    width = max(width, 0)
    text = text[: width * 4]
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…" if width else ""
    return set_cell_size(text, width) if pad else text


def _parts(label: str, parts: Sequence[Part], width: int) -> list[Line]:
    """*parts* side by side behind *label*, as many lines as they need; a part that is too long is cut."""
    lines = [Line((label.ljust(_LABEL), "dim"))]
    for words, style in parts:
        words = _fit(harmless(words), width - _LABEL)
        first = lines[-1].cell_len <= _LABEL
        if not first and lines[-1].cell_len + len(_SEPARATOR) + cell_len(words) > width:
            lines.append(Line((" " * _LABEL, "")))
            first = True
        lines[-1].append("" if first else _SEPARATOR, "dim")
        lines[-1].append(words, style)
    return lines


def _wrapped(trouble: str, width: int, most: int = 4) -> list[Line]:
    """*trouble* behind a mark, at most *most* lines of it."""
    lines = [Line(("! ", "bold red"))]
    for word in harmless(trouble).split(" "):
        word = _fit(word, width - 2)
        if lines[-1].cell_len + cell_len(word) > width:
            if len(lines) == most:
                lines[-1] = Line((_fit(lines[-1].plain + " …", width), ""))
                return lines
            lines[-1].rstrip()
            lines.append(Line(("  ", "")))
        lines[-1].append(f"{word} ")
    lines[-1].rstrip()
    return lines
