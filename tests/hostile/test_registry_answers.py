"""A registry that wants to do harm, or who answers in its place."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support.registries import BASIC, Waited, auth_entry, waited
from whiteout.errors import StoreError
from whiteout.registry import Repository

__all__ = ["waited"]


@contextlib.contextmanager
def hostile(
    status: int, headers: dict[str, str], wants: str = ""
) -> Iterator[tuple[str, list[str | None]]]:
    """A registry that answers everything alike, to who sends the authorization that it *wants*.

    Gives its host, and the authorization of each request that it heard.
    """
    heard: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.headers.get("Authorization")
            heard.append(sent)
            if wants and sent != wants:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="x"')
            else:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(host: str) -> str:
    """The sentence with which a question to the registry at *host* ends."""
    with (
        Repository(host, "team/app", plain_http=True) as repository,
        pytest.raises(StoreError) as caught,
    ):
        repository.manifest("1")
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(
    "location",
    [
        *("http://[", "http://[::1", "http://h:99999999/", "http://h:x/", "ftp://h/"),
        *("//\xe9/", "http://h/\xe9", "http://h:0/"),
    ],
)
def test_addresses_that_are_none(location: str) -> None:
    with hostile(307, {"Location": location}) as (host, _):
        assert "gave an address that is none" in ask(host)


def test_redirects_without_end() -> None:
    with hostile(307, {"Location": "/v2/"}) as (host, heard):
        assert "redirects without end" in ask(host)
    assert len(heard) < 10


@pytest.mark.parametrize("wanted", ["²", "-1", "1e9", "x" * 50_000])
def test_times_to_wait_that_are_none(wanted: str, waited: Waited) -> None:
    with hostile(503, {"Retry-After": wanted.encode().decode("latin-1")}) as (host, heard):
        assert host in ask(host)
    assert len(heard) == 5
    assert waited.seconds == pytest.approx(0.2 + 0.4 + 0.8 + 1.6), "as if no time were said"


@pytest.mark.parametrize(("wanted", "seconds"), [("0", 0), ("7", 7), ("99999", 30)])
def test_times_to_wait(wanted: str, seconds: float, waited: Waited) -> None:
    with hostile(503, {"Retry-After": wanted}) as (host, heard):
        assert host in ask(host)
    assert waited.seconds == pytest.approx((len(heard) - 1) * seconds)


def test_another_host_does_not_hear_who_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hostile(404, {}) as (other, heard_there):
        where = {"Location": f"http://{other}/v2/team/app/manifests/1"}
        with hostile(307, where, wants=BASIC) as (host, heard):
            authfile = tmp_path / "auth.json"
            authfile.write_text(json.dumps({"auths": {host: auth_entry()}}))
            monkeypatch.setenv("REGISTRY_AUTH_FILE", str(authfile))
            ask(host)
    assert heard[-1] == BASIC
    assert heard_there and set(heard_there) == {None}
