"""`bimhw serve FOLDER`: a list with a filter, the report of each run, two side by side, sweeps as they run."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
from jinja2 import Environment, PackageLoader, select_autoescape

from bimhw.runs.folder import RunFolder
from bimhw.studies.serve.listing import list_folder, run_folders
from bimhw.views.build import render
from simulator.base.errors import BimhwError, InputError

HOST = "127.0.0.1"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_HTML, _JSON = "text/html; charset=utf-8", "application/json"


def serve(folder: str | Path, port: int = 8000, ready: Callable[[str], None] | None = None) -> None:
    """Serve a folder of runs on this machine alone, until it is interrupted; nothing is written.

    Args:
        folder: folder that holds run folders and databases of sweeps, at any depth.
        port: port on 127.0.0.1; 0 takes a free one.
        ready: called with the address once pages can be asked for.

    Raises:
        InputError: not a folder, or the port is taken.
    """
    with server(folder, port) as http:
        if ready is not None:
            ready(f"http://{HOST}:{http.server_port}/")
        http.serve_forever(poll_interval=0.2)


def server(folder: str | Path, port: int = 0) -> ThreadingHTTPServer:
    """Return the server of a folder, bound and not yet running.

    Raises:
        InputError: not a folder, or the port is taken.
    """
    place = Path(folder)
    list_folder(place)

    class Handler(_Pages):
        root = place

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"port {port}", f"cannot be used ({error})", "Give another --port, or 0 for a free one"
        ) from error


class _Pages(BaseHTTPRequestHandler):
    """Answers GET of ``/``, ``/list.json`` and ``/report?run=PATH[&beside=PATH]``."""

    root: Path

    def do_GET(self) -> None:
        """Answer one request; an error of a run is a page, never the end of the server."""
        if self.headers.get("Host", "").rpartition(":")[0] not in (HOST, "localhost"):
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"asked by another name than 127.0.0.1")  # DNS rebinding
            return
        url = urlsplit(self.path)
        answer = {"/": self._index, "/list.json": self._list, "/report": self._report}.get(url.path)
        if answer is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"no such page")
            return
        try:
            answer({key: values[0] for key, values in parse_qs(url.query).items()})
        except BimhwError as error:
            self._send(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", str(error).encode())

    def _index(self, asked: dict[str, str]) -> None:
        environment = Environment(
            loader=PackageLoader("bimhw.studies.serve"), autoescape=select_autoescape(), trim_blocks=True
        )
        page = environment.get_template("list.html").render(folder=str(self.root))
        self._send(HTTPStatus.OK, _HTML, page.encode())

    def _list(self, asked: dict[str, str]) -> None:
        self._send(HTTPStatus.OK, _JSON, msgspec.json.encode(list_folder(self.root)))

    def _report(self, asked: dict[str, str]) -> None:
        there = run_folders(self.root)  # a path is one of the list, or nothing
        wanted = [asked[key] for key in ("run", "beside") if key in asked]
        if not wanted or not there.keys() >= set(wanted):
            raise InputError(", ".join(wanted) or "report", "is no run of this folder", "Choose one of the list")
        self._send(HTTPStatus.OK, _HTML, render(*(RunFolder.open(there[name]) for name in wanted)).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **_HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the terminal shows the address alone."""
