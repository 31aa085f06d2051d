"""Problems: each of them for machines, few lines for people, and no more memory for many."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from batchgen.core.row import Problem
from batchgen.manifest.problems import Problems, in_short


def of_rows(count: int, message: str = "'{0}a' is not a whole number; write {0}") -> Iterator[Problem]:
    for number in range(count):
        yield Problem("ads.csv", number + 2, "seed", f"row-{number}", "$.seed", message.format(number))


@pytest.mark.parametrize("count", [0, 1, 999, 1_000, 1_001, 5_000])
def test_every_problem_comes_back_as_it_was_added(count: int) -> None:
    problems = Problems(of_rows(count))
    for _ in range(2):
        assert list(problems) == list(of_rows(count))
    assert (len(problems), problems.errors, bool(problems)) == (count, count, count > 0)
    problems.add([Problem("ads.csv", None, None, None, None, "half a character \ud800", "warning")])
    assert list(problems)[-1].message == "half a character \ud800"
    assert (len(problems), problems.errors) == (count + 1, count)


def test_two_may_read_the_problems_at_once() -> None:
    problems = Problems(of_rows(3_000))
    assert all(one == other for one, other in zip(problems, problems, strict=True))


def test_a_hundred_thousand_problems_take_the_memory_of_a_thousand() -> None:
    tracemalloc.start()
    try:
        problems = Problems(of_rows(100_000))
        assert len(in_short(problems)) == 1
        assert sum(1 for _ in problems) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 4_000_000  # a list of them takes 60 MB
    finally:
        tracemalloc.stop()


def test_the_same_problem_of_many_rows_is_one_line_with_its_count_and_the_first_lines() -> None:
    (line,) = in_short(of_rows(500))
    assert line == ("ads.csv:2 seed: '0a' is not a whole number; write 0 (500 rows: lines 2, 3, 4, 5, 6, 7, 8, 9, ...)")


def test_two_entries_of_one_row_are_one_row() -> None:
    twice = [Problem("a.csv", 2, "images", "a", f"$.images[{place}]", "no file 'x.png'") for place in range(2)]
    assert in_short(twice) == ["a.csv:2 images: no file 'x.png'"]


def test_other_problems_other_columns_and_warnings_have_lines_of_their_own_and_errors_come_first() -> None:
    warning = Problem("ads.csv", 2, "seed", "a", None, "odd", "warning")
    problems = [warning, *of_rows(3), *of_rows(2, "too large"), Problem("ads.csv", 9, "text", None, None, "too large")]
    assert [line.partition(" (")[0] for line in in_short(problems)] == [
        "ads.csv:2 seed: '0a' is not a whole number; write 0",
        "ads.csv:2 seed: too large",
        "ads.csv:9 text: too large",
        "warning: ads.csv:2 seed: odd",
    ]


def test_a_report_of_many_kinds_ends_after_so_many_lines_and_counts_what_it_leaves_out() -> None:
    many = [Problem("a.csv", line, f"column {line}", None, None, "wrong") for line in range(5_000)]
    lines = in_short(many)
    assert len(lines) == 38
    assert lines[-1] == "... and 4,963 more; --json lists them"
