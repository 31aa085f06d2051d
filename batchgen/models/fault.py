"""What can be wrong with one request, and the models nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from batchgen.core.errors import Refusal
from batchgen.core.suggest import nearest


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request: its JSON path (`$.images[0]`), what is wrong and what to write.

    *rule* names the two faults that a whole file may share.
    """

    path: str
    message: str
    severity: Literal["error", "warning"] = "error"
    rule: Literal["unknown field", "required", ""] = ""


class ModelUnknown(Refusal):
    """No schema was found for *model_id*; *candidates* are the ids of models that are known."""

    def __init__(self, model_id: str, candidates: Sequence[str] = (), reason: str = "") -> None:
        self.model_id = model_id
        self.meant = nearest(model_id, candidates)
        self.reason = reason or f"no model is called {model_id!r}"
        hint = "" if reason else "; `batchgen models` lists them"
        super().__init__(self.reason + (f"; did you mean {self.meant!r}?" if self.meant else hint))


def shown(value: Any, limit: int = 60) -> str:
    """*value* as it may stand in a message: quoted, and cut in the middle when long."""
    text = repr(str(value)) if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else f"{text[: limit - 15]}…{text[-12:]}"
