"""`validations` of input media: both sides of every bound, local and hosted, each file looked at once."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from batchgen.core.row import Problem, Row
from batchgen.manifest import read
from batchgen.models import ModelSchema, shipped
from batchgen.models.media_check import MediaCheck
from batchgen.models.media_rules import MediaFacts, Rule, Unmeasured, rules_of

SEED = "bytedance/seedream-4-0/edit-sequential"


def known(model_id: str) -> ModelSchema:
    schema = shipped(model_id)
    assert schema is not None
    return schema


def picture(width: int, height: int, form: str = "png", **save: Any) -> bytes:
    """The bytes of a picture of that size."""
    content = io.BytesIO()
    Image.new("RGB", (width, height)).save(content, form, **save)
    return content.getvalue()


def rows_of(folder: Path, *addresses: str) -> list[Row]:
    """One row for each address, read from a manifest in *folder*."""
    path = folder / "ads.csv"
    path.write_text("text,images\n" + "".join(f"x,{address}\n" for address in addresses))
    rows = list(read(path, known, default_model=SEED))
    assert all(isinstance(row, Row) for row in rows), rows
    return [row for row in rows if isinstance(row, Row)]


RULES: dict[str, list[tuple[MediaFacts, bool]]] = {
    "file_size_mb<": [(MediaFacts(9_999_999, 1, 1), True), (MediaFacts(10_000_000, 1, 1), False)],
    "file_size_mb<=": [(MediaFacts(10_000_000, 1, 1), True), (MediaFacts(10_000_001, 1, 1), False)],
    "file_size_mb>": [(MediaFacts(10_000_001, 1, 1), True), (MediaFacts(10_000_000, 1, 1), False)],
    "width_pixels>": [(MediaFacts(1, 11, 1), True), (MediaFacts(1, 10, 99), False)],
    "width_pixels<": [(MediaFacts(1, 9, 99), True), (MediaFacts(1, 10, 1), False)],
    "height_pixels>": [(MediaFacts(1, 1, 11), True), (MediaFacts(1, 99, 10), False)],
    "height_pixels<": [(MediaFacts(1, 99, 9), True), (MediaFacts(1, 1, 10), False)],
    "height_pixels>=": [(MediaFacts(1, 1, 10), True), (MediaFacts(1, 1, 9), False)],
    "width/height>": [(MediaFacts(1, 1001, 100), True), (MediaFacts(1, 1000, 100), False)],
    "width/height<": [(MediaFacts(1, 999, 100), True), (MediaFacts(1, 1000, 100), False)],
}


@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_strict_on_both_sides_of_its_bound(name: str) -> None:
    written = {"validation_rule": name, "validation_value": 10, "validation_error": "Too much."}
    (rule,), unknown = rules_of({"validations": [written]})
    assert unknown == []
    for facts, is_kept in RULES[name]:
        assert (rule.verdict(facts) is None) == is_kept, facts
    with pytest.raises(Unmeasured):
        rule.verdict(MediaFacts())


@pytest.mark.parametrize("name", ["duration_s<", "width_pixels!", "width_pixels", "", None])
def test_a_rule_nobody_knows_is_told_and_not_kept_in_silence(name: str | None) -> None:
    rules, unknown = rules_of({"validations": [{"validation_rule": name, "validation_value": 1}]})
    assert (rules, len(unknown)) == ([], 1)


def test_a_fault_says_what_was_measured_and_what_the_provider_demands() -> None:
    said = Rule("file_size_mb", "<", 10, "Send a smaller file.").verdict(MediaFacts(12_345_678))
    assert said == "file size is 12.3457 MB and must be less than 10 MB; Send a smaller file."


async def test_local_files_are_measured_and_judged_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(picture(600, 400))
    (tmp_path / "wide.png").write_bytes(picture(900, 300))
    (tmp_path / "tiny.jpg").write_bytes(picture(14, 15, "jpeg"))
    (tmp_path / "least.jpg").write_bytes(picture(15, 15, "jpeg"))
    (tmp_path / "page.png").write_bytes(b"<html>not found</html>")
    rows = rows_of(tmp_path, "good.png|wide.png", "tiny.jpg", "least.jpg", "page.png")
    problems = await MediaCheck(known).problems(rows)
    assert [problem.line for problem in problems] == [2, 3, 5]
    assert [problem.path for problem in problems] == ["$.images[1]", "$.images[0]", "$.images[0]"]
    assert "must be less than 3" in problems[0].message
    assert "width is 14 pixels and must be more than 14 pixels" in problems[1].message
    assert "not a picture" in problems[2].message


async def test_an_inlined_picture_is_measured_too(tmp_path: Path) -> None:
    def inlined(content: bytes) -> str:
        return "data:image/png;base64," + base64.b64encode(content).decode()

    path = tmp_path / "ads.yaml"
    lines = "".join(
        f"  - {{text: x, images: ['{address}']}}\n"
        for address in (inlined(picture(600, 400)), inlined(picture(10, 10)), "data:image/png,raw")
    )
    path.write_text(f"model: {SEED}\nrows:\n{lines}")
    rows = [row for row in read(path, known) if isinstance(row, Row)]
    problems = await MediaCheck(known).problems(rows)
    assert [problem.line for problem in problems] == [4, 4, 5]  # too narrow, too low, no base64


class Host:
    """A file host that answers as it is told, and counts what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.ignores_range = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.asked.append((name, request.headers.get("Range")))
        assert request.method == "GET"
        if name.isdecimal():
            return web.Response(status=int(name))
        if name == "page":
            return web.Response(text="<html>", content_type="text/html")
        content = self.files[name]
        if self.ignores_range:
            return web.Response(body=content)
        first, last = (int(part) for part in request.headers["Range"].removeprefix("bytes=").split("-"))
        part = content[first : last + 1]
        total = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        return web.Response(status=206, body=part, headers={"Content-Range": total})


