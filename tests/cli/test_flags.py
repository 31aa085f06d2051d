"""What flags mean, and that every flag but consent has a variable."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
import pytest

from batchgen.cli.app import VERBS, app
from batchgen.cli.flags import Number, WholeNumber, YesOrNo, duration_s, rate_per_min, size_bytes, slots
from batchgen.providers.runcomfy.model_api import BASE_VARIABLES
from tests.cli.commands import commands

CONSENT = {
    "--yes",
    "-y",
    "--all",
    "--rerun",
    "--rerun-changed",
    "--new-rows",
    "--release",
    "--give-up",
    "--adopt",
    "--rejected",
}
NO_SETTING = {"--help", "-h", "--version", "--install-completion", "--show-completion", "--parent-pid"}

Option = tuple[str, list[str], list[str]]


def options() -> Iterator[Option]:
    """(command, its names, its variables) of every option of every command."""
    for path, command in {"": app, **commands()}.items():
        for parameter in command.params:
            if parameter.param_type_name == "option":
                given = parameter.envvar
                yield path, parameter.opts, [given] if isinstance(given, str) else list(given or ())


@pytest.mark.parametrize("option", [*options()], ids=lambda option: f"{option[0]} {option[1][0]}")
def test_a_flag_has_a_variable_unless_it_consents_to_spend(option: Option) -> None:
    _, names, variables = option
    if {*names} & (CONSENT | NO_SETTING):
        assert variables == []
    else:
        assert any(name.startswith("BATCHGEN_") for name in variables), names


def test_the_commands_that_were_promised_are_there() -> None:
    assert {"run", "plan", "rehearse", "status", "collect", "retry", "serve", "models"} <= {*commands()}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["m.csv", "--only", "a", "b", "-y"], {"a", "b"}),
        (["m.csv", "--only", "a"], {"a"}),
        (["--only", "a", "--out", "x", "m.csv"], {"a"}),
        (["--only", "a", "--only", "b", "c", "--", "m.csv"], {"a", "b", "c"}),
        (["m.csv"], None),
    ],
)
def test_ids_after_only_are_all_meant_until_the_next_flag(typed: list[str], meant: set[str] | None) -> None:
    assert commands()["run"].make_context("run", typed).params["only"] == meant


@pytest.mark.parametrize("typed", [["--release", "--all"], ["--all"]])
def test_to_release_all_needs_no_row(typed: list[str]) -> None:
    params = commands()["reconcile"].make_context("reconcile", ["out", *typed, "--give-up", "a", "b"]).params
    assert (params["release"], params["release_all"], params["give_up"]) == ((), True, ("a", "b"))


@pytest.mark.parametrize(
    ("text", "per_min"), [("30/min", 30.0), ("2/s", 120.0), ("60/h", 1.0), ("5", 5.0), (" 1.5 / second ", 90.0)]
)
def test_a_rate_is_so_many_a_minute(text: str, per_min: float) -> None:
    assert rate_per_min(text) == pytest.approx(per_min)


@pytest.mark.parametrize("text", ["0", "0/s", "-1/s", "fast", "1/day", ""])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="30/min"):
        rate_per_min(text)


@pytest.mark.parametrize(("text", "meant"), [("1", 1), ("1000", 1000), ("auto", None)])
def test_slots_are_one_to_a_thousand_or_auto(text: str, meant: int | None) -> None:
    assert slots(text) == meant


@pytest.mark.parametrize("text", ["0", "1001", "-1", "many", "1.5", ""])
def test_other_numbers_of_slots_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="1 to 1000"):
        slots(text)


@pytest.mark.parametrize(
    ("text", "size"), [("500M", 500 * 1024**2), ("1GiB", 1024**3), ("0", 0), ("1.5k", 1536), ("7B", 7)]
)
def test_sizes_are_in_powers_of_1024(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("30m", 1800.0), ("2h", 7200.0), ("1d", 86400.0)])
def test_durations_have_a_unit_or_are_seconds(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds
    assert duration_s(str(seconds)) == seconds


@pytest.mark.parametrize(("parse", "text"), [(size_bytes, "1 pound"), (size_bytes, "-1"), (duration_s, "soon")])
def test_what_is_neither_is_refused(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(click.BadParameter, match="write for example"):
        parse(text)


LIMITED, MONEY, FLAG = WholeNumber(1, 64), Number(0.0), YesOrNo()


@pytest.mark.parametrize(
    ("kind", "typed", "meant"),
    [
        (LIMITED, "1", 1),
        (LIMITED, "64", 64),
        (LIMITED, 7, 7),
        (MONEY, "0", 0.0),
        (MONEY, "2.50", 2.5),
        (FLAG, "1", True),
        (FLAG, "True", True),
        (FLAG, "off", False),
        (FLAG, " ", False),
        (FLAG, True, True),
    ],
)
def test_what_is_typed_becomes_what_the_command_takes(
    kind: click.ParamType[object], typed: object, meant: object
) -> None:
    made = kind(typed)
    assert made == meant
    assert type(made) is type(meant)


@pytest.mark.parametrize(
    ("kind", "typed", "told"),
    [
        (LIMITED, "0", "'0' is not a whole number from 1 to 64"),
        (LIMITED, "65", "'65' is not a whole number from 1 to 64"),
        (LIMITED, "1.5", "'1.5' is not a whole number"),
        (LIMITED, "", "'' is not a whole number"),
        (MONEY, "-0.01", "'-0.01' is not a number of at least 0"),
        (MONEY, "nan", "'nan' is not a number of at least 0"),
        (MONEY, "$5", "'$5' is not a number"),
        (FLAG, "maybe", "'maybe' is neither yes nor no; write 1 or 0"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(kind: click.ParamType[object], typed: str, told: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        kind(typed)
    assert told in str(refused.value)


def test_the_list_of_commands_says_the_first_sentence_of_each() -> None:
    for verb, command in commands().items():
        sentence = VERBS[verb][1]
        told = " ".join(inspect.cleandoc(command.help or "").split())
        assert told.split(". ")[0].removesuffix(".") == sentence


def test_the_variables_of_the_base_are_those_that_a_script_is_read_with() -> None:
    (variables,) = {tuple(variables) for _, names, variables in options() if "--api-base" in names}
    assert variables == BASE_VARIABLES
