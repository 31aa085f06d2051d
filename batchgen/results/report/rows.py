"""What the page says of each row, as compact records that its script unpacks in the same order."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from batchgen.core.job import Job
from batchgen.core.row import published_input
from batchgen.core.text import prompt_field
from batchgen.results.report.causes import trouble_of

_LONGEST_TEXT = 20_000


class ShownFile(NamedTuple):
    """One output. *kind* is image, video or audio; *thumb* the key of its thumbnail, empty if it has none.
    *blank*: it has one colour.
    """

    name: str
    kind: str
    width: int | None
    height: int | None
    bytes: int
    thumb: str
    blank: bool


class ShownInput(NamedTuple):
    """One input medium: its field, what the manifest said, and the key of its thumbnail, empty if it has none."""

    field: str
    text: str
    thumb: str


class Shown(NamedTuple):
    """One row. Money is micro-dollars, times are Unix seconds; *place* grows in manifest order.

    `page/rows.js` reads the fields in this order.
    """

    row_id: str
    state: str
    model: str
    attempt: int
    prompt: str
    inputs: tuple[ShownInput, ...]
    options: Mapping[str, str]
    meta: Mapping[str, str]
    cost_micro: int | None
    measured: bool
    took_s: float | None
    at: float | None
    reason: str | None
    cause: str | None
    request_id: str | None
    asked: int
    files: tuple[ShownFile, ...]
    place: int


@dataclass(frozen=True, slots=True)
class Source:
    """A picture on disk that a thumbnail can be made of."""

    key: str
    kind: str
    parts: tuple[Path | str, ...]

    @property
    def is_output(self) -> bool:
        """Whether it lies in the run folder: of an input only its own path is there."""
        return len(self.parts) > 1

    @property
    def path(self) -> Path:
        """Put together when it is needed: most thumbnails of a large folder are there already."""
        return Path(*self.parts)


HasThumb: TypeAlias = Callable[[Source], bool]


def thumb_key(sha256: str) -> str:
    """Thumbnails are named by content: a file name of a manifest never becomes one, twins share one."""
    return sha256[:32]


def output_sources(rows: Path, job: Job) -> list[Source]:
    """*rows* is the folder of the row folders."""
    return [
        Source(thumb_key(file.sha256), file.media_type.partition("/")[0], (rows, job.row_id, file.name))
        for file in job.saved
        if not file.media_type.startswith("audio/")
    ]


def input_sources(job: Job) -> list[Source]:
    """Local input files as they were when the row was read."""
    return [Source(thumb_key(str(file["sha256"])), "image", (str(file["path"]),)) for file in job.files]


def shown(rows: Path, job: Job, place: int, has_thumb: HasThumb) -> Shown:
    """*job* as the page may show it: signatures off URLs, inlined files by size, over-long texts cut."""
    prompt, inputs, options = _parts(job, has_thumb)
    thumbs = {source.parts[-1]: source.key for source in output_sources(rows, job) if has_thumb(source)}
    ended_at = job.collected_at or job.ended_at
    return Shown(
        row_id=job.row_id,
        state=job.state.value,
        model=job.model,
        attempt=job.n,
        prompt=prompt,
        inputs=tuple(inputs),
        options=options,
        meta={name: _cut(str(value)) for name, value in job.meta.items()},
        cost_micro=job.cost_micro if job.cost_micro is not None else job.estimate_micro,
        measured=job.cost_micro is not None,
        took_s=_took_s(job),
        at=round(ended_at or job.submitted_at or job.intent_at or 0.0, 3) or None,
        reason=_cut(job.reason) if job.reason else None,
        cause=trouble_of(job),
        request_id=job.request_id,
        asked=job.outputs_asked,
        files=tuple(
            ShownFile(
                file.name,
                file.media_type.partition("/")[0],
                file.width,
                file.height,
                file.bytes,
                thumbs.get(file.name, ""),
                file.blank,
            )
            for file in job.saved
        ),
        place=place,
    )


def _took_s(job: Job) -> float | None:
    if job.submitted_at is None or job.ended_at is None:
        return None
    return round(max(job.ended_at - job.submitted_at, 0.0), 2)


def _parts(job: Job, has_thumb: HasThumb) -> tuple[str, list[ShownInput], dict[str, str]]:
    """The prompt, the input media and the other fields of a request."""
    thumbs = {
        str(file["pointer"]): source.key
        for file, source in zip(job.files, input_sources(job), strict=True)
        if has_thumb(source)
    }
    local = {str(file["pointer"]) for file in job.files}
    fields = dict(published_input(dict(job.input)))
    name = prompt_field(fields)
    prompt = _cut(fields.pop(name)) if name else ""
    inputs: list[ShownInput] = []
    options: dict[str, str] = {}
    for field, value in fields.items():
        items = [(f"{field}.{n}", item) for n, item in enumerate(value)] if isinstance(value, list) else []
        media = [(pointer, item) for pointer, item in items or [(field, value)] if pointer in local or _is_link(item)]
        if media:
            inputs += [ShownInput(field, _cut(str(item)), thumbs.get(pointer, "")) for pointer, item in media]
        else:
            options[field] = _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return prompt, inputs, options


def _is_link(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("https://", "http://", "data:"))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}… ({len(text):,} characters)"


def as_script(value: object) -> str:
    """*value* as JSON that may stand inside a script element: no text in it can end that element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "replace").decode("utf-8")
