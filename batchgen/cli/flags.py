"""The flags that several commands share: one name, one variable and one meaning each."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer


def rate_per_min(text: str | float) -> float:
    """`30/min`, `2/s` or a bare number of submits a minute."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:/\s*(s|sec|second|min|minute|h|hour))?\s*", str(text))
    if found is None or float(found[1]) <= 0:
        raise typer.BadParameter(f"{text!r} is not a rate; write for example 30/min or 2/s")
    unit = (found[2] or "min")[0]
    return float(found[1]) * {"s": 60.0, "m": 1.0, "h": 1 / 60.0}[unit]


def in_flight(text: str | int) -> int | None:
    """A number of jobs, None for `auto`."""
    if str(text) == "auto":
        return None
    if not str(text).isdigit() or not 1 <= int(text) <= 1000:
        raise typer.BadParameter(f"{text!r} is not a number from 1 to 1000, nor auto")
    return int(text)


_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def size_bytes(text: str | int) -> int:
    """`500M`, `1GiB` or a bare number of bytes."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", str(text), re.IGNORECASE)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a size; write for example 1GiB or 500M")
    return int(float(found[1]) * _UNITS[found[2].upper()])


_DURATIONS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_s(text: str | float) -> float:
    """`90s`, `30m`, `2h` or a bare number of seconds."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", str(text))
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a duration; write for example 2h, 90m or 7200")
    return float(found[1]) * _DURATIONS_S[found[2]]


def _notify_url(given: str | None) -> str | None:
    """The URL of the flag or its variable, else of the file that BATCHGEN_NOTIFY_URL_FILE names. Never shown."""
    from batchgen.runner.notify import no_web_address

    url, origin = given, "the URL"
    if url is None and (file := os.environ.get("BATCHGEN_NOTIFY_URL_FILE", "").strip()):
        origin = "what BATCHGEN_NOTIFY_URL_FILE holds"
        try:
            url = Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(f"BATCHGEN_NOTIFY_URL_FILE names a file that cannot be read ({error})") from None
    if url is not None and (wrong := no_web_address(url)) is not None:
        raise typer.BadParameter(f"{origin} {wrong}")
    return url


def _on_finish(command: str | None) -> str | None:
    from batchgen.runner.notify import no_command

    if command is not None and (wrong := no_command(command)) is not None:
        raise typer.BadParameter(f"{command!r} {wrong}")
    return command


_BASE_VARIABLES = ["BATCHGEN_API_BASE", "RUNCOMFY_MODEL_API_BASE"]


def _api_base(ctx: typer.Context, given: str | None) -> str | None:
    """typer takes an empty variable for one that is not set, and goes on to the next: the real provider at last."""
    source = ctx.get_parameter_source("api_base")
    if source is None or source.name != "COMMANDLINE":
        name = next((name for name in _BASE_VARIABLES if name in os.environ), None)
        given = None if name is None else os.environ[name]
    if given is not None and not given.strip():
        raise typer.BadParameter("the API base is empty; leave flag and variable out to mean the provider's own")
    return given


