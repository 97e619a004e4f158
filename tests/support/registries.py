"""What stands around a real registry: passwords, certificates, a token server, bad lines."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support.engines import run
from whiteout import registryhttp

USER, PASSWORD = "alice", "s3cret-pass:word"
#: A line of a password file, by bcrypt.
HTPASSWD = f"{USER}:$2y$05$abcdefghijklmnopqrstuui4b/2BTepY10eiNezl9.l91cjJnVNVq\n"
BASIC = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"


class Waited:
    """A clock for the client of a registry: it waits at once, and it is known for how long."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.seconds += seconds


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> Waited:
    """How long the client waited before it asked again."""
    clock = Waited()
    monkeypatch.setattr(registryhttp, "time", clock)
    return clock


def self_signed(directory: Path) -> tuple[Path, Path]:
    """A certificate for this machine, and its key."""
    certificate, key = directory / "ca.crt", directory / "ca.key"
    run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        *("-out", certificate, "-keyout", key),
    )
    return certificate, key


def auth_entry() -> dict[str, str]:
    """An entry of ``auths`` in a configuration of Docker's."""
    return {"auth": BASIC.removeprefix("Basic ")}


@dataclass
class TokenServer:
    """A server that gives tokens to who knows the password; ``asked`` are the scopes."""

    realm: str = ""
    asked: list[list[str]] = field(default_factory=list)
    lifetime: int = 60


@contextlib.contextmanager
def token_server(certificate: Path, key: Path, *, anonymous: bool = False) -> Iterator[TokenServer]:
    """A token server whose tokens are signed by *key*, as Docker's registry wants them."""
    state = TokenServer()
    der = "".join(certificate.read_text().split("-----")[2].split())

    def encoded(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    def token(scopes: list[str]) -> str:
        now = int(time.time())
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        header = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
        claims = {
            "iss": "test",
            "sub": USER,
            "aud": "registry",
            "jti": "1",
            "access": access,
            "exp": now + state.lifetime,
            "nbf": now - 60,
            "iat": now,
        }
        signed = b".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", key],
            input=signed,
            capture_output=True,
            check=True,
        ).stdout
        return b".".join((signed, encoded(signature))).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            state.asked.append(query.get("scope", []))
            known = anonymous or self.headers.get("Authorization") == BASIC
            self._answer(known, query.get("scope", []))

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            query = urllib.parse.parse_qs(form)
            scopes = query.get("scope", [""])[0].split()
            state.asked.append(scopes)
            self._answer(query.get("refresh_token") == ["identity"], scopes)

        def _answer(self, known: bool, scopes: list[str]) -> None:
            body = json.dumps({"access_token": token(scopes)} if known else {}).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.realm = f"http://127.0.0.1:{server.server_port}/token"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class BadLine:
    """A line to a registry that breaks; ``host`` is its near end, ``broken`` how often it did."""

    host: str
    broken: int = 0


#: Says of what a client sent last, and of all bytes before on that connection, whether to cut now.
Cut = Callable[[bytes, int], bool]


def in_the_middle(times: int, size: int) -> Cut:
    """Cut *times* connections after *size* bytes of chunks."""
    left = [times]

    def cut(data: bytes, before: int) -> bool:
        if left[0] and before + len(data) > size:
            left[0] -= 1
            return True
        return False

    return cut


def before_chunks(*numbers: int) -> Cut:
    """Cut when the chunks with these numbers, counted from 1 over all connections, begin."""
    seen = [0]

    def cut(data: bytes, before: int) -> bool:
        seen[0] += data.startswith(b"PATCH ")
        return data.startswith(b"PATCH ") and seen[0] in numbers

    return cut


@contextlib.contextmanager
def bad_line(target: str, cut: Cut) -> Iterator[BadLine]:
    """A line to *target* that breaks when *cut* says so; what was sent last is lost then."""
    listener = socket.create_server(("127.0.0.1", 0))
    line = BadLine(f"127.0.0.1:{listener.getsockname()[1]}")
    host, _, port = target.rpartition(":")
    threads: list[threading.Thread] = []

    def pump(source: socket.socket, sink: socket.socket, breaks: bool) -> None:
        before = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if breaks and cut(data, before):
                    line.broken += 1
                    break
                before += len(data)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection((host, int(port)))
            pair = [
                threading.Thread(target=pump, args=(near, far, True)),
                threading.Thread(target=pump, args=(far, near, False)),
            ]

            def close(pair: list[threading.Thread], ends: tuple[socket.socket, ...]) -> None:
                for thread in pair:
                    thread.join()
                for end in ends:
                    end.close()

            for thread in pair:
                thread.start()
            closer = threading.Thread(target=close, args=(pair, (near, far)))
            closer.start()
            threads.append(closer)

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield line
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        server.join()
        for thread in threads:
            thread.join(10)
