"""A real S3 server on loopback, and a gate before it that lets its failures be chosen."""

import http.client
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

from tests.commands import PATIENCE_S

BUCKET = "studies"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
NOWHERE = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_CONFIG_FILE": os.devnull,
}
"""Variables under which nobody finds credentials but those of the environment."""

Fault = Callable[[str, str], str]
"""Method and path of a request -> ``""`` (none), ``503``, ``slow`` or ``cut``."""


class Gate(ThreadingHTTPServer):
    """Passes signed requests on to a server, as its fault lets it; refuses those without.

    Attributes:
        fault: Chooses what happens to a request.
        faults: How many were made, by kind.
        requests: Every request, as ``METHOD path``.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Passage)
        self.behind = port
        self.fault: Fault = lambda *_: ""
        self.faults: dict[str, int] = {}
        self.requests: list[str] = []
        self.lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def uri(self, folder: str) -> str:
        """Return the URI of a folder of the bucket behind it, as ``--storage`` takes it."""
        endpoint = quote(self.endpoint, safe="")
        return f"s3://{BUCKET}/{folder}?endpoint_override={endpoint}&region=us-east-1"

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that hang up, as killed ones do."""


class _Passage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gate

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def pass_on(self) -> None:
        """Answer a request with what the server says to it, or with a fault."""
        body, gate = self._body(), self.server
        with gate.lock:
            gate.requests.append(f"{self.command} {self.path}")
            kind = gate.fault(self.command, self.path)
            if kind:
                gate.faults[kind] = gate.faults.get(kind, 0) + 1
        if "Authorization" not in self.headers:
            self._refuse(403, "AccessDenied")
            return
        if kind == "503":
            self._refuse(503, "SlowDown")
            return
        if kind == "slow":
            time.sleep(1)
        behind = http.client.HTTPConnection("127.0.0.1", gate.behind, timeout=PATIENCE_S)
        if kind == "cut":
            # Half of an upload arrives, then the line is dead.
            behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self._headers(body).items():
                behind.putheader(name, value)
            behind.endheaders()
            behind.send(body[: len(body) // 2])
            behind.close()
            self.close_connection = True
            self.connection.close()
            return
        behind.request(self.command, self.path, body, self._headers(body))
        found = behind.getresponse()
        content = found.read()
        self._answer(found.status, found.getheaders(), content)
        behind.close()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue
        return b"".join(chunks)

    def _headers(self, body: bytes) -> dict[str, str]:
        """Return the request's headers, for a body that is sent as a whole."""
        kept = {n: v for n, v in self.headers.items() if n.lower() != "transfer-encoding"}
        return kept | {"Content-Length": str(len(body))}

    def _refuse(self, status: int, code: str) -> None:
        text = f"<Error><Code>{code}</Code><Message>by the gate</Message></Error>"
        self._answer(status, [("Content-Type", "application/xml")], text.encode())

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        kept = dict(headers)
        for name, value in kept.items():
            if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                self.send_header(name, value)
        length = kept.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


for _method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
    setattr(_Passage, f"do_{_method}", _Passage.pass_on)


@contextmanager
def gate() -> Iterator[Gate]:
    """Start a server with an empty bucket, and the gate before it."""
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            found = Gate(_port(server))
            threading.Thread(target=found.serve_forever, daemon=True).start()
            create = http.client.HTTPConnection("127.0.0.1", found.behind, timeout=PATIENCE_S)
            create.request("PUT", f"/{BUCKET}")
            assert create.getresponse().status == 200
            yield found
            found.shutdown()
            found.server_close()
        finally:
            server.kill()


def _port(server: "subprocess.Popen[str]") -> int:
    assert server.stdout is not None
    for line in server.stdout:
        said = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if said:
            # What it says later is read by nobody, and must not fill the pipe.
            threading.Thread(target=lambda: list(server.stdout or ()), daemon=True).start()
            return int(said[1])
    raise AssertionError("the S3 server does not start")
