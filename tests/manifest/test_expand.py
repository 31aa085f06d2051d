"""The matrix as GitHub Actions defines it, and templates that can neither escape nor explode."""

from __future__ import annotations

import itertools
import time

import pytest

from batchgen.core.templates import Matrix, TemplateFault, TextTemplate


def test_the_last_axis_changes_fastest() -> None:
    combinations = list(Matrix({"a": [1, 2], "b": ["x", "y"]}).combinations())
    assert combinations == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]


def test_an_exclude_takes_out_all_it_matches_in_part() -> None:
    axes: dict[str, list[object]] = {
        "os": ["macos", "windows"],
        "version": [12, 14, 16],
        "env": ["staging", "production"],
    }
    exclude = [{"os": "macos", "version": 12, "env": "production"}, {"os": "windows", "version": 16}]
    assert len(list(Matrix(axes, exclude=exclude).combinations())) == 9


def test_an_include_extends_what_it_does_not_contradict_and_stands_alone_otherwise() -> None:
    include: list[dict[str, str]] = [
        {"color": "green"},
        {"color": "pink", "animal": "cat"},
        {"fruit": "apple", "shape": "circle"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]
    found = list(Matrix({"fruit": ["apple", "pear"], "animal": ["cat", "dog"]}, include).combinations())
    assert found == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_a_matrix_of_includes_alone_is_a_list_of_them() -> None:
    assert list(Matrix({}, [{"a": 1}, {"a": 2}]).combinations()) == [{"a": 1}, {"a": 2}]


def test_a_million_combinations_come_one_at_a_time() -> None:
    started = time.process_time()
    axes = {name: range(100) for name in "abc"}
    assert len(list(itertools.islice(Matrix(axes).combinations(), 3))) == 3
    assert time.process_time() - started < 1


def test_a_template_writes_what_a_prompt_needs() -> None:
    template = TextTemplate(
        "{% if style %}{{ style|capitalize }} {% endif %}of {{ subject }}"
        "{% for item in props %}, {{ loop.index }} {{ item }}{% endfor %}{{ ' at ' ~ when|default('noon') }}"
    )
    assert template.required == {"style", "subject", "props"}
    names = {"style": "oil", "subject": "a cat", "props": ["hat", "bow"]}
    assert template.render(names) == "Oil of a cat, 1 hat, 2 bow at noon"


def test_a_name_that_is_not_there_fails_the_row() -> None:
    with pytest.raises(TemplateFault, match="'subject' is undefined"):
        TextTemplate("{{ subject }}").render({})


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''['__class__'] }}",
        "{{ x|attr('__class__') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum.__globals__ }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ range(10**9) }}",
        "{% include 'secret' %}",
        "{% import 'os' as os %}",
        "{% set x = x ~ x %}",
        "{% macro m() %}{% endmacro %}",
        "{% for a in x %}{% for b in x %}{{ a }}{% endfor %}{% endfor %}",
        "{% for a in x recursive %}{{ loop(a) }}{% endfor %}",
        "{{ 9**9**9 }}",
        "{{ 2**300 * 2**300 }}",
        "{{ 'x' * 1000000000 }}",
        "{{ x * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '%s' % x }}",
        "{{ x|center(1000000000) }}",
        "{{ x|indent(1000000000) }}",
        "{{ x|format(1) }}",
        "{{ x|replace('a', 'a' ~ x)" + "|replace('a', 'aaaaaaaaaa')" * 12 + " }}",
        "{{ x|join('xxxxxxxxxx')" + "|join('xxxxxxxxxx')" * 12 + " }}",
        "{{ x.upper }}",
        "{{ 1 / 0 }}",
        "{{ (" * 3000 + "1" + ") }}" * 3000,
        "{{ " + "-" * 9000 + "1 }}",
        "{{ x " + "~ x" * 40_000 + " }}",
    ],
)
def test_a_template_can_neither_escape_nor_explode(source: str) -> None:
    started = time.process_time()
    with pytest.raises(TemplateFault):
        TextTemplate(source).render({"x": "aaaa"})
    assert time.process_time() - started < 2
