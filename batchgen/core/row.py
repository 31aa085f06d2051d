"""Rows and requests: what the manifest asks for, its stable name and its fingerprint. Pure."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from json import encoder
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, urlsplit, urlunsplit

FINGERPRINT_VERSION = 3
"""Version of the rules by which rows get their fingerprints and names; a run folder keeps the one it was made with.

Since 2 line ends and Unicode forms are no difference, and combinations of a matrix have readable names. Since 3 more
signatures are known.
"""

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,3})?")
_MAY_CHANGE = "-0123456789hTF"
"""The first letters of texts whose canonical form may differ: numbers, URLs, True and False."""
_SIGNED_QUERIES = (
    frozenset({"x-amz-signature"}),
    frozenset({"x-goog-signature"}),
    frozenset({"x-oss-signature"}),
    frozenset({"x-tos-signature"}),
    frozenset({"signature", "expires"}),  # the older S3, Google and CloudFront forms
    frozenset({"sig", "se"}),  # Azure shared access signature
)
_SIGNATURES = (
    frozenset({"policy", "signature", "key-pair-id"}),  # CloudFront, with a policy of its own
    frozenset({"x-obs-algorithm", "x-obs-credential", "x-obs-date", "x-obs-expires", "x-obs-signature"}),
    frozenset({
        "q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature",
    }),  # Tencent
    frozenset({"ex", "is", "hm"}),  # Discord
    frozenset({"hdnts"}),  # Akamai
    frozenset({"hdnea"}),
    frozenset({"__token__"}),
)  # fmt: skip
"""Fields that are a signature together; whatever else a query holds may say which file is meant."""
_WEB_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


def json_encoder(*, canonical: bool = False) -> Callable[[Any], str]:
    """A function that writes a value as JSON; *canonical*: with its keys sorted and without spaces.

    `JSONEncoder.encode` makes its encoder in C anew for every value, which takes three times as long as using it.
    """
    item, key = (",", ":") if canonical else (", ", ": ")
    plain = json.JSONEncoder(ensure_ascii=False, sort_keys=canonical, separators=(item, key))
    make = getattr(encoder, "c_make_encoder", None)  # CPython has it
    if make is None:
        return plain.encode
    pieces = make(None, plain.default, encoder.encode_basestring, None, key, item, canonical, False, True)
    return lambda value: "".join(pieces(value, 0))


_in_canonical_json = json_encoder(canonical=True)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """One local input file as it was when the row was read.

    *pointer* names its place in the input: the field, and for a list the index (`images.0`).
    """

    pointer: str
    path: str
    size_bytes: int
    mtime_ns: int
    sha256: str


class Row(NamedTuple):
    """One request to make, after defaults, matrix and template were applied.

    A tuple, because a million of them are made in one run and a frozen dataclass takes four times as long.

    *input* is what will be sent, typed by the model's schema; local files stand in it as the paths the
    manifest gave and are listed in *files*. *line* is 1-based in *source*, the file the row was read from;
    *digest* is what its record is known by when it is read again.
    """

    row_id: str
    explicit_id: bool
    model: str
    input: Mapping[str, Any]
    fingerprint: str
    files: tuple[LocalFile, ...] = ()
    meta: Mapping[str, str] = {}
    priority: int = 0
    note: str = ""
    source: str = ""
    line: int = 0
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a manifest: where it is, what is wrong and what to write instead.

    *line* is 1-based; *path* is the JSON path inside the row's input (`$.images[0]`), where there is one.
    A warning is told and stops nothing.
    """

    file: str
    line: int | None
    column: str | None
    row: str | None
    path: str | None
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        what = self.column or (self.path if self.path != "$" else None)
        return f"{where} {what}: {self.message}" if what else f"{where}: {self.message}"


_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{5,100}")  # none of the reserved names is this long
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE | re.DOTALL)
_LONGEST_ID_BYTES = 200


def row_id_fault(row_id: str) -> str | None:
    """Why *row_id* cannot name a folder on Linux, macOS and Windows alike, and what would; None if it can."""
    if _PLAIN_ID.fullmatch(row_id):
        return None
    if not row_id.strip():
        return "an id cannot be blank; leave the cell empty to have one made"
    for character in row_id:
        if character in '<>:"/\\|?*' or unicodedata.category(character) in ("Cc", "Cs"):
            return f"an id names a folder and cannot hold {character!r}; write - instead"
    if row_id[-1] in ". " or row_id[0] == " " or row_id.strip(".") == "":
        return "an id cannot begin with a space nor end with a space or a dot"
    if _DEVICES.fullmatch(row_id):
        return f"Windows keeps the name {row_id!r} for a device; write {row_id + '-row'!r}"
    if len(row_id.encode()) > _LONGEST_ID_BYTES:
        return f"an id may be {_LONGEST_ID_BYTES} bytes long at most, this one is {len(row_id.encode())}"
    return None


def folded(row_id: str) -> str:
    """*row_id* as a file system that ignores case and Unicode form sees it: equal means the same folder."""
    if row_id.isascii():
        return row_id.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", row_id).casefold())


