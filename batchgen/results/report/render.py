"""The templates, filled in. Everything that comes from a manifest or a server is escaped as text."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from batchgen.core.text import STATE_WORDS
from batchgen.results.audit import Audit
from batchgen.results.report import charts, wording
from batchgen.results.report.rows import as_script
from batchgen.results.report.summary import Findings, Summary

_SCRIPTS = ("rows.js", "gallery.js", "large.js", "live.js")


@cache
def _text(name: str) -> str:
    return (files("batchgen.results.report") / "page" / name).read_text("utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(charts=charts, wording=wording, state_words=STATE_WORDS)
    return environment


def _script() -> str:
    return '"use strict";\n' + "\n".join(_text(name) for name in _SCRIPTS)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(live: bool) -> str:
    """The page's content security policy: our own script and style, files from here, nothing else.

    A file may load files beside it only; the live page may also speak to the server that it came from.
    """
    here = "'self'" if live else "'self' file:"
    rules = {
        "default-src": "'none'",
        "script-src": f"{_digest(_script())} {here}",
        "style-src": _digest(_text("style.css")),
        "img-src": f"{here} data:",
        "media-src": here,
        "base-uri": "'none'",
        "form-action": "'none'",
    } | ({"connect-src": "'self'"} if live else {})
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def page(
    summary: Summary,
    settings: Mapping[str, object],
    rows: object,
    findings: Findings | None = None,
    books: Audit | None = None,
) -> str:
    """The whole page; without *findings* and *books* it says that they are to come.

    *settings* and *rows* are for its script; `page/rows.js` says what it expects.
    """
    return (
        _environment()
        .get_template("page.html")
        .render(
            run=summary,
            found=findings,
            audit=books,
            policy=policy(live=bool(settings["live"])),
            style=_text("style.css"),
            script=_script(),
            settings=as_script(settings),
            rows=as_script(rows),
        )
    )


def part(name: str, **told: object) -> str:
    """One part of the page anew: summary, findings or account, from what its template names."""
    return _environment().get_template(f"{name}.html").render(**told)
