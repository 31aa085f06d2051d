"""Tests that need to trace processes: skipped with the reason where that is not allowed, unless it is required."""

from __future__ import annotations

import os
from functools import cache

import pytest

from tests.money.harness import no_tracing

_why_not = cache(no_tracing)
_required = "strace" in os.environ.get("BATCHGEN_TEST_REQUIRE", "")

traced = pytest.mark.skipif(
    not _required and _why_not() is not None, reason=f"tracing is not possible here: {_why_not()}"
)
"""Marks a test that runs the command under strace."""
