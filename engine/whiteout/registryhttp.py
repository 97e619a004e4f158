"""HTTP to a registry: connections, TLS, proxies, and who one is.

Sources: OCI distribution spec 1.1; RFC 6750 and ``docs/spec/auth`` of Docker's registry for tokens.
No library is used, as none on PyPI does what an upload needs here: of oras 0.2.43 an upload cannot
be resumed, watched or cancelled, it mounts nothing from another repository, and it does not read
Podman's credentials.
"""

from __future__ import annotations

import errno
import http.client
import io
import ipaddress
import json
import os
import re
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO, cast

from whiteout import __version__
from whiteout.cancel import NEVER, CancelToken
from whiteout.credentials import Credentials, find_credentials
from whiteout.display import display_text
from whiteout.errors import NotFound, StoreError, reason_of
from whiteout.references import DOCKER_HUB

if TYPE_CHECKING:
    from typing_extensions import Buffer

_DOCKER_HUB_API = "registry-1.docker.io"
_TIMEOUT = 60.0
_MAX_BODY = 8 * 1024 * 1024
_BUFFER = 256 * 1024
_MAX_REDIRECTS = 5
_ATTEMPTS = 5
_LONGEST_PAUSE = 30.0
_PARAMETER = re.compile(r'([A-Za-z_]+)="((?:[^"\\]|\\.)*)"')
_REDIRECTS = (301, 302, 303, 307, 308)
_CERTIFICATES = ("/etc/containers/certs.d", "/etc/docker/certs.d")
#: Answers after which the same question may succeed.
_PASSING = (408, 429, 500, 502, 503, 504)

#: What is sent: bytes, or pieces of known length in all.
Body = bytes | Iterable[bytes]


class ConnectionBroke(StoreError):
    """The registry cannot be reached, or the connection broke; it may be tried again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a registry. ``stream`` is the body where it was asked for as a stream."""

    status: int
    headers: Mapping[str, str]
    """By their names in small letters."""
    body: bytes
    url: str
    stream: BinaryIO | None = None


