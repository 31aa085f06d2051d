"""Values that JSON can hold and a file or a database cannot."""

from __future__ import annotations

from typing import Any

import pytest

from batchgen.core.money import micro
from batchgen.providers.answers import read_result, read_status, read_submit
from batchgen.providers.contract import Failure, Lost, NoNews, Over, Rejected, Success, Taken, Waiting
from batchgen.providers.httpanswer import Answer, json_of
from batchgen.simulator.malformed import KINDS


def test_half_a_character_in_a_reason_or_an_id_can_be_written_down() -> None:
    refused = read_submit(Answer(422, {}, {"detail": "bad prompt \ud83d"}, ""))
    taken = read_submit(Answer(200, {}, {"request_id": "id-\ud83d"}, ""))
    assert isinstance(refused, Rejected)
    assert isinstance(taken, Taken)
    assert refused.reason.encode()
    assert taken.request_id.encode()


def test_a_cost_that_no_account_could_hold_is_no_cost() -> None:
    assert micro(1e300) is None
    assert micro("1e999999") is None
    assert micro(1e12) == 10**18


def test_a_code_of_thousands_of_digits_is_no_code() -> None:
    assert read_submit(Answer(200, {}, {"error_code": "9" * 5000}, "")) is not None


ID, MODEL = "id-1", "maker/model"
STATUS = {"request_id": ID, "status": "completed"}
RESULT: dict[str, Any] = {
    **STATUS,
    "status": "succeeded",
    "model_id": MODEL,
    "output": {"images": ["https://files.example/a.png"]},
}


def answered(of: str, kind: str, good: dict[str, Any]) -> Answer:
    text = KINDS[of][kind].change(good).decode(errors="replace")
    return Answer(200, {}, json_of(text), text[:300])


@pytest.mark.parametrize("kind", KINDS["submit"])
def test_a_malformed_answer_to_a_post_leaves_doubt(kind: str) -> None:
    assert isinstance(read_submit(answered("submit", kind, {"request_id": ID})), Lost)


@pytest.mark.parametrize("kind", KINDS["status"])
def test_a_malformed_status_is_no_news_or_is_read_as_if_the_odd_value_were_not_there(kind: str) -> None:
    told = read_status(answered("status", kind, STATUS), ID)
    assert told == Over("completed") or isinstance(told, NoNews | Waiting)
    assert isinstance(told, Over) == kind.startswith(("position", "links"))


@pytest.mark.parametrize("kind", KINDS["result"])
def test_a_malformed_result_is_not_taken(kind: str) -> None:
    told = read_result(answered("result", kind, RESULT), ID, MODEL)
    assert isinstance(told, NoNews) or told == Waiting(None, told.word)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", KINDS["job"])
def test_a_result_with_one_malformed_value_is_read_with_what_is_right_in_it(kind: str) -> None:
    told = read_result(answered("job", kind, {**RESULT, "cost": 0.03}), ID, MODEL)
    assert isinstance(told, Success | Failure)
    assert told.cost_micro == (None if kind.startswith("cost") else 30_000)
    if isinstance(told, Failure):
        assert told.reason.encode()
        assert len(told.reason) <= 300
    elif not KINDS["job"][kind].costs_the_row:
        assert "https://files.example/a.png" in [output.url for output in told.outputs]
