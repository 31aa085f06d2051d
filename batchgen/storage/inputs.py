"""Local input files on their way into a request: read, checked against what was priced, inlined."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
from pathlib import Path
from typing import Any

from batchgen.core.job import Job
from batchgen.core.text import put_at


class InputChanged(Exception):
    """A local input file is not what it was when the row was checked; the row is not sent."""


def body_of(job: Job) -> dict[str, Any]:
    """What is sent for *job*: its input, with every local file as a `data:` URI.

    Each file is hashed again. Raises InputChanged if one is missing or differs.
    """
    body = dict(job.input)
    for file in job.files:
        put_at(body, str(file["pointer"]), _inlined(Path(file["path"]), file["sha256"]))
    return body


def _inlined(path: Path, sha256: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputChanged(f"{path} cannot be read ({error.strerror})") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputChanged(f"{path} has changed since the manifest was checked; run again to take the new file")
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
