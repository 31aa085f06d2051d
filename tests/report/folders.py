"""Run folders for the page: made through the real state file, with files of every kind and every way to go wrong."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw

from batchgen.core.job import (
    Accepted,
    Billed,
    Collected,
    ContactLost,
    Event,
    Intent,
    Job,
    JobFailed,
    Output,
    Refused,
    SavedFile,
    State,
    Succeeded,
)
from batchgen.core.row import LocalFile, Row, fingerprint
from batchgen.simulator.motion import mp4
from batchgen.state import Asked, Staging, StateFile, open_state
from batchgen.storage.paths import RunFolder
from tests.collector.media import film, sound

EDIT = "bytedance/seedream-4-0/edit-sequential"
MOVE = "bytedance/seedance-2.5/image-to-video/720p"
STARTED = 1_790_000_000.0
HOSTILE = (
    "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'> \u202egnp.exe\u202c {{ 7*7 }} "
    "<!-- \u2028 & \U0001f680\U0001f469\u200d\U0001f3a8 &lt;b&gt; "
)
HOSTILE_ID = "<b>x'&" + "\u202e" + "desrever" + " 100%25#?"


@lru_cache
def scene(seed: int, width: int = 480, height: int = 360, kind: str = "PNG") -> bytes:
    """A small landscape, so that a page of them can be looked at."""
    roll = random.Random(seed)
    top, low = ([roll.randrange(40, 230) for _ in range(3)] for _ in range(2))
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    for y in range(height):
        share = y / height
        draw.line((0, y, width, y), tuple(round(a + (b - a) * share) for a, b in zip(top, low, strict=True)))
    x, y, r = roll.randrange(width), roll.randrange(height // 2), height // 9
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(250, 240, 205))
    for layer in range(3):
        shade = tuple(round(value * (0.62 - 0.17 * layer)) for value in low)
        base = height * (0.6 + 0.13 * layer)
        points = [(step * width / 8, base - roll.random() * height * 0.16) for step in range(9)]
        draw.polygon([*points, (width, height), (0, height)], fill=shade)
    content = io.BytesIO()
    picture.save(content, kind)
    return content.getvalue()


@contextmanager
def opened(folder: Path) -> Iterator[StateFile]:
    state = open_state(RunFolder.at(folder), "http://127.0.0.1:1", rehearsal=True, on_trouble=lambda *_: None)
    try:
        yield state
    finally:
        state.close()


def a_row(row_id: str, prompt: str, model: str = EDIT, local: Path | None = None, **meta: str) -> Row:
    image = "https://example.com/in.png?X-Amz-Signature=SECRET" if local is None else local.name
    request = {"text": prompt, "images": [image], "seed": len(row_id), "note_to_self": "x" * 30}
    files: tuple[LocalFile, ...] = ()
    if local is not None:
        told = local.stat()
        files = (LocalFile("images.0", str(local), told.st_size, told.st_mtime_ns, _sha256(local.read_bytes())),)
    return Row(row_id, True, model, request, fingerprint(model, request, files), files, meta)


def enrol(state: StateFile, rows: Iterable[Row], outputs: int = 1) -> None:
    scratch = Staging()
    for row in rows:
        assert scratch.add(row, Asked(outputs, outputs)) is None
    scratch.done()
    asyncio.run(state.enrol(scratch))
    scratch.close()


def jobs_of(state: StateFile, rows: list[Row]) -> list[Job]:
    """The jobs of *rows*, in their order."""
    jobs = {job.row_id: job for job in state.reader.each_pending()}
    return [jobs[row.row_id] for row in rows]


async def happen(state: StateFile, job: Job, *events: Event) -> Job:
    for event in events:
        job = await state.record(job, event)
    return job


def sent(at: float, job: Job) -> tuple[Event, ...]:
    return Intent(at, 60_000), Accepted(at + 0.3, f"req-{job.key:06d}")


def save(folder: Path, job: Job, contents: list[tuple[str, bytes]]) -> tuple[SavedFile, ...]:
    """Put files into the row's folder as a run would; (media type, content) each."""
    place = RunFolder.at(folder).row(job.row_id)
    place.mkdir(parents=True)
    saved = []
    for index, (media_type, content) in enumerate(contents):
        name = f"{media_type.partition('/')[0]}s-{index:02d}.{media_type.partition('/')[2]}"
        (place / name).write_bytes(content)
        size = Image.open(io.BytesIO(content)).size if media_type.startswith("image") else (480, 360)
        saved.append(SavedFile(name, len(content), _sha256(content), media_type, *size))
    (place / "row.json").write_text("{}", "utf-8")
    return tuple(saved)


def collected(at: float, took_s: float, saved: tuple[SavedFile, ...]) -> tuple[Event, ...]:
    outputs = tuple(Output("images", f"http://127.0.0.1:1/{file.name}") for file in saved)
    return Succeeded(at + took_s, outputs, 30_000 * len(saved)), Collected(at + took_s + 1, saved)


