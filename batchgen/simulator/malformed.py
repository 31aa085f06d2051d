"""Answers with one malformed value in them: what a bug, a gateway or an attacker makes of a good one.

Every kind is harmless to whoever reads JSON and HTTP with care. Which kind an answer gets is rolled for by its job, so
it is the same in every run.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

Body = dict[str, Any]
HALF_A_CHARACTER = "\ud83d"
DEEPER_THAN_ANY_ANSWER = 200
AS_DEEP_AS_SOME = 30
MORE_DIGITS_THAN_A_NUMBER_HAS = 5_000


@dataclass(frozen=True)
class Kind:
    """One malformed value: *change* makes an answer's bytes of its good body. *costs_the_row*: nothing that could be
    downloaded is left, however often the answer is asked for.
    """

    change: Callable[[Body], bytes]
    costs_the_row: bool = False


def _encoded(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _with(**values: Any) -> Callable[[Body], bytes]:
    """The good body, but for *values*."""
    return lambda body: _encoded({**body, **values})


def _without(name: str) -> Callable[[Body], bytes]:
    return lambda body: _encoded({key: value for key, value in body.items() if key != name})


def _with_text(name: str, text: str) -> Callable[[Body], bytes]:
    """The good body with JSON *text* for *name*, which need not be JSON that Python can write."""
    return lambda body: _encoded({**body, name: "@"}).replace(b'"@"', text.encode())


def _all(content: bytes) -> Callable[[Body], bytes]:
    return lambda body: content


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def _links(link: Any) -> Kind:
    """*link* in the place of every link of the output."""

    def change(body: Body) -> bytes:
        output = body.get("output")
        if isinstance(output, dict):
            replaced: Any = {
                key: [link] * len(value) if isinstance(value, list) else link for key, value in output.items()
            }
        else:
            replaced = [link] * len(output) if isinstance(output, list) else link
        return _encoded({**body, "output": replaced})

    return Kind(change, costs_the_row=True)


def _output(output: Any) -> Kind:
    return Kind(_with(output=output), costs_the_row=True)


def _beside(output: Any) -> Kind:
    """*output* beside the good one, under keys of its own."""

    def change(body: Body) -> bytes:
        good = body.get("output")
        return _encoded({**body, "output": {**(good if isinstance(good, dict) else {"images": good}), **output}})

    return Kind(change)


def _failed(error: Any) -> Kind:
    """A failure whose *error* is odd."""

    def change(body: Body) -> bytes:
        return _encoded({**_rest(body, "output"), "status": "failed", "error": error})

    return Kind(change, costs_the_row=True)


def _rest(body: Body, without: str) -> Body:
    return {key: value for key, value in body.items() if key != without}


NO_ADDRESSES = {
    "port_too_high": "http://127.0.0.1:99999/a.png",
    "port_a_word": "http://127.0.0.1:port/a.png",
    "bracket_open": "http://[::1/a.png",
    "bracket_empty": "http://[]/a.png",
    "two_dots": "http://a..b/a.png",
    "label_too_long": f"http://{'a' * 64}.invalid/a.png",
    "host_too_long": f"http://{'abcdefg.' * 40}invalid/a.png",
    "nul_in_host": "http://a\0b.invalid/a.png",
    "blank_in_host": "http://a b.invalid/a.png",
    "no_host": "http:///a.png",
    "half_a_character": f"http://{HALF_A_CHARACTER}.invalid/a.png",
}
"""What looks like a link and leads nowhere: no name is looked up and nobody is called for it."""

_UNREADABLE: dict[str, Kind] = {
    "word_missing": Kind(_without("status")),
    "word_null": Kind(_with(status=None)),
    "word_number": Kind(_with(status=200)),
    "word_list": Kind(_with(status=["completed"])),
    "word_object": Kind(_with(status={"word": "completed"})),
    "word_blank": Kind(_with(status=" ")),
    "word_odd": Kind(_with(status="thawing")),
    "word_long": Kind(_with(status="completed" * 1_000)),
    "word_control": Kind(_with(status="\x1b[2Jcompleted\x07")),
    "word_half_a_character": Kind(_with(status=HALF_A_CHARACTER)),
    "other_id": Kind(_with(request_id="00000000-0000-4000-8000-000000000000")),
    "id_of_other_type": Kind(_with(request_id=["00000000-0000-4000-8000-000000000000"])),
    "body_list": Kind(lambda body: _encoded([body])),
    "body_text": Kind(lambda body: _encoded("completed")),
    "body_number": Kind(_all(b"1e999")),
    "body_null": Kind(_all(b"null")),
    "body_empty": Kind(_all(b"")),
    "body_cut": Kind(lambda body: _encoded(body)[:-1]),
    "body_twice": Kind(lambda body: _encoded(body) * 2),
    "body_not_utf8": Kind(lambda body: b"\xff\xfe" + _encoded(body)),
    "body_nested": Kind(_all(_nested(DEEPER_THAN_ANY_ANSWER).encode())),
    "error_code_odd": Kind(lambda body: _encoded({"error_code": {"code": 200}, "error_message": ["?"]})),
}
"""An answer to a question that says nothing about its job: it is asked again."""

KINDS: Mapping[str, Mapping[str, Kind]] = {
    "submit": {
        "id_missing": Kind(_without("request_id")),
        "id_null": Kind(_with(request_id=None)),
        "id_empty": Kind(_with(request_id="")),
        "id_blank": Kind(_with(request_id=" \t")),
        "id_list": Kind(_with(request_id=[])),
        "id_object": Kind(_with(request_id={"id": "?"})),
        "id_true": Kind(_with(request_id=True)),
        "id_fraction": Kind(_with(request_id=0.5)),
        "body_list": Kind(lambda body: _encoded([body])),
        "body_text": Kind(lambda body: _encoded(body.get("request_id"))),
        "body_cut": Kind(lambda body: _encoded(body)[:-1]),
        "body_nested": Kind(_all(_nested(DEEPER_THAN_ANY_ANSWER).encode())),
        "error_code_odd": Kind(_all(b'{"error_code": [], "error_message": {}}')),
    },
    "status": {
        **_UNREADABLE,
        "position_text": Kind(_with(queue_position="soon")),
        "position_negative": Kind(_with(queue_position=-1)),
        "position_huge": Kind(_with_text("queue_position", "9" * MORE_DIGITS_THAN_A_NUMBER_HAS)),
        "links_odd": Kind(_with(status_url=17, result_url=None, cancel_url=[{}])),
    },
    "result": {**_UNREADABLE, "other_model": Kind(_with(model_id="nobody/nothing/at-all"))},
    "job": {
        **{f"link_{name}": _links(link) for name, link in NO_ADDRESSES.items()},
        "link_of_a_file": _links("file:///etc/hostname"),
        "link_of_a_script": _links("javascript:void(0)"),
        "link_blank": _links("   "),
        "link_number": _links(17),
        "link_true": _links(True),
        "link_null": _links(None),
        "link_object": _links({"href": 17}),
        "output_missing": Kind(_without("output"), costs_the_row=True),
        "output_null": _output(None),
        "output_number": _output(1e308),
        "output_true": _output(True),
        "output_text": _output("succeeded"),
        "output_empty": _output([]),
        "output_nested": Kind(_with_text("output", _nested(AS_DEEP_AS_SOME)), costs_the_row=True),
        "error_number": _failed(1e308),
        "error_list": _failed([None, {}, []]),
        "error_object": _failed({"": {"": None}}),
        "error_half_a_character": _failed(f"refused {HALF_A_CHARACTER}"),
        "error_long": _failed("refused " * 10_000),
        "error_control": _failed("\x1b[2Jrefused\r\n\0"),
        "cost_text": Kind(_with(cost="free")),
        "cost_negative": Kind(_with(cost=-1)),
        "cost_no_number": Kind(_with(cost=float("nan"))),
        "cost_infinite": Kind(_with(cost=float("inf"))),
        "cost_huge": Kind(_with_text("cost", "9" * MORE_DIGITS_THAN_A_NUMBER_HAS)),
        "cost_list": Kind(_with(cost=[0.03])),
        "cost_object": Kind(_with(cost={"usd": 0.03})),
        "cost_true": Kind(_with(cost=True)),
        "times_odd": Kind(_with(created_at=-1e99, finished_at={})),
        "id_missing": Kind(_without("request_id")),
        "model_missing": Kind(_without("model_id")),
        "more_nested": Kind(_with_text("logs", _nested(AS_DEEP_AS_SOME))),
        "beside_no_address": _beside({"preview": NO_ADDRESSES["bracket_open"]}),
        "beside_odd_types": _beside({"seed": 10**40, "safe": None, "": [{}], "info": HALF_A_CHARACTER}),
    },
    "download": {
        **{f"location_{name}": Kind(_all(link.encode())) for name, link in NO_ADDRESSES.items() if link.isprintable()},
        "location_empty": Kind(_all(b"")),
        "location_of_a_file": Kind(_all(b"file:///etc/hostname")),
    },
}
"""By what is malformed: the answer to a POST (its job is made and charged), one answer about a job, all results of a
job, the Location of a file that has moved.
"""


def kind_name(of: str, asked_for: str, roll: float) -> str:
    """The kind that *asked_for* names, or the one that *roll*, in [0, 1), falls on."""
    return asked_for or list(KINDS[of])[int(roll * len(KINDS[of]))]


def malformed_answer(of: str, kind: str, body: Body, status: int = 200) -> web.Response:
    """*body* with a malformed value of *kind*."""
    content = KINDS[of][kind].change(body)
    return web.Response(body=content, status=status, headers={"Content-Type": "application/json"})


def moved_nowhere(kind: str) -> web.Response:
    """A redirect of a file to what is no address."""
    return web.Response(status=302, headers={"Location": KINDS["download"][kind].change({}).decode()})
