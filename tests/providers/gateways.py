"""What stands between a client and an API elsewhere: real caches and load balancers, as Debian ships them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))

NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  access_log off; keepalive_timeout {idle_s}s;
  upstream api {{ server {host}:{port}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{listens_on};
    location / {{
      proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout {patience_s}s;
    }}
  }}
}}
"""

HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout http-keep-alive {idle_s}s
  timeout server {patience_s}s
frontend here
  bind 127.0.0.1:{listens_on}
  default_backend api
backend api
  server one {host}:{port}
"""

# A worker that erred would be left alone for a minute: retry=0. Root may not serve, others cannot change.
APACHE = """
ServerRoot {folder}
PidFile {folder}/pid
ErrorLog {folder}/error.log
ServerName 127.0.0.1
Listen 127.0.0.1:{listens_on}
User www-data
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
KeepAliveTimeout {idle_s}
ProxyPass / http://{host}:{port}/ timeout={patience_s} retry=0
"""

VARNISH = """
vcl 4.1;
backend default {{
  .host = "{host}"; .port = "{port}"; .first_byte_timeout = {patience_s}s; .between_bytes_timeout = {patience_s}s;
}}
"""


@dataclass(frozen=True)
class Gateway:
    """One program: how it is configured, in which file, and how it is started in the foreground."""

    name: str
    program: str
    package: str
    config: str
    command: Callable[[str, Path, Path, int], list[str]]

    @property
    def path(self) -> str | None:
        return shutil.which(self.program, path=_PATH)

    @contextmanager
    def before(self, url: str, folder: Path, patience_s: int = 1, idle_s: int = 1) -> Iterator[str]:
        """Its URL while it hands on what it gets to *url*, an answer of which it waits for *patience_s*."""
        assert self.path is not None, f"the Debian package {self.package} is required here and is not installed"
        folder.mkdir()
        listens_on, upstream = free_port(), urlsplit(url)
        config = folder / "config"
        config.write_text(
            self.config.format(
                folder=folder, listens_on=listens_on, host=upstream.hostname, port=upstream.port,
                patience_s=patience_s, idle_s=idle_s, modules="/usr/lib/apache2/modules",
            )
        )  # fmt: skip
        with (folder / "output").open("wb") as output:
            command = self.command(self.path, config, folder, listens_on)
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            _wait_until_it_listens(process, listens_on, folder / "output")
            yield f"http://127.0.0.1:{listens_on}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _nginx(path: str, config: Path, folder: Path, port: int) -> list[str]:
    return [path, "-c", str(config), "-p", str(folder), "-e", str(folder / "error.log")]


def _haproxy(path: str, config: Path, folder: Path, port: int) -> list[str]:
    return [path, "-db", "-f", str(config)]


def _apache(path: str, config: Path, folder: Path, port: int) -> list[str]:
    return [path, "-d", str(folder), "-f", str(config), "-DFOREGROUND"]


def _varnish(path: str, config: Path, folder: Path, port: int) -> list[str]:
    listens = ["-n", str(folder / "work"), "-a", f"127.0.0.1:{port}"]
    return [path, "-F", "-j", "none", *listens, "-f", str(config), "-s", "malloc,16m"]


GATEWAYS = [
    Gateway("nginx", "nginx", "nginx-light", NGINX, _nginx),
    Gateway("HAProxy", "haproxy", "haproxy", HAPROXY, _haproxy),
    Gateway("Apache", "apache2", "apache2-bin", APACHE, _apache),
    Gateway("Varnish", "varnishd", "varnish", VARNISH, _varnish),
]

REQUIRED = os.environ.get("BATCHGEN_TEST_REQUIRE", "").split(",")
each_gateway = pytest.mark.parametrize(
    "gateway",
    [
        pytest.param(
            gateway,
            id=gateway.name,
            marks=pytest.mark.skipif(
                gateway.path is None and gateway.program not in REQUIRED,
                reason=f"needs the Debian package {gateway.package}",
            ),
        )
        for gateway in GATEWAYS
    ],
)
"""Runs a test behind each of them."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    give_up = time.monotonic() + 60.0  # one of them compiles its configuration
    while True:
        assert process.poll() is None, output.read_text(errors="replace")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5.0).close()
            return
        except OSError:
            assert time.monotonic() < give_up, output.read_text(errors="replace")
            time.sleep(0.05)
