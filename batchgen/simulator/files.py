"""The file host: a second origin that serves outputs without a token, over links that may expire."""

import asyncio
import base64
import hashlib
import hmac
import re
import uuid
from functools import cache
from urllib.parse import unquote

from aiohttp import web

from batchgen.simulator.account import Job
from batchgen.simulator.answers import cut, html_answer, reset, server_error
from batchgen.simulator.gallery import SUFFIXES, Drawn
from batchgen.simulator.malformed import moved_nowhere
from batchgen.simulator.provider import Provider

RANGE = re.compile(r"bytes=(\d*)-(\d*)")
MOVED = "/moved"
SLOW_STEPS = 20
HEAD_BYTES = 40  # enough to look like a PNG and to carry its size, too little for any picture


def output_path(job: Job, index: int, suffix: str) -> str:
    """`/{base64}/{base64}/output/{id}_output.png`, percent-encoded as the provider does (`=` is %3D).

    The first part is the request, the second the index. The id in the file name hangs on model and index alone, so
    different jobs have files of the same name.
    """
    request = _encoded(bytes.fromhex(job.request_id.replace("-", "")))
    return f"/{request}/{_encoded(str(index).encode())}/output/{_file_id(job.model_id, index)}_output{suffix}"


def _encoded(part: bytes) -> str:
    return base64.b64encode(part).decode().replace("/", "%2F").replace("+", "%2B").replace("=", "%3D")


@cache
def _file_id(model_id: str, index: int) -> str:
    return hashlib.sha256(f"{model_id}{index}".encode()).hexdigest()[:21]


def _signature(provider: Provider, path: str, expires: str) -> str:
    key = f"rehearsal {provider.options.seed}".encode()
    return hmac.new(key, f"{path}?{expires}".encode(), hashlib.sha256).hexdigest()


def output_url(provider: Provider, job: Job, index: int, now_s: float) -> str:
    """A link to the output, signed until *now_s* + `expire` if links expire."""
    path = output_path(job, index, SUFFIXES[provider.gallery.media_type(job)])
    if provider.expire_s is None:
        return provider.files_url + path
    at_s = now_s + provider.expire_s
    expires = str(int(at_s)) if provider.expire_s >= 1 else f"{at_s:.3f}"
    return f"{provider.files_url}{path}?Expires={expires}&Signature={_signature(provider, path, expires)}"


def find_output(provider: Provider, path: str) -> tuple[Job, int] | None:
    """The output at exactly this undecoded path: a link that was decoded and encoded again is another one."""
    parts = path.split("/")
    if len(parts) != 5:
        return None
    try:
        request_id = str(uuid.UUID(bytes=base64.b64decode(unquote(parts[1]), validate=True)))
        index = int(base64.b64decode(unquote(parts[2]), validate=True))
    except ValueError:
        return None
    provider.account.advance(provider.now_s())
    job = provider.account.jobs.get(request_id)
    if job is None or not job.ended or not 0 <= index < job.made:
        return None
    return (job, index) if output_path(job, index, SUFFIXES[provider.gallery.media_type(job)]) == path else None


def _link_is_good(provider: Provider, path: str, request: web.BaseRequest) -> bool:
    if provider.expire_s is None:
        return True
    expires = request.query.get("Expires", "")
    if not hmac.compare_digest(request.query.get("Signature", ""), _signature(provider, path, expires)):
        return False
    return float(expires) > provider.now_s()


async def serve_file(provider: Provider, request: web.BaseRequest) -> web.StreamResponse:
    """One GET or HEAD of an output."""
    provider.counters["download"] += 1
    if "Authorization" in request.headers:
        provider.tokens_at_file_host += 1
    path = request.raw_path.partition("?")[0]
    moved = path.startswith(MOVED + "/")
    path = path.removeprefix(MOVED) if moved else path
    if not _link_is_good(provider, path, request):
        return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>", content_type="application/xml")
    found = find_output(provider, path)
    if found is None:
        return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>", content_type="application/xml")
    drawn = await provider.gallery.output(*found)
    if not moved:
        faulty = await _faulty(provider, request, path, found[0], drawn)
        if faulty is not None:
            return faulty
    return _whole_or_range(request, drawn, drawn.media_type)