Manifest = Annotated[
    Path, typer.Argument(metavar="MANIFEST", help="The rows: a CSV, TSV, JSONL or YAML file.", show_default=False)
]
OutFolder = Annotated[Path, typer.Argument(metavar="OUT", help="A run folder.", show_default=False)]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        envvar="BATCHGEN_OUT",
        show_default="out/<name>/ beside the manifest",
        help="The run folder.",
    ),
]
InFlight = Annotated[
    int | None,
    typer.Option(
        "--in-flight",
        "-j",
        metavar="N|auto",
        parser=in_flight,
        envvar="BATCHGEN_IN_FLIGHT",
        show_default="auto",
        help="Jobs at the provider at once; auto learns how many it runs.",
    ),
]
SubmitRate = Annotated[
    float | None,
    typer.Option(
        metavar="N/min",
        parser=rate_per_min,
        envvar="BATCHGEN_SUBMIT_RATE",
        show_default="none",
        help="Most submits in a minute.",
    ),
]
PollRate = Annotated[
    float | None,
    typer.Option(
        metavar="N/min",
        parser=rate_per_min,
        envvar="BATCHGEN_POLL_RATE",
        show_default="6000/min",
        help="Most questions about jobs in a minute, over all jobs.",
    ),
]
WaitForBalance = Annotated[
    bool,
    typer.Option(
        "--wait-for-balance",
        envvar="BATCHGEN_WAIT_FOR_BALANCE",
        help="Out of balance: hold on and try a row now and then, instead of ending with 4.",
    ),
]
WaitForProvider = Annotated[
    bool,
    typer.Option(
        "--wait-for-provider",
        envvar="BATCHGEN_WAIT_FOR_PROVIDER",
        help="Provider or model out of reach: hold on and try a row now and then, instead of ending with 5.",
    ),
]
Budget = Annotated[
    float | None,
    typer.Option(
        metavar="USD",
        min=0.0,
        max=1e12,
        envvar="BATCHGEN_BUDGET",
        help="Most money the folder may ever cost; stays until another is given.",
    ),
]
Limit = Annotated[
    int | None, typer.Option(metavar="N", min=0, envvar="BATCHGEN_LIMIT", help="Send at most N rows now.")
]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="ID...", envvar="BATCHGEN_ONLY", help="Only these rows.", show_default=False),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Agree to the bill without being asked.")]
Json = Annotated[bool, typer.Option("--json", envvar="BATCHGEN_JSON", help="Print one JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", envvar="BATCHGEN_QUIET", help="No progress.")]
Events = Annotated[
    bool,
    typer.Option(
        "--events",
        envvar="BATCHGEN_EVENTS",
        help="A JSON line on stdout for every event of every row, and every pause; docs/states-and-events.md has them.",
    ),
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", envvar="BATCHGEN_VERBOSE", help="Show on stderr what --log writes, in words."),
]
Log = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        envvar="BATCHGEN_LOG",
        help="Add a JSON line to FILE for every event, every exchange that went wrong and every pause.",
    ),
]
ApiBase = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        callback=_api_base,
        envvar=_BASE_VARIABLES,
        help="The API's address, with or without /v1.",
    ),
]
JobTimeout = Annotated[
    float,
    typer.Option(
        metavar="TIME",
        parser=duration_s,
        envvar="BATCHGEN_JOB_TIMEOUT",
        show_default="2h",
        help="A job older than this is overdue: waited for, never sent again.",
    ),
]
MinFree = Annotated[
    int,
    typer.Option(
        metavar="SIZE",
        parser=size_bytes,
        envvar="BATCHGEN_MIN_FREE",
        show_default="1GiB",
        help="Stop submitting when less disk than this is free.",
    ),
]
InlineFiles = Annotated[
    bool,
    typer.Option("--inline-files", envvar="BATCHGEN_INLINE_FILES", help="Send local input files inside the request."),
]
RerunChanged = Annotated[
    bool, typer.Option("--rerun-changed", help="Pay again for rows that were paid for and have changed.")
]
KeepChanged = Annotated[
    bool,
    typer.Option("--keep-changed", envvar="BATCHGEN_KEEP_CHANGED", help="Keep changed rows as they were paid for."),
]
NewRows = Annotated[
    bool,
    typer.Option(
        "--new-rows", help="New rows are new, although paid ones without an id left, or lie in another folder."
    ),
]
Downloads = Annotated[
    int, typer.Option(metavar="N", min=1, max=200, envvar="BATCHGEN_DOWNLOADS", help="Rows downloaded at once.")
]
CollectWorkers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=64,
        envvar="BATCHGEN_COLLECT_WORKERS",
        help="Processes that decode what was downloaded. [default: one a processor but one, at most 8]",
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline", envvar="BATCHGEN_OFFLINE", help="Schemas from the cache or the package only.")
]
CheckUrls = Annotated[
    bool,
    typer.Option(
        "--check-urls", envvar="BATCHGEN_CHECK_URLS", help="Look at hosted input files, too (a few bytes each)."
    ),
]
Prices = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE", envvar="BATCHGEN_PRICES", help="A YAML price list, `model: USD` a line."),
]
Canary = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, envvar="BATCHGEN_CANARY", help="Send N rows first, and ask again with their cost."
    ),
]
NotifyUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        callback=_notify_url,
        envvar="BATCHGEN_NOTIFY_URL",
        help="Post counts, cost and exit code there at the end; as a secret better in the variable, or in the file "
        "that BATCHGEN_NOTIFY_URL_FILE names.",
    ),
]
OnFinish = Annotated[
    str | None,
    typer.Option(
        metavar="CMD",
        callback=_on_finish,
        envvar="BATCHGEN_ON_FINISH",
        help="Run this at the end, without a shell, with BATCHGEN_EXIT and more in its environment.",
    ),
]