def half_a_character(text: str, parsed: Any) -> str | None:
    """What is wrong with JSON *text* whose *parsed* value holds one of a pair of surrogates; None if nothing is.

    JSON can spell such a string, and no file, database or request can hold it.
    """
    if "\\ud" not in text.lower():
        return None
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        return f"{half} is half of a character; write both halves, or the character itself"
    return None


def fingerprint(
    model: str,
    request_input: Mapping[str, Any],
    files: tuple[LocalFile, ...] = (),
    version: int = FINGERPRINT_VERSION,
) -> str:
    """Hash of a request, the same however the manifest spells it. 64 hexadecimal digits.

    Scalars count as their canonical text (7, 7.0 and "7" are one), local files by content, and signed URLs
    without their signature, so that re-formatting or re-signing a manifest never looks like a new request; since
    *version* 2 texts count without regard to how they end lines or compose letters, and since 3 more signatures are
    known.
    """
    contents = {file.pointer: file.sha256 for file in files}
    canonical_input = {
        key: _canonical_field(key, value, contents, version) if contents else canonical(value, version)
        for key, value in request_input.items()
        if value is not None
    }
    text = _in_canonical_json([model, canonical_input])
    if version > 1 and ("\\r" in text or not text.isascii()):  # few texts have a CR or a composed letter
        text = _in_canonical_json([model, _one_form(canonical_input)])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def one_form(text: str) -> str:
    """*text* with its lines ended by LF and its letters composed, as it is the same on every system."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def _one_form(value: Any) -> Any:
    match value:
        case str():
            return one_form(value)
        case list():
            return [_one_form(item) for item in value]
        case dict():
            return {one_form(key): _one_form(item) for key, item in value.items()}
    return value


def _canonical_field(key: str, value: Any, contents: Mapping[str, str], version: int) -> Any:
    if isinstance(value, list):
        return [
            "sha256:" + contents[pointer] if (pointer := f"{key}.{index}") in contents else canonical(item, version)
            for index, item in enumerate(value)
        ]
    return "sha256:" + contents[key] if key in contents else canonical(value, version)


def canonical(value: Any, version: int = FINGERPRINT_VERSION) -> Any:
    """*value* with every scalar as canonical text; lists and objects keep their shape."""
    kind = type(value)  # the common kinds first: this runs for every cell of every row
    if kind is str:
        return _canonical_text(value, version) if value[:1] in _MAY_CHANGE else value
    if kind is list:
        return [canonical(item, version) for item in value]
    if kind is int:
        return str(value)
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _canonical_text(value, version)
        case int():
            return str(value)
        case float():
            return _plain_number(Decimal(repr(value)))
        case dict():
            return {key: canonical(item, version) for key, item in value.items()}
        case list() | tuple():
            return [canonical(item, version) for item in value]
        case None:
            return "null"
    raise TypeError(f"a request cannot hold a {type(value).__name__}")


def _canonical_text(text: str, version: int) -> str:
    first = text[:1]
    if first in "-0123456789":
        return _plain_number(Decimal(text)) if len(text) < 40 and _NUMBER.fullmatch(text) else text
    if first == "h":
        return without_signature(text, version) if "?" in text and text.startswith(("https://", "http://")) else text
    if text in ("True", "TRUE", "False", "FALSE"):
        return text.lower()
    return text


def _plain_number(number: Decimal) -> str:
    if not number.is_finite():
        return str(number)
    if number == number.to_integral_value() and abs(number.adjusted()) < 40:
        return str(int(number))
    return str(number.normalize())


def without_signature(url: str, version: int = FINGERPRINT_VERSION) -> str:
    """*url* without its query if that is a signature, or without the fields that are; else *url* as it is.

    A signature is a secret that changes each time the same file is signed again.
    """
    if "?" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:  # no address at all, which whoever checks it says
        return url
    fields = {name.lower(): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}
    if any(signed <= fields.keys() for signed in _SIGNED_QUERIES):
        return urlunsplit(parts._replace(query=""))
    signature = _signature_among(fields) if version > 2 else None
    if signature is None:
        return url
    rest = [field for field in parts.query.split("&") if field.partition("=")[0].lower() not in signature]
    return urlunsplit(parts._replace(query="&".join(rest)))


def _signature_among(fields: Mapping[str, str]) -> frozenset[str] | None:
    if _WEB_TOKEN.fullmatch(fields.get("token", "")):  # as Supabase signs
        return frozenset({"token"})
    return next((signed for signed in _SIGNATURES if signed <= fields.keys()), None)


def published_input(request_input: Any) -> Any:
    """*request_input* as it may be shown or shared: signatures off URLs, inlined files by size."""
    match request_input:
        case str() if request_input.startswith(("https://", "http://")):
            return without_signature(request_input)
        case str() if request_input.startswith("data:") and len(request_input) > 100:
            head = request_input.partition(",")[0]
            return f"{head},… ({len(request_input)} characters)"
        case dict():
            return {key: published_input(value) for key, value in request_input.items()}
        case list():
            return [published_input(item) for item in request_input]
    return request_input
