"""Links that people share: they lead to a page about a file, and not to the file."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from batchgen.models.fault import shown

Write = Callable[[str], str | None]
"""From the link to what to write instead; None where the link is to the file itself, "" where there is no such form."""


def direct_form(address: str) -> str | None:
    """What to say of an *address* that is a page about a file; None if it is none."""
    host = address.split("/", 3)[2].lower()
    domain = ".".join(host.rsplit(".", 2)[-2:])
    write = _BY_DOMAIN.get(domain)
    if write is None or (instead := write(address)) is None:
        return None
    page = f"this is a page of {host} about a file, not the file"
    if not instead:
        return f"{page}; download the file and write its path, or an address that gives the file itself"
    return f"{page}; write {shown(instead, 300)}"


def _google(address: str) -> str | None:
    parts = urlsplit(address)
    found = re.search(r"/(?:file|document|presentation|spreadsheets|drawings)/d/([\w-]+)", parts.path)
    key = found[1] if found else parse_qs(parts.query).get("id", [""])[0]
    if parts.hostname in ("photos.google.com", "photos.app.goo.gl"):
        return ""
    if parts.hostname not in ("drive.google.com", "docs.google.com") or parts.path.startswith(("/uc", "/thumbnail")):
        return None
    return f"https://drive.google.com/uc?export=download&id={key}" if key else ""


def _goo_gl(address: str) -> str | None:
    return "" if urlsplit(address).hostname == "photos.app.goo.gl" else None


def _dropbox(address: str) -> str | None:
    parts = urlsplit(address)
    query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if parts.hostname not in ("dropbox.com", "www.dropbox.com") or "1" in (query.get("dl"), query.get("raw")):
        return None
    return urlunsplit(parts._replace(query=urlencode({**query, "dl": "1"})))


def _microsoft(address: str) -> str | None:
    parts = urlsplit(address)
    if "download" in parse_qs(parts.query) or parts.path.startswith("/download"):
        return None
    if "/:" in parts.path:  # SharePoint and OneDrive for work: /:i:/g/personal/...
        return urlunsplit(parts._replace(query="download=1"))
    if parts.path.startswith("/embed"):
        return urlunsplit(parts._replace(path="/download" + parts.path.removeprefix("/embed")))
    return "" if parts.hostname in ("1drv.ms", "onedrive.live.com") else None


def _of_repository(page: str, file: str) -> Write:
    """Of hosts of repositories: *page* in a path leads to the page, *file* in its place to the file."""

    def write(address: str) -> str | None:
        parts = urlsplit(address)
        return urlunsplit(parts._replace(path=parts.path.replace(page, file, 1))) if page in parts.path else None

    return write


def _github(address: str) -> str | None:
    parts = urlsplit(address)
    found = re.fullmatch(r"/([^/]+)/([^/]+)/blob/(.+)", parts.path)
    if found is None or parts.hostname not in ("github.com", "www.github.com") or "raw=" in parts.query:
        return None
    return f"https://raw.githubusercontent.com/{found[1]}/{found[2]}/{found[3]}"


def _imgur(address: str) -> str | None:
    parts = urlsplit(address)
    name = parts.path.strip("/")
    if parts.hostname == "i.imgur.com" or "." in name:
        return None
    return f"https://i.imgur.com/{name}.png" if name.isalnum() else ""


def _wiki(address: str) -> str | None:
    parts = urlsplit(address)
    found = re.fullmatch(r"/wiki/(?:File|Image|Datei|Fichier|Archivo):(.+)", parts.path)
    return None if found is None else f"https://{parts.hostname}/wiki/Special:FilePath/{found[1]}"


def _box(address: str) -> str | None:
    parts = urlsplit(address)
    found = re.fullmatch(r"/s/(\w+)", parts.path)
    return None if found is None else f"https://{parts.hostname}/shared/static/{found[1]}"


def _page_below(*beginnings: str) -> Write:
    """Of hosts whose files lie elsewhere: what begins like this below them is a page."""
    return lambda address: "" if urlsplit(address).path.startswith(beginnings) else None


_BY_DOMAIN: dict[str, Write] = {
    "google.com": _google,
    "goo.gl": _goo_gl,
    "dropbox.com": _dropbox,
    "1drv.ms": _microsoft,
    "live.com": _microsoft,
    "sharepoint.com": _microsoft,
    "icloud.com": _page_below("/iclouddrive", "/photos", "/attachment"),
    "github.com": _github,
    "gitlab.com": _of_repository("/-/blob/", "/-/raw/"),
    "bitbucket.org": _of_repository("/src/", "/raw/"),
    "huggingface.co": _of_repository("/blob/", "/resolve/"),
    "imgur.com": _imgur,
    "wikipedia.org": _wiki,
    "wikimedia.org": _wiki,
    "box.com": _box,
    "flickr.com": _page_below("/photos/"),
    "unsplash.com": _page_below("/photos/"),
    "pexels.com": _page_below("/photo/", "/video/"),
    "pinterest.com": _page_below("/pin/"),
    "instagram.com": _page_below("/p/", "/reel/"),
    "youtube.com": _page_below("/watch", "/shorts/"),
    "youtu.be": _page_below("/"),
    "vimeo.com": _page_below("/"),
    "we.tl": _page_below("/"),
    "wetransfer.com": _page_below("/"),
    "mega.nz": _page_below("/"),
}
