"""The flags that several commands share: one name, one variable and one meaning each.

A flag that sets an option of the run, as it is, bears the name that it has in `Options`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", int, float)


def rate_per_min(text: str | float) -> float:
    """`30/min`, `2/s` or a bare number of submits a minute."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:/\s*(s|sec|second|min|minute|h|hour))?\s*", str(text))
    if found is None or float(found[1]) <= 0:
        raise click.BadParameter(f"{text!r} is not a rate; write for example 30/min or 2/s")
    unit = (found[2] or "min")[0]
    return float(found[1]) * {"s": 60.0, "m": 1.0, "h": 1 / 60.0}[unit]


def slots(text: str | int) -> int | None:
    """A number of jobs, None for `auto`."""
    if str(text) == "auto":
        return None
    if not str(text).isdigit() or not 1 <= int(text) <= 1000:
        raise click.BadParameter(f"{text!r} is not a number from 1 to 1000, nor auto")
    return int(text)


_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def size_bytes(text: str | int) -> int:
    """`500M`, `1GiB` or a bare number of bytes."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", str(text), re.IGNORECASE)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a size; write for example 1GiB or 500M")
    return int(float(found[1]) * _UNITS[found[2].upper()])


_DURATIONS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_s(text: str | float) -> float:
    """`90s`, `30m`, `2h` or a bare number of seconds."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", str(text))
    if found is None:
        raise click.BadParameter(f"{text!r} is not a duration; write for example 2h, 90m or 7200")
    return float(found[1]) * _DURATIONS_S[found[2]]


