"""Run thousands of picture and video generations overnight: a manifest in, verified files out.

The names below are the Python API; `batchgen.api` documents them. They are loaded when they are first used, so that
the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

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
    from batchgen.billing import Plan, Refused
    from batchgen.exits import Exit, Refusal
    from batchgen.options import Options
    from batchgen.outcome import Report
    from batchgen.request import Problem
    from batchgen.runner import InvalidManifest
    from batchgen.standing import Standing

_HOMES = {
    "Exit": "exits",
    "InvalidManifest": "runner",
    "Options": "runner",
    "Plan": "billing",
    "Problem": "request",
    "Refusal": "exits",
    "Refused": "billing",
    "Report": "outcome",
    "Standing": "standing",
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
    "Standing",
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
