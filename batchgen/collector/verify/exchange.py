"""What is said between a process that verifies and whoever asks it: a line of JSON each way."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from batchgen.collector.verify import Undecodable, Verified, verify


def question(path: Path) -> bytes:
    return json.dumps(str(path)).encode() + b"\n"


def answer(line: str) -> str:
    """`verified`, `undecodable` with the reason, or `failed` with errno and reason."""
    told: dict[str, Any]
    try:
        told = {"verified": asdict(verify(Path(json.loads(line))))}
    except Undecodable as error:
        told = {"undecodable": str(error)}
    except OSError as error:
        told = {"failed": [error.errno, error.strerror]}
    return json.dumps(told) + "\n"


def verified(answer: bytes) -> Verified:
    """What *answer* says. Raises Undecodable or OSError if it says that."""
    match json.loads(answer):
        case {"verified": fields}:
            return Verified(**fields)
        case {"undecodable": reason}:
            raise Undecodable(reason)
        case {"failed": [number, reason]}:
            raise OSError(number, reason)
    raise AssertionError(f"a verifier answered {answer!r}")
