"""Values that JSON can hold and a file or a database cannot."""

from __future__ import annotations

from batchgen.budget import micro
from batchgen.providers.contract import Rejected, Taken
from batchgen.providers.runcomfy import read_submit
from batchgen.providers.wire import Answer


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
