"""What flags mean, and that every flag but consent has a variable."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from batchgen.cli import app, spread
from batchgen.cli.app import VERBS
from batchgen.cli.flags import duration_s, in_flight, rate_per_min, size_bytes
from batchgen.cli.values import maker
from batchgen.providers.runcomfy.model_api import BASE_VARIABLES

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
    commands = [("", typer.main.get_command(app))]
    for path, command in commands:
        commands += [(f"{path} {name}".strip(), below) for name, below in getattr(command, "commands", {}).items()]
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
    there = set(getattr(typer.main.get_command(app), "commands", {}))
    assert {"run", "plan", "rehearse", "status", "collect", "retry", "serve", "models"} <= there


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["run", "m.csv", "--only", "a", "b", "-y"], ["run", "m.csv", "--only", "a", "--only", "b", "-y"]),
        (["run", "m.csv", "--only", "a"], ["run", "m.csv", "--only", "a"]),
        (["run", "--only", "a", "--out", "x", "m.csv"], ["run", "--only", "a", "--out", "x", "m.csv"]),
        (["run", "m.csv"], ["run", "m.csv"]),
    ],
)
def test_ids_after_only_are_all_meant_until_the_next_flag(typed: list[str], meant: list[str]) -> None:
    assert spread(typed) == meant


@pytest.mark.parametrize(
    ("text", "per_min"), [("30/min", 30.0), ("2/s", 120.0), ("60/h", 1.0), ("5", 5.0), (" 1.5 / second ", 90.0)]
)
def test_a_rate_is_so_many_a_minute(text: str, per_min: float) -> None:
    assert rate_per_min(text) == pytest.approx(per_min)


@pytest.mark.parametrize("text", ["0", "0/s", "-1/s", "fast", "1/day", ""])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="30/min"):
        rate_per_min(text)


@pytest.mark.parametrize(("text", "meant"), [("1", 1), ("1000", 1000), ("auto", None)])
def test_slots_are_one_to_a_thousand_or_auto(text: str, meant: int | None) -> None:
    assert in_flight(text) == meant


@pytest.mark.parametrize("text", ["0", "1001", "-1", "many", "1.5", ""])
def test_other_numbers_of_slots_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="1 to 1000"):
        in_flight(text)


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
    with pytest.raises(typer.BadParameter, match="write for example"):
        parse(text)


Limited = Annotated[int | None, typer.Option(min=1, max=64)]
Money = Annotated[float, typer.Option(min=0.0)]
Flag = Annotated[bool, typer.Option()]


@pytest.mark.parametrize(
    ("annotated", "typed", "meant"),
    [
        (Limited, "1", 1),
        (Limited, "64", 64),
        (Limited, 7, 7),
        (Money, "0", 0.0),
        (Money, "2.50", 2.5),
        (Flag, "1", True),
        (Flag, "True", True),
        (Flag, "off", False),
        (Flag, " ", False),
        (Flag, True, True),
        (Annotated[Path | None, typer.Option()], "a b", Path("a b")),
        (Annotated[list[str] | None, typer.Argument()], "a", "a"),
        (Annotated[float, typer.Option(parser=duration_s)], "2h", 7200.0),
    ],
)
def test_what_is_typed_becomes_what_the_command_takes(annotated: Any, typed: object, meant: object) -> None:
    made = maker(annotated)(typed)
    assert made == meant
    assert type(made) is type(meant)


@pytest.mark.parametrize(
    ("annotated", "typed", "told"),
    [
        (Limited, "0", "'0' is not a whole number from 1 to 64"),
        (Limited, "65", "'65' is not a whole number from 1 to 64"),
        (Limited, "1.5", "'1.5' is not a whole number"),
        (Limited, "", "'' is not a whole number"),
        (Money, "-0.01", "'-0.01' is not a number of at least 0"),
        (Money, "nan", "'nan' is not a number of at least 0"),
        (Money, "$5", "'$5' is not a number"),
        (Flag, "maybe", "'maybe' is neither yes nor no; write 1 or 0"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(annotated: Any, typed: str, told: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        maker(annotated)(typed)
    assert told in str(refused.value)


def test_the_list_of_commands_says_the_first_sentence_of_each() -> None:
    commands = getattr(typer.main.get_command(app), "commands", {})
    for verb, (_, sentence) in VERBS.items():
        told = " ".join(inspect.cleandoc(commands[verb].help).split())
        assert told.split(". ")[0].removesuffix(".") == sentence


def test_the_variables_of_the_base_are_those_that_a_script_is_read_with() -> None:
    (variables,) = {tuple(variables) for _, names, variables in options() if "--api-base" in names}
    assert variables == BASE_VARIABLES
