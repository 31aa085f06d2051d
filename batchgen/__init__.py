"""Run thousands of picture and video generations overnight: a manifest in, verified files out.

The names below are the Python API; `batchgen.api` documents them. They are loaded when they are first used, so that
the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from batchgen.core.version import __version__ as __version__

if TYPE_CHECKING:
    from batchgen.api import (
        collect,
        collect_async,
        plan,
        plan_async,
        records,
        rehearse,
        rehearse_async,
        retry,
        retry_async,
        run,
        run_async,
        status,
    )
    from batchgen.core.errors import Exit, Refusal
    from batchgen.core.row import Problem
    from batchgen.results.status import RunStatus
    from batchgen.runner.bill import Plan, Refused
    from batchgen.runner.commands import InvalidManifest
    from batchgen.runner.options import Options
    from batchgen.runner.outcome import Report

_HOMES = {
    "Exit": "core.errors",
    "InvalidManifest": "runner.commands",
    "Options": "runner.commands",
    "Plan": "runner.bill",
    "Problem": "core.row",
    "Refusal": "core.errors",
    "Refused": "runner.bill",
    "Report": "runner.outcome",
    "RunStatus": "results.status",
}

__all__ = [
    "Exit",
    "InvalidManifest",
    "Options",
    "Plan",
    "Problem",
    "Refusal",
    "Refused",
    "Report",
    "RunStatus",
    "collect",
    "collect_async",
    "plan",
    "plan_async",
    "records",
    "rehearse",
    "rehearse_async",
    "retry",
    "retry_async",
    "run",
    "run_async",
    "status",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'batchgen' has no attribute {name!r}")
    return getattr(import_module(f"batchgen.{_HOMES.get(name, 'api')}"), name)