def story_of(folder: Path, number: int, job: Job) -> tuple[Event, ...]:
    """What happens to row *number*: one in ten fails, one in 25 is doubtful, one in seven is a film."""
    at, took_s = STARTED + number * 11.0, 20 + random.Random(number).lognormvariate(2.5, 0.6)
    if number % 20 == 3:
        reason = f"the provider says: content policy violation in request {number * 7919}"
        return (*sent(at, job), JobFailed(at + 9, reason, Billed.YES, 60_000))
    if number % 20 == 13:
        return (Intent(at, 60_000), Refused(at + 1, f"images.0: 'a{number}' is not a URL that can be fetched"))
    if number % 25 == 7:
        return (Intent(at, 60_000), ContactLost(at + 1, "the connection was reset after the request was sent"))
    if number % 50 == 49:
        return ()
    if job.model == MOVE:
        frames = [scene(number % 5 + step, kind="JPEG") for step in range(2)]
        content = mp4(frames, (480, 360), 2, "test") if number % 2 else film()
        return (*sent(at, job), *collected(at, took_s * 4, save(folder, job, [("video/mp4", content)])))
    shapes = [(480, 360), (360, 480), (640, 280), (400, 400)][number % 4]
    pictures = [("image/png", scene((number * 3 + index) % 60, *shapes)) for index in range(1 + number % 3)]
    if number == 11:
        pictures = [("audio/wav", sound())]
    return (*sent(at, job), *collected(at, took_s, save(folder, job, pictures)))


def mixed_folder(folder: Path, rows: int) -> Path:
    """A run that is over, of *rows* rows; row 0 is hostile in everything that it can say."""
    folder.mkdir(parents=True)
    local = folder / "input of mine.png"
    local.write_bytes(scene(4242))
    words = ["a harbour at dusk", "a red fox in snow", "an orange tree", "a lighthouse", "three copper kettles"]
    asked = [
        a_row(
            f"row-{number:04d}",
            f"{words[number % 5].capitalize()}, study {number}, soft light from the left, 85 mm lens",
            MOVE if number % 7 == 5 else EDIT,
            local if number % 2 else None,
            series=("north", "south", "east")[number % 3],
        )
        for number in range(1, rows)
    ]
    asked.insert(0, a_row(HOSTILE_ID.translate({ord(c): "-" for c in "<>?"}), HOSTILE + "x" * 10_000, series=HOSTILE))
    with opened(folder) as state:
        enrol(state, asked, outputs=3)
        jobs = jobs_of(state, asked)
        first, rest = jobs[0], jobs[1:]

        async def everything() -> None:
            reason = HOSTILE + "y" * 10_000
            await happen(state, first, *sent(STARTED, first), JobFailed(STARTED + 5, reason, Billed.YES))
            stories = [(job, story_of(folder, number, job)) for number, job in enumerate(rest, 1)]
            await asyncio.gather(*(happen(state, job, *events) for job, events in stories))

        asyncio.run(everything())
    return folder


_PICTURES = 64
_ON_DISK = 2_000


def large_folder(folder: Path, rows: int) -> Path:
    """*rows* rows that share 64 pictures, written straight into the tables: through the state it takes too long.

    Files that no test looks at are not on disk.
    """
    folder.mkdir(parents=True)
    with opened(folder):
        pass
    pictures = [scene(number, 96, 72) for number in range(_PICTURES)]
    stock = folder / "stock"
    for number, content in enumerate(pictures):
        (stock / str(number)).mkdir(parents=True)
        (stock / str(number) / "images-00.png").write_bytes(content)
    saved = [
        f'[{{"name": "images-00.png", "bytes": {len(content)}, "sha256": "{_sha256(content)}", '
        f'"media_type": "image/png", "width": 96, "height": 72}}]'
        for content in pictures
    ]
    with closing(sqlite3.connect(folder / "state.db")) as connection:
        connection.executemany(
            "INSERT INTO rows (key, row_id, folded, explicit_id, position, meta) VALUES (?1, ?2, ?2, 1, ?1, ?3)",
            ((key, f"r{key - 1:06d}", f'{{"part": "p{(key - 1) % 9}"}}') for key in range(1, rows + 1)),
        )
        connection.executemany(
            "INSERT INTO jobs (key, n, state, reason, billed, ended_at, collected_at, saved, input, seq, intent_at, "
            "submitted_at, request_id, position, model, files, fingerprint, outputs_asked, units, estimate_micro, "
            f"cost_micro) VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?1, ?9, ?9, 'q' || ?1, ?1, '{EDIT}', '[]', "
            "printf('%064d', ?1), 1, 1, 30000, 30000)",
            (_a_study(number, rows, saved) for number in range(rows)),
        )
        connection.commit()
    for number in range(min(rows, _ON_DISK)):
        row = folder / "rows" / f"r{number:06d}"
        row.mkdir()
        (row / "images-00.png").hardlink_to(stock / str(number % _PICTURES) / "images-00.png")
    return folder


def _a_study(number: int, rows: int, saved: list[str]) -> tuple[object, ...]:
    """Key, how it ended, its files, what was asked for, and when: one in a hundred fails."""
    at = STARTED + number * 0.4
    asked = f'{{"text": "Study {number} of {rows}", "seed": {number}}}'
    if number % 100 == 17:
        reason = f"no face found in picture {number}"
        return (number + 1, State.FAILED, reason, Billed.YES, at + 9, None, None, asked, at)
    took_s = 15 + number % 61
    return (number + 1, State.COLLECTED, None, None, at + took_s, at + took_s + 1, saved[number % 64], asked, at)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
