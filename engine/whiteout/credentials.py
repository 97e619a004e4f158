"""Credentials for registries, from the files that Docker, Podman and Skopeo keep them in.

Sources: ``containers-auth.json(5)``, Docker's ``config.json``, docker-credential-helpers. A secret
never reaches a message: ``repr`` does not show it, and no error quotes what a file or helper said.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from whiteout.display import display_path, display_text
from whiteout.errors import StoreError, reason_of
from whiteout.layoutfiles import Json
from whiteout.references import DOCKER_HUB

_MAX_FILE = 16 * 1024 * 1024
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HELPER_SECONDS = 60
#: Under this name Docker keeps the credentials of its own registry.
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and the password; without a user, the secret is an identity token of OAuth 2."""

    user: str
    secret: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of the header ``Authorization`` by the scheme Basic."""
        pair = f"{self.user}:{self.secret}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def find_credentials(
    host: str, repository: str, environment: Mapping[str, str] = os.environ
) -> Credentials | None:
    """The credentials for *repository* on *host*, of the first file that has some.

    Raises:
        StoreError: a file is malformed or cannot be read, or a helper fails.
    """
    for path in _files(environment):
        found = _in_file(_read(path), host, repository)
        if found is not None:
            return found
    return None


def _files(environment: Mapping[str, str]) -> Iterator[str]:
    home = os.path.expanduser("~")
    if explicit := environment.get("REGISTRY_AUTH_FILE"):
        yield explicit
    else:
        runtime = environment.get("XDG_RUNTIME_DIR")
        yield (
            os.path.join(runtime, "containers", "auth.json")
            if runtime
            else f"/run/containers/{os.getuid()}/auth.json"
        )
        config = environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        yield os.path.join(config, "containers", "auth.json")
    docker = environment.get("DOCKER_CONFIG") or os.path.join(home, ".docker")
    yield os.path.join(docker, "config.json")


def _read(path: str) -> Json:
    shown = display_path(os.fsencode(path))
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_FILE)
        value = json.loads(content or b"{}")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise StoreError(f"cannot read the credentials in {shown}: {reason_of(error)}") from None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise StoreError(f"the credentials in {shown} are malformed; log in to the registry again")
    return value


def _in_file(config: Json, host: str, repository: str) -> Credentials | None:
    helpers = _object(config.get("credHelpers"))
    for key in _keys(host, repository):
        if isinstance(helper := helpers.get(key), str):
            return _ask_helper(helper, key)
    auths = _object(config.get("auths"))
    normal = {_normalized(key): value for key, value in auths.items()}
    for key in _keys(host, repository):
        entry = _object(auths.get(key) or normal.get(key))
        found = _of_entry(entry)
        if found is not None:
            return found
    store = config.get("credsStore")
    if isinstance(store, str) and store:
        return _ask_helper(store, _DOCKER_HUB_KEY if host == DOCKER_HUB else host)
    return None


def _keys(host: str, repository: str) -> Iterator[str]:
    """What the entry may be called: the repository, the paths above it, the host."""
    path = f"{host}/{repository}"
    while path != host:
        yield path
        path = path.rpartition("/")[0]
    yield host
    if host == DOCKER_HUB:
        yield _DOCKER_HUB_KEY
        yield "index.docker.io"


def _normalized(key: str) -> str:
    """The host of a key that old versions of Docker wrote as an address."""
    for prefix in ("https://", "http://"):
        if key.startswith(prefix):
            return key.removeprefix(prefix).partition("/")[0]
    return key


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _of_entry(entry: Json) -> Credentials | None:
    token, encoded = entry.get("identitytoken"), entry.get("auth")
    if isinstance(token, str) and token:
        return Credentials("", token)
    if isinstance(encoded, str) and encoded:
        try:
            user, colon, secret = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, ValueError):
            user, colon, secret = "", "", ""
        if not colon:
            raise StoreError("the credentials of the registry are malformed; log in to it again")
        return Credentials(user, secret.rstrip("\0"))
    name, password = entry.get("username"), entry.get("password")
    if isinstance(name, str) and isinstance(password, str) and name:
        return Credentials(name, password)
    return None


def _ask_helper(name: str, server: str) -> Credentials | None:
    """What the credential helper *name* knows of *server*."""
    shown = display_text(f"docker-credential-{name}")
    if not _HELPER.fullmatch(name):
        raise StoreError(f"{shown} is not the name of a credential helper; mend the configuration")
    try:
        done = subprocess.run(
            [f"docker-credential-{name}", "get"],
            input=server.encode(),
            capture_output=True,
            check=False,
            timeout=_HELPER_SECONDS,
        )
        answer = json.loads(done.stdout) if done.returncode == 0 else None
    except FileNotFoundError:
        raise StoreError(
            f"the credentials are kept by {shown}, which is not installed; install it"
        ) from None
    except (OSError, subprocess.TimeoutExpired, ValueError, RecursionError):
        raise StoreError(f"{shown} failed to give the credentials; try it by hand") from None
    if answer is None:
        if b"credentials not found" in done.stdout + done.stderr:
            return None
        raise StoreError(f"{shown} failed to give the credentials; try it by hand")
    user, secret = (_object(answer).get(key) for key in ("Username", "Secret"))
    if not isinstance(user, str) or not isinstance(secret, str):
        raise StoreError(f"{shown} failed to give the credentials; try it by hand")
    return Credentials("" if user == _TOKEN_USER else user, secret)
