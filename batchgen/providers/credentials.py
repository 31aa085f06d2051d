"""Where the account's token comes from. Never from a flag, never into a file, a log or an error."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from batchgen.core.errors import Exit, Refusal

NAMES = ("RUNCOMFY_TOKEN", "RUNCOMFY_API_TOKEN", "RUNCOMFY_API_KEY")
NO_TOKEN = (
    f"no token: set {NAMES[0]} (or {NAMES[1]}, {NAMES[2]}, or {NAMES[0]}_FILE to a file that holds it); "
    "keys are made on your RunComfy profile page"
)


class TokenMissing(Refusal):
    """No token, or one that cannot be a token. Says where one may be put."""

    exit = Exit.TOKEN


def find_token(environ: Mapping[str, str] = os.environ) -> str:
    """The token from the environment, from the file a `*_FILE` variable names, or from the official CLI's file.

    Raises TokenMissing.
    """
    for name in NAMES:
        if environ.get(name, "").strip():
            return _checked(environ[name], name)
    for name in NAMES:
        if file := environ.get(f"{name}_FILE", "").strip():
            return _checked(_read(Path(file), f"{name}_FILE"), f"{name}_FILE")
    if (token := _from_official_cli(environ)) is not None:
        return _checked(token, "the RunComfy CLI's token file")
    raise TokenMissing(NO_TOKEN)


def why_none(environ: Mapping[str, str] = os.environ) -> TokenMissing:
    """What to tell somebody whose token was not found: also that the one there is cannot be a token."""
    try:
        find_token(environ)
    except TokenMissing as missing:
        return missing
    return TokenMissing(NO_TOKEN)


def _checked(token: str, origin: str) -> str:
    token = token.strip()
    if token.lower().startswith("bearer "):
        raise TokenMissing(f"{origin} starts with 'Bearer '; give the token alone")
    if not token or not token.isascii() or not token.isprintable() or " " in token or len(token) > 8192:
        raise TokenMissing(f"{origin} does not hold a token: it must be printable ASCII without spaces")
    return token


def _read(file: Path, origin: str) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TokenMissing(f"{origin} names a file that cannot be read ({error})") from None


def _from_official_cli(environ: Mapping[str, str]) -> str | None:
    if folder := environ.get("RUNCOMFY_CONFIG_DIR", "").strip():
        file = Path(folder) / "token.json"
    else:
        config = environ.get("XDG_CONFIG_HOME", "").strip() or f"{environ.get('HOME') or '~'}/.config"
        file = Path(config) / "runcomfy" / "token.json"
    try:
        token = json.loads(file.expanduser().read_text("utf-8"))["access_token"]
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):  # RuntimeError: the user has no home
        return None
    return token if isinstance(token, str) else None