def _notify_url(_ctx: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    """The URL of the flag or its variable, else of the file that BATCHGEN_NOTIFY_URL_FILE names. Never shown."""
    from batchgen.runner.notify import no_web_address

    url, origin = given, "the URL"
    if url is None and (file := os.environ.get("BATCHGEN_NOTIFY_URL_FILE", "").strip()):
        origin = "what BATCHGEN_NOTIFY_URL_FILE holds"
        try:
            url = Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(f"BATCHGEN_NOTIFY_URL_FILE names a file that cannot be read ({error})") from None
    if url is not None and (wrong := no_web_address(url)) is not None:
        raise click.BadParameter(f"{origin} {wrong}")
    return url


def _on_finish(_ctx: click.Context, _option: click.Parameter, command: str | None) -> str | None:
    from batchgen.runner.notify import no_command

    if command is not None and (wrong := no_command(command)) is not None:
        raise click.BadParameter(f"{command!r} {wrong}")
    return command


def _ids(_ctx: click.Context, _option: click.Parameter, row_ids: tuple[str, ...]) -> frozenset[str] | None:
    return frozenset(row_ids) or None


_BASE_VARIABLES = ["BATCHGEN_API_BASE", "RUNCOMFY_MODEL_API_BASE"]


def _api_base(ctx: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    """click takes an empty variable for one that is not set, and goes on to the next: the real provider at last."""
    source = ctx.get_parameter_source("api_base")
    if source is None or source.name != "COMMANDLINE":
        name = next((name for name in _BASE_VARIABLES if name in os.environ), None)
        given = None if name is None else os.environ[name]
    if given is not None and not given.strip():
        raise click.BadParameter("the API base is empty; leave flag and variable out to mean the provider's own")
    return given


class YesOrNo(click.types.BoolParamType):
    """A flag, or what its variable holds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        word = str(value).strip().lower()
        if word not in _YES | _NO:
            raise click.BadParameter(f"{value!r} is neither yes nor no; write 1 or 0")
        return word in _YES


_YES, _NO = frozenset({"1", "on", "t", "true", "y", "yes"}), frozenset({"", "0", "off", "f", "false", "n", "no"})


class WholeNumber(click.IntRange):
    """A whole number within its limits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return _within(self, whole_number(value), "a whole number", value)


class Number(click.FloatRange):
    """A number within its limits; nan is within none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return _within(self, number(value), "a number", value)


def whole_number(text: str | int) -> int:
    try:
        return int(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a whole number") from None


def number(text: str | float) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number") from None


def _within(limits: click.IntRange | click.FloatRange, made: T, kind: str, text: object) -> T:
    least, most = limits.min, limits.max
    if (least is not None and not made >= least) or (most is not None and not made <= most):
        words = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise click.BadParameter(f"{text!r} is not {kind} {words}")
    return made


PATH = click.Path(readable=False, path_type=Path)


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """An option; its help names its variable and its default."""
    return click.option(*names, **{"show_envvar": True, "show_default": True} | settings)


def switch(*names: str, **settings: Any) -> Callable[[F], F]:
    """A flag without a value; its variable holds yes or no."""
    return option(*names, is_flag=True, type=YesOrNo(), **settings)


def together(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    """Decorators as one, in the order in which `--help` lists them."""
    return lambda function: reduce(lambda inner, decorator: decorator(inner), reversed(decorators), function)


class Command(click.Command):
    """A command whose options with many values take all words up to the next flag: `--only a b`.

    `--release --all` needs no row: it is `--all`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        many = {name for option in self.params if getattr(option, "multiple", False) for name in option.opts}
        spread_out: list[str] = []
        flag, values = "", 0
        for position, argument in enumerate(args):
            if argument == "--release" and args[position + 1 : position + 2] == ["--all"]:
                continue
            if argument.startswith("-"):
                flag, values = argument, 0
            else:
                values += 1
                if flag in many and values > 1:
                    spread_out.append(flag)
            spread_out.append(argument)
        return super().parse_args(ctx, spread_out)


manifest = click.argument("manifest", metavar="MANIFEST", type=PATH, help="The rows: a CSV, TSV, JSONL or YAML file.")
out_folder = click.argument("out", metavar="OUT", type=PATH, help="A run folder.")
out = option(
    "--out",
    "-o",
    metavar="DIR",
    type=PATH,
    envvar="BATCHGEN_OUT",
    show_default="out/<name>/ beside the manifest",
    help="The run folder.",
)
in_flight = option(
    "--in-flight",
    "-j",
    metavar="N|auto",
    type=slots,
    envvar="BATCHGEN_IN_FLIGHT",
    default="auto",
    help="Jobs at the provider at once; auto learns how many it runs.",
)
submit_rate = option(
    "--submit-rate",
    metavar="N/min",
    type=rate_per_min,
    envvar="BATCHGEN_SUBMIT_RATE",
    show_default="none",
    help="Most submits in a minute.",
)
poll_rate = option(
    "--poll-rate",
    metavar="N/min",
    type=rate_per_min,
    envvar="BATCHGEN_POLL_RATE",
    show_default="6000/min",
    help="Most questions about jobs in a minute, over all jobs.",
)
pace = together(
    in_flight,
    submit_rate,
    poll_rate,
    switch(
        "--wait-for-balance",
        envvar="BATCHGEN_WAIT_FOR_BALANCE",
        help="Out of balance: hold on and try a row now and then, instead of ending with 4.",
    ),
    switch(
        "--wait-for-provider",
        envvar="BATCHGEN_WAIT_FOR_PROVIDER",
        help="Provider or model out of reach: hold on and try a row now and then, instead of ending with 5.",
    ),
)
"""How fast a command sends, and whether it waits: in_flight, submit_rate, poll_rate and wait_for_*."""
budget = option(
    "--budget",
    "budget_usd",
    metavar="USD",
    type=Number(0.0, 1e12),
    envvar="BATCHGEN_BUDGET",
    help="Most money the folder may ever cost; stays until another is given.",
)
limit = option("--limit", metavar="N", type=WholeNumber(0), envvar="BATCHGEN_LIMIT", help="Send at most N rows now.")
only = option("--only", metavar="ID...", multiple=True, callback=_ids, envvar="BATCHGEN_ONLY", help="Only these rows.")
yes = switch("--yes", "-y", help="Agree to the bill without being asked.")
as_json = switch("--json", "as_json", envvar="BATCHGEN_JSON", help="Print one JSON object on stdout.")
progress = together(
    as_json,
    switch(
        "--events",
        envvar="BATCHGEN_EVENTS",
        help="A JSON line on stdout for every event of every row, and every pause; docs/states-and-events.md has them.",
    ),
    switch("--quiet", "-q", envvar="BATCHGEN_QUIET", help="No progress."),
    switch("--verbose", "-v", envvar="BATCHGEN_VERBOSE", help="Show on stderr what --log writes, in words."),
    option(
        "--log",
        metavar="FILE",
        type=PATH,
        envvar="BATCHGEN_LOG",
        help="Add a JSON line to FILE for every event, every exchange that went wrong and every pause.",
    ),
)
"""What a command shows while it is at work: as_json, events, quiet, verbose and log."""
api_base = option(
    "--api-base",
    metavar="URL",
    callback=_api_base,
    envvar=_BASE_VARIABLES,
    help="The API's address, with or without /v1.",
)
job_timeout = option(
    "--job-timeout",
    "job_timeout_s",
    metavar="TIME",
    type=duration_s,
    envvar="BATCHGEN_JOB_TIMEOUT",
    default="2h",
    help="A job older than this is overdue: waited for, never sent again.",
)
min_free = option(
    "--min-free",
    "min_free_bytes",
    metavar="SIZE",
    type=size_bytes,
    envvar="BATCHGEN_MIN_FREE",
    default="1GiB",
    help="Stop submitting when less disk than this is free.",
)
inline_files = switch(
    "--inline-files", envvar="BATCHGEN_INLINE_FILES", help="Send local input files inside the request."
)
changes = together(
    switch("--rerun-changed", help="Pay again for rows that were paid for and have changed."),
    switch("--keep-changed", envvar="BATCHGEN_KEEP_CHANGED", help="Keep changed rows as they were paid for."),
    switch("--new-rows", help="New rows are new, although paid ones without an id left, or lie in another folder."),
)
"""What becomes of rows that are not as they were: rerun_changed, keep_changed and new_rows."""
downloads = together(
    option(
        "--downloads",
        metavar="N",
        type=WholeNumber(1, 200),
        envvar="BATCHGEN_DOWNLOADS",
        default=16,
        help="Rows downloaded at once.",
    ),
    option(
        "--collect-workers",
        metavar="N",
        type=WholeNumber(1, 64),
        envvar="BATCHGEN_COLLECT_WORKERS",
        help="Processes that decode what was downloaded. [default: one a processor but one, at most 8]",
    ),
)
"""How much is collected at once: downloads and collect_workers."""
offline = switch("--offline", envvar="BATCHGEN_OFFLINE", help="Schemas from the cache or the package only.")
check_urls = switch(
    "--check-urls", envvar="BATCHGEN_CHECK_URLS", help="Look at hosted input files, too (a few bytes each)."
)
prices = option(
    "--prices", metavar="FILE", type=PATH, envvar="BATCHGEN_PRICES", help="A YAML price list, `model: USD` a line."
)
hooks = together(
    option(
        "--notify-url",
        metavar="URL",
        callback=_notify_url,
        envvar="BATCHGEN_NOTIFY_URL",
        help="Post counts, cost and exit code there at the end; as a secret better in the variable, or in the file "
        "that BATCHGEN_NOTIFY_URL_FILE names.",
    ),
    option(
        "--on-finish",
        metavar="CMD",
        callback=_on_finish,
        envvar="BATCHGEN_ON_FINISH",
        help="Run this at the end, without a shell, with BATCHGEN_EXIT and more in its environment.",
    ),
)
"""Who is told of the end: notify_url and on_finish."""
latency = option(
    "--latency",
    metavar="SPREAD",
    envvar="BATCHGEN_LATENCY",
    default="lognormal:2s",
    help="How long jobs run: fixed:50ms, lognormal:2s (the median), uniform:1s:3s or bimodal:8s:60s.",
)
