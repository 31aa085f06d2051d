"""nginx between batchgen and the embedded server: a real rate limit, and answers that go wrong, all on loopback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Server

_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
NGINX = shutil.which("nginx", path=_PATH)
_required = "nginx" in os.environ.get("BATCHGEN_TEST_REQUIRE", "")

proxied = pytest.mark.skipif(NGINX is None and not _required, reason="needs the Debian package nginx-light")
"""Marks a test that runs nginx."""

FAULTS = {
    "busy": 5.0,
    "busy_later": 5.0,
    "bad_gateway": 5.0,
    "unavailable": 2.5,
    "unavailable_later": 2.5,
    "closed": 5.0,
    "cut": 5.0,
    "slow": 5.0,
}
"""What goes wrong, and with how many percent of all requests: 429; 429 with Retry-After; 502; 503; 503 with
Retry-After; no answer; half of one; one that takes its time."""

_CONFIG = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  log_format lines escape=json
    '{{"method": "$request_method", "path": "$uri", "fault": "$fault", "status": $status, "port": "$server_port"}}';
  access_log off;

  split_clients $request_id $fault {{ {shares} * ""; }}
  map $fault $api_rate {{ slow 500; default 0; }}
  map $fault $files_rate {{ slow 6000; default 0; }}
  map $request_method $post_of {{ POST $http_authorization; default ""; }}
  limit_req_zone $post_of zone=posts:1m rate={posts_per_s}r/s;
  limit_req_status 429;

  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_next_upstream off;
  proxy_read_timeout 120s;

  server {{
    listen {api};
    access_log {folder}/access.log lines;
    client_max_body_size 100m;
    sub_filter_types application/json;
    sub_filter_once off;
    sub_filter "{files_url}" "http://{files}";
    {going_wrong}
    location / {{
      {faults}
      limit_req zone=posts burst={burst} nodelay;
      limit_rate $api_rate;
      proxy_pass {api_url};
    }}
    location @cut {{ proxy_buffering off; proxy_read_timeout 400ms; proxy_pass http://unix:{folder}/api-slow.sock; }}
  }}
  server {{
    listen {files};
    access_log {folder}/access.log lines;
    {going_wrong}
    location / {{
      {faults}
      limit_rate $files_rate;
      proxy_pass {files_url};
    }}
    location @cut {{ proxy_buffering off; proxy_read_timeout 400ms; proxy_pass http://unix:{folder}/files-slow.sock; }}
  }}
  server {{
    listen unix:{folder}/api-slow.sock;
    location / {{ limit_rate 200; proxy_pass {api_url}; }}
  }}
  server {{
    listen unix:{folder}/files-slow.sock;
    location / {{ limit_rate 3000; proxy_pass {files_url}; }}
  }}
}}
"""

_GOING_WRONG = """
    error_page 480 = @busy_later;
    error_page 481 = @unavailable_later;
    error_page 482 = @cut;
    location @busy_later { add_header Retry-After 1 always; return 429; }
    location @unavailable_later { add_header Retry-After 1 always; return 503; }
"""

_FAULTS = """
      if ($fault = closed) { return 444; }
      if ($fault = busy) { return 429; }
      if ($fault = busy_later) { return 480; }
      if ($fault = bad_gateway) { return 502; }
      if ($fault = unavailable) { return 503; }
      if ($fault = unavailable_later) { return 481; }
      if ($fault = cut) { return 482; }
"""


@dataclass(frozen=True)
class Exchange:
    """One request as nginx saw it. *fault* is empty where nginx passed everything on as it came."""

    method: str
    path: str
    fault: str
    status: int


@dataclass
class Proxy:
    """nginx with a share of every fault, or with none, on the same ports."""

    folder: Path
    server: Server
    posts_per_s: int
    burst: int
    api: str
    files: str

    @property
    def url(self) -> str:
        return f"http://{self.api}"

    @contextmanager
    def serving(self, faulty: bool) -> Iterator[None]:
        """nginx while the block runs, with its share of every fault or with nothing but the rate limit."""
        shares = " ".join(f"{percent}% {name};" for name, percent in FAULTS.items()) if faulty else ""
        config = self.folder / "nginx.conf"
        config.write_text(
            _CONFIG.format(
                folder=self.folder,
                shares=shares,
                posts_per_s=self.posts_per_s,
                burst=self.burst,
                api=self.api,
                files=self.files,
                api_url=self.server.url,
                files_url=self.server.files_url,
                going_wrong=_GOING_WRONG,
                faults=_FAULTS,
            )
        )
        assert NGINX is not None, "the Debian package nginx-light is required here and is not installed"
        for socket_file in self.folder.glob("*.sock"):
            socket_file.unlink()
        process = subprocess.Popen([NGINX, "-c", config, "-p", self.folder, "-e", self.folder / "error.log"])
        try:
            self._wait_until_it_listens(process)
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)

    @property
    def exchanges(self) -> list[Exchange]:
        lines = [json.loads(line) for line in (self.folder / "access.log").read_text("utf-8").splitlines()]
        return [Exchange(line["method"], line["path"], line["fault"], line["status"]) for line in lines]

    def posts(self) -> Counter[str]:
        """How POSTs were answered: the fault, `limited` where the rate limit spoke, or empty."""
        posts = [exchange for exchange in self.exchanges if exchange.method == "POST"]
        return Counter("limited" if post.fault in ("", "slow") and post.status == 429 else post.fault for post in posts)

    def _wait_until_it_listens(self, process: subprocess.Popen[Any]) -> None:
        give_up = time.monotonic() + 30.0
        for address in (self.api, self.files):
            host, _, port = address.partition(":")
            while True:
                assert process.poll() is None, (self.folder / "error.log").read_text()
                try:
                    socket.create_connection((host, int(port)), timeout=5.0).close()
                    break
                except OSError:
                    assert time.monotonic() < give_up, "nginx does not listen"
                    time.sleep(0.05)


def proxy(folder: Path, server: Server, posts_per_s: int, burst: int) -> Proxy:
    """A proxy before *server*, not started yet, on two ports that are free now."""
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        api, files = (f"127.0.0.1:{free.getsockname()[1]}" for free in (one, other))
    return Proxy(folder, server, posts_per_s, burst, api, files)