@pytest.fixture
async def host() -> AsyncIterator[tuple[Host, str]]:
    host = Host()
    app = web.Application()
    app.router.add_get("/{name}", host.answer)
    async with TestServer(app) as server:
        yield host, str(server.make_url("/"))


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_hosted_files_are_left_alone_unless_asked_for(host: tuple[Host, str], tmp_path: Path) -> None:
    server, url = host
    assert await MediaCheck(known, is_local=True).problems(rows_of(tmp_path, url + "404")) == []
    assert server.asked == []


async def test_a_hosted_file_is_judged_by_its_first_bytes_and_its_total(
    host: tuple[Host, str], session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    server, url = host
    server.files["heavy.png"] = picture(600, 400) + bytes(10_000_000)
    server.files["wide.png"] = picture(3000, 100)
    rows = rows_of(tmp_path, url + "heavy.png", url + "wide.png", url + "wide.png")
    check = MediaCheck(known, session, is_local=True)
    problems = await check.problems(rows)
    assert [problem.line for problem in problems] == [2, 3, 4]
    assert "file size is 10.0" in problems[0].message
    assert await check.problems(rows[1:]) == problems[1:]
    assert sorted(server.asked) == [("heavy.png", "bytes=0-65535"), ("wide.png", "bytes=0-65535")]


async def test_more_is_asked_for_only_when_the_size_is_not_in_the_first_bytes(
    host: tuple[Host, str], session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    server, url = host
    exif = b"Exif\0\0" + bytes(65_000)
    server.files["camera.jpg"] = picture(600, 400, "jpeg", exif=exif, icc_profile=bytes(200_000))
    assert await MediaCheck(known, session, is_local=True).problems(rows_of(tmp_path, url + "camera.jpg")) == []
    assert [asked for _, asked in server.asked] == ["bytes=0-65535", "bytes=0-1048575"]


async def test_a_host_that_ignores_ranges_is_understood(
    host: tuple[Host, str], session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    server, url = host
    server.ignores_range = True
    server.files["heavy.png"] = picture(600, 400) + bytes(10_000_000)
    (problem,) = await MediaCheck(known, session, is_local=True).problems(rows_of(tmp_path, url + "heavy.png"))
    assert "file size is 10.0" in problem.message


@pytest.mark.parametrize(
    ("name", "severity", "said"),
    [
        ("404", "error", "the address answers 404"),
        ("403", "error", "the address answers 403"),
        ("416", "error", "the file is empty"),
        ("page", "error", "a web page"),
        ("503", "warning", "the address answers 503"),
        ("429", "warning", "the address answers 429"),
    ],
)
async def test_what_the_host_refuses_us_it_refuses_the_provider(
    host: tuple[Host, str], session: aiohttp.ClientSession, tmp_path: Path, name: str, severity: str, said: str
) -> None:
    (problem,) = await MediaCheck(known, session, is_local=True).problems(rows_of(tmp_path, host[1] + name))
    assert (problem.severity, said in problem.message) == (severity, True), problem


async def test_a_host_nobody_reaches_is_a_warning_without_its_signature(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    address = "http://127.0.0.1:9/a.png?X-Amz-Signature=secret"
    (problem,) = await MediaCheck(known, session, is_local=True).problems(rows_of(tmp_path, address))
    assert problem.severity == "warning"
    assert "secret" not in str(problem)


async def test_what_cannot_be_measured_is_a_warning_and_not_in_silence_true(tmp_path: Path) -> None:
    field = {
        "type": "string",
        "format": "video_uri",
        "validations": [
            {"validation_rule": "width_pixels<", "validation_value": 100},
            {"validation_rule": "fps<", "validation_value": 60},
        ],
    }
    schema = ModelSchema("a/b", {"properties": {"video": field}})
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    (tmp_path / "ads.csv").write_text("video\na.mp4\n")
    rows = [row for row in read(tmp_path / "ads.csv", lambda _: schema, default_model="a/b") if isinstance(row, Row)]
    problems = await MediaCheck(lambda _: schema).problems(rows)
    assert [problem.severity for problem in problems] == ["warning", "warning"]
    assert "'fps<' is not known" in problems[0].message
    assert "width_pixels could not be measured" in problems[1].message


async def test_a_hundred_thousand_rows_of_few_files_take_seconds(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(600, 400))
    rows = rows_of(tmp_path, *["a.png"] * 1_000) * 100
    started = time.process_time()
    problems: list[Problem] = []
    check = MediaCheck(known)
    for start in range(0, len(rows), 1_000):
        problems += await check.problems(rows[start : start + 1_000])
    assert problems == []
    assert time.process_time() - started < 5


WAN = "wan-ai/wan-3.0/image-to-video"
"""A model that has no rules on the size and shape of its picture."""

NO_PICTURES = {
    "html.jpg": (b"<!DOCTYPE html><html>no</html>", "a web page"),
    "sign-in.png": (b"\xef\xbb\xbf\n <html lang=en>", "a web page"),
    "error.png": (b'<?xml version="1.0"?><Error><Code>AccessDenied', "an error document"),
    "lfs.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n", "run git lfs pull"),
    "doc.pdf": (b"%PDF-1.4", "a PDF"),
    "slides.jpg": (b"PK\x03\x04\x14\0", "an office document"),
    "._mug.jpg": (b"\0\x05\x16\x07\0\x02\0\0", "which has the same name without ._"),
    "notes.png": ("\u00dcber das Bild ".encode() * 60, "but a text"),
    "answer.jpg": (b'{"detail": "not found"}', "but a text"),
    "film.jpg": (b"\0\0\0\x18ftypmp42" + bytes(100), "a video"),
    "song.png": (b"ID3\x04\0\0", "but sound"),
}


def asked(folder: Path, model: str, **cells: str) -> list[Row]:
    path = folder / "asked.csv"
    path.write_text(f"{','.join(cells)}\n{','.join(cells.values())}\n")
    return [row for row in read(path, known, default_model=model) if isinstance(row, Row)]


@pytest.mark.parametrize("name", NO_PICTURES)
async def test_a_local_file_that_is_no_picture_is_refused_also_by_a_model_without_rules(
    tmp_path: Path, name: str
) -> None:
    content, said = NO_PICTURES[name]
    (tmp_path / name).write_bytes(content)
    (problem,) = await MediaCheck(known).problems(asked(tmp_path, WAN, prompt="hi", image_url=name))
    assert (problem.severity, problem.path, problem.line) == ("error", "$.image_url", 2)
    assert said in problem.message
    assert "this is not a picture but " in problem.message


async def test_a_hosted_file_that_is_no_picture_is_refused_when_hosted_files_are_looked_at(
    tmp_path: Path, session: aiohttp.ClientSession, host: tuple[Host, str]
) -> None:
    files, url = host
    files.files["doc.png"] = NO_PICTURES["doc.pdf"][0] + bytes(1_000)
    files.files["mug.png"] = picture(20, 20)
    check = MediaCheck(known, session, is_local=True)
    (problem,) = await check.problems(asked(tmp_path, WAN, prompt="hi", image_url=url + "doc.png"))
    assert (problem.severity, "not a picture but a PDF" in problem.message) == ("error", True)
    assert await check.problems(asked(tmp_path, WAN, prompt="hi", image_url=url + "mug.png")) == []


PICTURES = {
    "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "heic": b"\0\0\0\x18ftypheic",
    "avif": b"\0\0\0\x18ftypavif",
    "jxl": b"\0\0\0\x0cJXL \r\n",
    "tiff": b"II*\0\x08",
    "psd": b"8BPS\0\x01",
    "svg": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">',
    "gif": b"GIF89a",
}


@pytest.mark.parametrize("form", PICTURES)
async def test_pictures_of_rarer_kinds_are_pictures(tmp_path: Path, form: str) -> None:
    (tmp_path / "mug").write_bytes(PICTURES[form] + bytes(20))
    assert await MediaCheck(known).problems(asked(tmp_path, WAN, prompt="hi", image_url="mug")) == []


async def test_bytes_that_nobody_knows_are_warned_of_and_not_refused(tmp_path: Path) -> None:
    (tmp_path / "mug.raw").write_bytes(bytes(range(128, 256)))
    (problem,) = await MediaCheck(known).problems(asked(tmp_path, WAN, prompt="hi", image_url="mug.raw"))
    assert (problem.severity, "of no known kind" in problem.message) == ("warning", True)