async def _faulty(
    provider: Provider, request: web.BaseRequest, path: str, job: Job, drawn: Drawn
) -> web.StreamResponse | None:
    """What the fault plan serves instead of the file, if it wants to."""
    if "download" not in provider.plan.rules:
        return None
    nth = provider.downloads_of_path[path]
    provider.downloads_of_path[path] += 1
    strike = provider.plan.strike("download", path, nth)
    if strike is None:
        return None
    provider.counters[f"fault.{strike.name}"] += 1
    headers = {"Content-Type": drawn.media_type, "ETag": drawn.etag}
    match strike.name:
        case "download.truncate":
            return await cut(request, drawn.read(), 200, headers)
        case "download.drop":
            return reset(request)
        case "download.html":
            return html_answer()
        case "download.empty":
            return web.Response(headers=headers)
        case "download.wrong_type":
            return _whole_or_range(request, drawn, "application/octet-stream")
        case "download.corrupt":
            content = drawn.read()
            return web.Response(body=content[:HEAD_BYTES].ljust(len(content), b"\0"), headers=headers)
        case "download.endless":
            return await _endless(request, headers)
        case "download.slow":
            return await _slowly(request, drawn, headers, strike.wait_s())
        case "download.403" | "download.404" | "download.410":
            return web.Response(status=int(strike.name[-3:]), text="rehearsal fault")
        case "download.redirect":
            return web.Response(status=302, headers={"Location": MOVED + request.raw_path})
        case "download.redirect_private":
            return web.Response(status=302, headers={"Location": "http://10.0.0.1/output.png"})
        case "download.malformed":
            return moved_nowhere(provider.malformed(job, strike))
    return server_error(provider.counters[f"fault.{strike.name}"] - 1)


def _whole_or_range(request: web.BaseRequest, drawn: Drawn, media_type: str) -> web.Response:
    """200 with all, 206 with the part asked for, or 416. If-Range with another ETag gets all."""
    headers = {"Content-Type": media_type, "ETag": drawn.etag, "Accept-Ranges": "bytes"}
    wanted = request.headers.get("Range")
    match = RANGE.fullmatch(wanted) if wanted else None
    if match is None or match[0] == "bytes=-" or request.headers.get("If-Range", drawn.etag) != drawn.etag:
        return web.Response(body=drawn.read(), headers=headers)
    first, last = _bounds(match[1], match[2], drawn.size)
    if first >= drawn.size or last < first:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{drawn.size}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{drawn.size}"
    return web.Response(status=206, body=drawn.read()[first : last + 1], headers=headers)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:  # the last so many bytes
        return (max(0, size - int(last)), size - 1) if int(last) else (size, size)
    return int(first), min(int(last), size - 1) if last else size - 1


async def _endless(request: web.BaseRequest, headers: dict[str, str]) -> web.StreamResponse:
    answer = web.StreamResponse(headers=headers)
    try:
        await answer.prepare(request)
        while True:
            await answer.write(bytes(65_536))
            await asyncio.sleep(0)  # a fast reader must not starve the other requests
    except ConnectionError:
        return answer


async def _slowly(
    request: web.BaseRequest, drawn: Drawn, headers: dict[str, str], takes_s: float
) -> web.StreamResponse:
    answer = web.StreamResponse(headers={**headers, "Content-Length": str(drawn.size)})
    content = drawn.read()
    step = max(1, -(-drawn.size // SLOW_STEPS))
    try:
        await answer.prepare(request)
        for start in range(0, drawn.size, step):
            await answer.write(content[start : start + step])
            await asyncio.sleep(takes_s / SLOW_STEPS)
    except ConnectionError:
        pass
    return answer
