"""What a link says, in the form a request can be made of: encoded once, or refused with what is wrong with it. Pure."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from urllib.parse import quote, unquote_to_bytes, urljoin

from yarl import URL

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_WEB = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LABEL = re.compile(r"[a-z0-9_-]{1,63}", re.IGNORECASE)
_LONGEST_HOST = 253
_AS_THEY_ARE = "".join(map(chr, range(0x21, 0x7F)))
"""Signs that stay as the link spells them: a signature is of these very bytes, `%` and all."""


class NoAddress(ValueError):
    """No request can be made of a link. Says why, without the link: its path tells whose account it is."""


def scheme_of(link: str) -> str:
    """The scheme of *link* in small letters, "" if it has none."""
    found = _SCHEME.match(link.strip())
    return found[1].lower() if found else ""


def web_address(link: str) -> URL:
    """Where an http(s) *link* leads. Blanks and what is not ASCII are percent-encoded once, all else is left as it is.

    Raises NoAddress.
    """
    text = link.strip()
    if _CONTROL.search(text):
        raise NoAddress("it holds a control character")
    if (found := _WEB.fullmatch(text)) is None:
        raise NoAddress("it is not of the web, or names no host")
    scheme, authority, rest = found.groups()
    login, at, place = authority.rpartition("@")
    try:
        whole = f"{scheme.lower()}://{_encoded(login)}{at}{_host_and_port(place)}{_encoded(rest)}"
        return URL(whole, encoded=True)
    except NoAddress:
        raise
    except ValueError as error:
        raise NoAddress(_in_words(error)) from None


def redirected(address: URL, location: str) -> str:
    """The link that a Location header leads to from *address*. Raises NoAddress."""
    if not (there := location.strip()):
        raise NoAddress("it is empty")
    if scheme_of(there):  # joined, one without a host would be taken for a path
        return there
    try:
        return urljoin(str(address), there)
    except ValueError as error:
        raise NoAddress(_in_words(error)) from None


def inlined(link: str) -> bytes:
    """The content of a `data:` link. Raises NoAddress."""
    head, comma, body = link.strip().partition(",")
    if not comma:
        raise NoAddress("a data: link without content")
    content = unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return content
    letters = b"".join(content.split()).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(letters + b"=" * (-len(letters) % 4), validate=True)
    except binascii.Error:
        raise NoAddress("a data: link whose content is no base64") from None


def _encoded(text: str) -> str:
    try:  # a header that is not UTF-8 comes with its bytes in surrogates
        return quote(text, safe=_AS_THEY_ARE, errors="surrogateescape")
    except UnicodeEncodeError:
        raise NoAddress("it holds half of a character") from None


def _host_and_port(place: str) -> str:
    """*place* with its host in ASCII. Raises ValueError for what nobody could be reached at."""
    made = URL(f"http://{place}/")
    host, port = made.raw_host, made.explicit_port
    if not host:
        raise NoAddress("it has no host")
    if port == 0:
        raise NoAddress("its port is 0")
    port_text = f":{port}" if port is not None else ""
    if ":" in host or "[" in place:
        ipaddress.IPv6Address(host)
        return f"[{host}]{port_text}"
    labels = host.removesuffix(".").split(".")
    if len(host) > _LONGEST_HOST or not all(map(_LABEL.fullmatch, labels)):
        raise NoAddress("its host is no name that a host can have")
    return host + port_text


def _in_words(error: ValueError) -> str:
    """What is wrong, in the library's words as far as they repeat nothing of the link."""
    text = str(error).lower()
    if "port" in text:
        return "its port is no number from 1 to 65535"
    return "its host is no name or number that a host can have"
