"""Outputs that are text, and the pages that stand in an output's place to say that there is none."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple


class Undecodable(Exception):
    """The bytes are certainly no output: nothing, an error page, or a part of a file. Says which."""


class TextKind(NamedTuple):
    """*is_marked*: its first words say what it is."""

    media_type: str
    extension: str
    is_marked: bool


_BLANKS = b"\xef\xbb\xbf \t\r\n"
_NOTHING = (b"", b"{}", b"[]", b"null", b'""')
_LONGEST_NOTICE_BYTES = 1024
_ROOT = re.compile(rb"(?:<\?.*?\?>|<!--.*?-->|<!doctype[^>\[]*(?:\[.*?\])?>|\s)*<([a-z_][\w.:-]*)", re.DOTALL)
_PAGE_ROOTS = {b"html", b"head", b"body", b"title"}

_NOTICE = re.compile(
    r"\W*(error\b|err:|exception\b|[45]\d\d\b|access ?denied|forbidden|unauthori[sz]ed|not ?found|expired|"
    r"bad (request|gateway)|service unavailable|gateway time-?out|internal server error|no such (key|file|bucket)|"
    r"no healthy upstream|upstream (connect|request)|too many requests|invalid (signature|token|url)|signature|"
    r"request (has )?expired|"
    r"(the |this )?(link|url|request|token|file|resource|object|page) (has |is |was |does |could |cannot |not ))",
    re.IGNORECASE,
)
_WORDS_OF_TROUBLE = re.compile(
    r"expired|denied|not (be )?found|not exist|no longer|invalid|forbidden|unavailable|error|fail|reset|overflow|"
    r"time-?out|timed out|upstream|[45]\d\d\b|too many|mismatch|does ?n.t match|unauthori[sz]ed",
    re.IGNORECASE,
)
_ERROR_KEY = re.compile(r"(error|errors|err|fault|exception)([_ -]?(code|message|msg|type))?", re.IGNORECASE)
_SAYS_WHAT = {"message", "msg", "detail", "title", "reason"}
_SAYS_WHICH = {"code", "status", "statuscode", "status_code", "requestid", "request_id", "timestamp", "path", "type"}

_MARKS = (
    (re.compile(rb"WEBVTT"), "text/vtt", "vtt"),
    (re.compile(rb"\d+\r?\n\d\d:\d\d:\d\d[,.]\d{3} --> "), "application/x-subrip", "srt"),
    (re.compile(rb"#EXTM3U"), "application/vnd.apple.mpegurl", "m3u8"),
    (re.compile(rb"#usda "), "model/vnd.usda", "usda"),
    (re.compile(rb"; FBX"), "application/vnd.autodesk.fbx", "fbx"),
    (re.compile(rb"solid\b.*?\bfacet\b", re.DOTALL), "model/stl", "stl"),
    (re.compile(rb"(?:#.*\r?\n|\s*\r?\n)*(?:mtllib|o|g|v|usemtl) \S.*\n(?:.*\n)*?v [-\d]"), "model/obj", "obj"),
)


def text_kind(head: bytes, size_bytes: int) -> TextKind | None:
    """What a text of *size_bytes* that begins with *head* is; None if it is none. Raises Undecodable for nothing but
    blanks, and for a page that says why there is no file.
    """
    whole = size_bytes <= len(head)
    start = head.lstrip(_BLANKS)
    if whole and start.strip(_BLANKS + b"\0") in _NOTHING:
        raise Undecodable("the file is empty: there is nothing in it")
    if (found := _ROOT.match(start.lower())) is not None:
        return _markup(found[1].rpartition(b":")[2], head)
    if start[:1] in (b"{", b"["):
        return _json(start, whole)
    if not _is_text(head, whole):
        return None
    for pattern, media_type, extension in _MARKS:
        if pattern.match(start):
            return TextKind(media_type, extension, True)
    if whole and size_bytes <= _LONGEST_NOTICE_BYTES and _is_notice(start.decode()):
        raise Undecodable("an error message, not an output")
    return TextKind("text/plain", "txt", False)


def _markup(root: bytes, head: bytes) -> TextKind | None:
    if root in _PAGE_ROOTS:
        raise Undecodable("a web page, not an output")
    if b"error" in root or root == b"fault":
        raise Undecodable("an error document, not an output")
    if root == b"svg":
        return TextKind("image/svg+xml", "svg", True)
    return TextKind("application/xml", "xml", True) if head.lstrip(_BLANKS).startswith(b"<?xml") else _plain(head)


def _plain(head: bytes) -> TextKind | None:
    return TextKind("text/plain", "txt", False) if _is_text(head, whole=False) else None


def _json(start: bytes, whole: bool) -> TextKind | None:
    """A document that is longer than the first bytes is too long for an error."""
    if not whole:
        is_text = _is_text(start, whole)
        if is_text and re.match(rb'\{\s*"(asset|accessors|scenes?)"', start):
            return TextKind("model/gltf+json", "gltf", True)
        return TextKind("application/json", "json", False) if is_text else None
    try:
        document = json.loads(start)
    except (ValueError, RecursionError):
        return _plain(start)
    if _is_error(document):
        raise Undecodable("a JSON document that tells of an error, not an output")
    if isinstance(document, dict) and isinstance(document.get("asset"), dict) and "version" in document["asset"]:
        return TextKind("model/gltf+json", "gltf", True)
    return TextKind("application/json", "json", False)


def _is_error(document: Any) -> bool:
    """Whether an object names an error, or says nothing but what went wrong."""
    if not isinstance(document, dict):
        return False
    if any(_ERROR_KEY.fullmatch(key) and value for key, value in document.items()):
        return True
    names = {key.lower() for key in document}
    return bool(names & _SAYS_WHAT) and names <= _SAYS_WHAT | _SAYS_WHICH and _tells_of_trouble(document)


def _tells_of_trouble(document: dict[str, Any]) -> bool:
    return any(isinstance(value, str) and _WORDS_OF_TROUBLE.search(value) for value in document.values()) or any(
        type(value) is int and 400 <= value < 600 for value in document.values()
    )


def _is_notice(text: str) -> bool:
    """A line or two of the kind that servers and caches send instead of a file."""
    return len(text.splitlines()) <= 4 and bool(_NOTICE.match(text) and _WORDS_OF_TROUBLE.search(text))


def _is_text(head: bytes, whole: bool) -> bool:
    """Whether *head* is UTF-8 without control characters; its last character may be cut unless it is the *whole*."""
    if head.translate(None, b"\t\n\r\f\x1b") != head.translate(None, bytes(range(32)) + b"\x7f"):
        return False
    for cut in range(1 if whole else 4):
        try:
            head[: len(head) - cut].decode()
        except UnicodeDecodeError:
            continue
        return True
    return False