class RegistryHttp:
    """Requests to the registry *host* about one *repository*; use it from one thread.

    Plain HTTP is spoken when *plain_http* asks for it, and to this machine itself where the
    registry does not speak TLS. *scopes* are what a token is asked for. Close it when done.
    """

    def __init__(
        self,
        host: str,
        repository: str,
        *,
        scopes: Iterable[str],
        plain_http: bool = False,
        cancel: CancelToken = NEVER,
    ) -> None:
        self.host = host
        self.repository = repository
        self.scopes = list(scopes)
        self._cancel = cancel
        api = _DOCKER_HUB_API if host == DOCKER_HUB else host
        self._base = f"{'http' if plain_http else 'https'}://{api}"
        self._settled = plain_http or not _is_this_machine(api)
        self._reached = False
        self._authorization = ""
        self._credentials: Credentials | None = None
        self._asked_for_credentials = False
        self._connections: dict[tuple[str, str], http.client.HTTPConnection] = {}

    def close(self) -> None:
        """Close every connection."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Body] | None = None,
        length: int = 0,
        expected: tuple[int, ...],
        stream: bool = False,
        once: bool = False,
    ) -> Answer:
        """Ask and give the answer, whose status is one of *expected*.

        *url* is a path below ``/v2/REPOSITORY/`` or an address that the registry gave. *body* is
        called for each attempt, and gives *length* bytes. With *once*, nothing is asked again that
        failed on the way.

        Raises:
            NotFound: the registry has no such thing.
            ConnectionBroke: there is no connection, or it broke too often.
            StoreError: the registry refused.
            Cancelled: the token was cancelled.
        """
        if not self._settled:
            self._choose_scheme()
        authorized = False
        attempt = 0
        while True:
            self._cancel.check()
            attempt += 1
            try:
                answer = self._follow(method, url, headers or {}, body, length, stream)
            except ConnectionBroke:
                if once or attempt >= _ATTEMPTS or not self._reached:
                    raise
                self.pause(attempt)
                continue
            if answer.status in expected:
                return answer
            if answer.status == HTTPStatus.UNAUTHORIZED and not authorized:
                authorized = True
                self._authorize(answer)
                continue
            if answer.status in _PASSING:
                if once or attempt >= _ATTEMPTS:
                    raise ConnectionBroke(str(self._refusal(answer)))
                self.pause(attempt, answer.headers.get("retry-after", ""))
                continue
            raise self._refusal(answer)

    def say(self, method: str, url: str) -> None:
        """Tell the registry something once, cancelled or not, whatever it answers."""
        with suppress(StoreError):
            self._follow(method, url, {}, None, 0, False)

    def pause(self, attempt: int, wanted: str = "") -> None:
        """Wait before another attempt, *wanted* seconds or longer each time."""
        told = wanted.isascii() and wanted.isdigit()
        seconds = float(wanted) if told else 0.1 * 2**attempt
        end = time.monotonic() + min(seconds, _LONGEST_PAUSE)
        while (left := end - time.monotonic()) > 0:
            self._cancel.check()
            time.sleep(min(left, 0.1))

    def _choose_scheme(self) -> None:
        """Take plain HTTP for a registry on this machine that does not speak TLS."""
        try:
            self._send("GET", f"{self._base}/v2/", {}, None, 0, False)
        except ConnectionBroke as error:
            if isinstance(error.__cause__, (ssl.SSLCertVerificationError, ConnectionRefusedError)):
                raise
            self._base = self._base.replace("https://", "http://", 1)
        self._settled = True

    def _follow(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Callable[[], Body] | None,
        length: int,
        stream: bool,
    ) -> Answer:
        address = self._joined(f"{self._base}/v2/{self.repository}/", url)
        for _ in range(_MAX_REDIRECTS):
            sent = dict(headers)
            if self._authorization and address.startswith(f"{self._base}/"):
                sent["Authorization"] = self._authorization
            answer = self._send(method, address, sent, body, length, stream)
            location = answer.headers.get("location", "")
            if answer.status not in _REDIRECTS or method not in ("GET", "HEAD") or not location:
                return answer
            address = self._joined(address, location)
        raise StoreError(f"the registry {display_text(self.host)} redirects without end")

    def _joined(self, address: str, url: str) -> str:
        try:
            return urllib.parse.urljoin(address, url)
        except ValueError:  # such as brackets that hold no IPv6 address
            raise self._no_address() from None

    def _no_address(self) -> StoreError:
        return StoreError(f"the registry {display_text(self.host)} gave an address that is none")

    def _send(
        self,
        method: str,
        address: str,
        headers: Mapping[str, str],
        body: Callable[[], Body] | None,
        length: int,
        stream: bool,
    ) -> Answer:
        try:
            parts = urllib.parse.urlsplit(address)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            known = False
        if not known or not address.isascii():
            raise self._no_address()
        if parts.scheme == "http" and self._base.startswith("https:") and self._settled:
            raise StoreError(
                f"the registry {display_text(self.host)} leads from TLS to plain HTTP; refused"
            )
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        sent = {"User-Agent": f"whiteout/{__version__}", **headers}
        if body is not None or method in ("POST", "PUT", "PATCH"):
            sent["Content-Length"] = str(length)
        key = (parts.scheme, parts.netloc)
        try:
            connection, absolute = self._connection(parts.scheme, parts)
            connection.request(
                method, address if absolute else target, body() if body else None, sent
            )
            response = connection.getresponse()
            self._reached = True
            told = {name.lower(): value for name, value in response.getheaders()}
            told |= _challenge(response)
            if stream and response.status == HTTPStatus.OK:
                del self._connections[key]  # it belongs to the stream from now on
                raw = cast(io.RawIOBase, _Stream(response, connection))
                return Answer(response.status, told, b"", address, io.BufferedReader(raw, _BUFFER))
            content = response.read(_MAX_BODY + 1)
        except (OSError, http.client.HTTPException) as error:
            if (broken := self._connections.pop(key, None)) is not None:
                broken.close()
            raise self._broken(parts.netloc, error) from error
        except BaseException:
            if (broken := self._connections.pop(key, None)) is not None:
                broken.close()
            raise
        if len(content) > _MAX_BODY:
            self._connections.pop(key).close()
            raise StoreError(f"the answer of {display_text(parts.netloc)} is too large")
        return Answer(response.status, told, content, address)

    def _connection(
        self, scheme: str, parts: urllib.parse.SplitResult
    ) -> tuple[http.client.HTTPConnection, bool]:
        """A connection for one request, and whether it wants whole addresses, as proxies do."""
        proxy = _proxy(scheme, parts.netloc)
        absolute = proxy is not None and scheme == "http"
        key = (scheme, parts.netloc)
        known = self._connections.get(key)
        if known is not None:
            return known, absolute
        host, port = parts.hostname or "", parts.port
        near, near_port = (proxy.hostname or "", proxy.port) if proxy is not None else (host, port)
        made: http.client.HTTPConnection
        if scheme == "https":
            context = _tls_context(parts.netloc)
            made = http.client.HTTPSConnection(near, near_port, timeout=_TIMEOUT, context=context)
            if proxy is not None:
                made.set_tunnel(host, port or 443)
        else:
            made = http.client.HTTPConnection(near, near_port, timeout=_TIMEOUT)
        self._connections[key] = made
        return made, absolute

    def _broken(self, netloc: str, error: Exception) -> ConnectionBroke:
        shown = display_text(netloc)
        if isinstance(error, ssl.SSLCertVerificationError):
            return ConnectionBroke(
                f"the certificate of {shown} is not trusted: "
                f"{display_text(error.verify_message)}; put that of its authority into "
                f"/etc/containers/certs.d/{shown}/ca.crt"
            )
        if isinstance(error, ssl.SSLError):
            return ConnectionBroke(
                f"{shown} does not speak TLS; if it shall be trusted without, give --plain-http"
            )
        if isinstance(error, TimeoutError):
            return ConnectionBroke(f"{shown} has not answered for {_TIMEOUT:.0f} s")
        said = "the connection broke"
        if isinstance(error, OSError) and error.errno is not None:
            said = reason_of(error)
        if isinstance(error, OSError) and (error.errno or 0) < 0:  # of the resolver
            said = "there is no such host"
        return ConnectionBroke(f"cannot reach the registry {shown}: {said}")

    def _authorize(self, answer: Answer) -> None:
        """Get the authorization that *answer* asks for."""
        if not self._asked_for_credentials:
            self._credentials = find_credentials(self.host, self.repository)
            self._asked_for_credentials = True
        challenge = answer.headers.get("www-authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        parameters = {name.lower(): value for name, value in _PARAMETER.findall(rest)}
        if scheme.lower() == "basic":
            if self._credentials is None or not self._credentials.user:
                raise self._refusal(answer)
            self._authorization = self._credentials.basic
        elif scheme.lower() == "bearer" and "realm" in parameters:
            self._authorization = f"Bearer {self._token(parameters)}"
        else:
            raise self._refusal(answer)

    def _token(self, parameters: Mapping[str, str]) -> str:
        """A token for the scopes of this client, as the parameters of a challenge say."""
        realm, service = parameters["realm"], parameters.get("service", "")
        known = self._credentials
        if known is not None and realm.startswith("http:") and self._base.startswith("https:"):
            raise StoreError(
                f"the registry {display_text(self.host)} wants the credentials over plain HTTP; "
                "refused"
            )
        headers: dict[str, str] = {}
        if known is not None and not known.user:
            form = {"grant_type": "refresh_token", "refresh_token": known.secret}
            form |= {"service": service, "client_id": "whiteout", "scope": " ".join(self.scopes)}
            body = urllib.parse.urlencode(form).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            answer = self._send("POST", realm, headers, lambda: body, len(body), False)
        else:
            if known is not None:
                headers["Authorization"] = known.basic
            asked = [("service", service)] if service else []
            query = urllib.parse.urlencode([*asked, *(("scope", scope) for scope in self.scopes)])
            joint = "&" if "?" in realm else "?"
            answer = self._send("GET", f"{realm}{joint}{query}", headers, None, 0, False)
        if answer.status == HTTPStatus.OK:
            with suppress(ValueError, RecursionError):
                value = json.loads(answer.body)
                if isinstance(value, dict):
                    for key in ("token", "access_token"):
                        token = value.get(key)
                        if isinstance(token, str) and re.fullmatch(r"[!-~]+", token):
                            return token
        raise self._refusal(answer)

    def _refusal(self, answer: Answer) -> StoreError:
        """The error for an answer that nobody wanted."""
        said = _message(answer.body)
        where = f"the registry {display_text(self.host)}"
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            if self._credentials is None:
                return StoreError(
                    f"{where} wants credentials for {display_text(self.repository)}, and there are "
                    "none; log in with: "
                    f"skopeo login {display_text(self.host)}"
                )
            return StoreError(
                f"{where} does not accept the credentials for {display_text(self.repository)}{said}"
            )
        if answer.status == HTTPStatus.NOT_FOUND:
            return NotFound(f"{where} has no such thing in {display_text(self.repository)}{said}")
        return StoreError(f"{where} refused with status {answer.status}{said}")


class _Stream(io.RawIOBase):
    """The body of an answer as a raw stream, with the connection that it comes by."""

    def __init__(
        self, response: http.client.HTTPResponse, connection: http.client.HTTPConnection
    ) -> None:
        self._response = response
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        try:
            return self._response.readinto(buffer)
        except http.client.HTTPException as error:
            raise OSError(errno.EIO, "the connection broke") from error

    def close(self) -> None:
        self._response.close()
        self._connection.close()
        super().close()


def _challenge(response: http.client.HTTPResponse) -> dict[str, str]:
    """Which of several challenges to answer: that for a token, which a stranger may get as well."""
    challenges = response.headers.get_all("www-authenticate", [])
    bearer = (each for each in challenges if each.lower().startswith("bearer "))
    return {"www-authenticate": next(bearer, challenges[0])} if challenges else {}


def _message(body: bytes) -> str:
    """What an answer says of its error, by the distribution spec."""
    with suppress(ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
        first = json.loads(body)["errors"][0]
        words = [first.get("code"), first.get("message")]
        text = ": ".join(word for word in words if isinstance(word, str) and word)
        return f" ({display_text(text)[:200]})" if text else ""
    return ""


def _is_this_machine(host: str) -> bool:
    name = urllib.parse.urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _proxy(scheme: str, netloc: str) -> urllib.parse.SplitResult | None:
    """The proxy that the environment names for *netloc*."""
    if _is_this_machine(netloc) or urllib.request.proxy_bypass(netloc):
        return None
    address = urllib.request.getproxies().get(scheme)
    if not address:
        return None
    return urllib.parse.urlsplit(address if "//" in address else f"http://{address}")


def _tls_context(netloc: str) -> ssl.SSLContext:
    """TLS that verifies, with what ``certs.d`` holds for *netloc* (``containers-certs.d(5)``)."""
    context = ssl.create_default_context()
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    for top in (os.path.join(config, "containers", "certs.d"), *_CERTIFICATES):
        directory = os.path.join(top, netloc)
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue
        try:
            for name in names:
                path = os.path.join(directory, name)
                if name.endswith(".crt"):
                    context.load_verify_locations(path)
                elif name.endswith(".cert"):
                    context.load_cert_chain(path, path.removesuffix(".cert") + ".key")
        except OSError as error:
            raise StoreError(
                f"cannot read the certificates in {display_text(directory)}: {reason_of(error)}"
            ) from None
        break
    return context
