"""Pushing to a real registry: who one is, broken lines, and what others pull from it."""

from __future__ import annotations

import email.message
import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from support.commands import whiteout
from support.engines import Registry as Engine
from support.engines import containerd, podman, registry, run
from support.imagetrees import build_layers, stack, view, view_of_layers
from support.registries import (
    BASIC,
    HTPASSWD,
    PASSWORD,
    USER,
    BadLine,
    Waited,
    auth_entry,
    bad_line,
    before_chunks,
    in_the_middle,
    self_signed,
    token_server,
    waited,
)
from support.trees import File, make
from whiteout.cancel import CancelToken
from whiteout.contentstore import Descriptor
from whiteout.credentials import Credentials, find_credentials
from whiteout.errors import Cancelled, DigestMismatch, NotFound, StoreError, UsageError
from whiteout.mediatypes import TAR
from whiteout.opening import open_pair
from whiteout.references import Reference, parse_reference
from whiteout.registry import CHUNK, Repository
from whiteout.registryhttp import _challenge
from whiteout.sinks.layout import OciLayout
from whiteout.sinks.model import Action, Step
from whiteout.sinks.registry import Registry
from whiteout.sinks.run import export_to, whole_stack
from whiteout.sinks.spelling import open_image
from whiteout.snapshot import Snapshot

__all__ = ["waited"]

pytestmark = pytest.mark.peer("docker-registry", "skopeo")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with registry() as running:
        yield running


def simple(tmp_path: Path, content: bytes = b"x", name: str = "s") -> Snapshot:
    upper = make(tmp_path / name, {"file": File(content)})
    return open_pair(os.fsencode(upper), [], userxattr=True)


def sink(host: str, repository: str = "team/app", tag: str = "1") -> Registry:
    return Registry(Reference(host, repository, tag))


def inspected(host: str, repository: str = "team/app", tag: str = "1") -> list[str]:
    """The layers, as skopeo sees them."""
    told = run("skopeo", "inspect", "--tls-verify=false", f"docker://{host}/{repository}:{tag}")
    return [str(digest) for digest in json.loads(told)["Layers"]]


def asked(engine: Engine, method: str, repository: str) -> int:
    """How often the registry was asked by *method* about blobs of *repository*."""
    lines = engine.log.read_text().splitlines()
    return sum(f'"{method} /v2/{repository}/blobs/' in line for line in lines)


@pytest.mark.root
@pytest.mark.peer("podman", "containerd", "ctr")
def test_engines_pull_a_whole_image(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "layers").mkdir()
    layers = build_layers(tmp_path / "layers")
    result = export_to(sink(engine.host, "whole"), whole_stack(stack(layers)))
    assert inspected(engine.host, "whole") == [x.descriptor.digest for x in result.layers]
    expected = view_of_layers(layers, tmp_path / "merged")
    name = f"{engine.host}/whole:1"
    with podman() as storage:
        image = storage.podman("pull", "-q", "--tls-verify=false", name).strip()
        assert view(Path(storage.podman("image", "mount", image).strip())) == expected
        storage.podman("image", "umount", image)
    (tmp_path / "mnt").mkdir()
    with containerd() as other:
        other.ctr("images", "pull", "--plain-http", name)
        other.ctr("images", "mount", name, tmp_path / "mnt")
        assert view(tmp_path / "mnt") == expected
        other.ctr("images", "unmount", tmp_path / "mnt")


def test_what_is_there_is_not_sent_again(engine: Engine, tmp_path: Path) -> None:
    first = export_to(sink(engine.host, "again"), [simple(tmp_path)])
    steps: list[Step] = []
    second = export_to(sink(engine.host, "again"), [simple(tmp_path)], progress=steps.append)
    assert first.reused == () and second.reused == (first.layers[0].descriptor.digest,)
    assert not [step for step in steps if step.action is Action.SEND]


def test_a_large_layer_goes_in_chunks(engine: Engine, tmp_path: Path) -> None:
    steps: list[Step] = []
    content = os.urandom(2 * CHUNK + 12345)
    result = export_to(
        sink(engine.host, "large"),
        [simple(tmp_path, content)],
        media_type=TAR,
        progress=steps.append,
    )
    sent = [step.done for step in steps if step.action is Action.SEND]
    assert sent == sorted(sent) and sent[-1] == result.layers[0].descriptor.size
    assert asked(engine, "PATCH", "large") == 3 + 1  # three of the layer, one of the config
    with Repository(engine.host, "large") as repository:
        stored = repository.open(result.layers[0].descriptor.digest)
        with stored:
            assert content in stored.read()


def through(line: BadLine, repository: str) -> Registry:
    return Registry(Reference(line.host, repository, "1"), plain_http=True)


def test_an_upload_goes_on_where_the_line_broke(engine: Engine, tmp_path: Path) -> None:
    """Chunks that the registry has are not sent again, and there is one upload for each blob."""
    content = os.urandom(3 * CHUNK)
    with bad_line(engine.host, before_chunks(2, 4)) as line:
        result = export_to(through(line, "resumed"), [simple(tmp_path, content)], media_type=TAR)
        assert line.broken == 2
    assert inspected(engine.host, "resumed") == [result.layers[0].descriptor.digest]
    assert asked(engine, "POST", "resumed") == 2
    assert asked(engine, "PATCH", "resumed") == 4 + 1


def test_an_upload_that_broke_in_a_chunk_begins_anew(engine: Engine, tmp_path: Path) -> None:
    """This registry forgets an upload with a part of a chunk."""
    content = os.urandom(2 * CHUNK + 12345)
    with bad_line(engine.host, in_the_middle(3, 3_000_000)) as line:
        result = export_to(through(line, "anew"), [simple(tmp_path, content)], media_type=TAR)
        assert line.broken == 3
    assert inspected(engine.host, "anew") == [result.layers[0].descriptor.digest]


def test_a_line_that_always_breaks_is_given_up(
    engine: Engine, tmp_path: Path, waited: Waited
) -> None:
    content = os.urandom(CHUNK)
    with (
        bad_line(engine.host, in_the_middle(100, 2_000_000)) as line,
        pytest.raises(StoreError, match="cannot reach the registry"),
    ):
        export_to(through(line, "hopeless"), [simple(tmp_path, content)], media_type=TAR)
    assert 2 < waited.seconds < 20
    with Repository(engine.host, "hopeless") as repository, pytest.raises(NotFound):
        repository.manifest("1")


def test_cancelled_in_the_middle_there_is_no_image(engine: Engine, tmp_path: Path) -> None:
    token = CancelToken()

    def cancel(step: Step) -> None:
        if step.action is Action.SEND and step.done > CHUNK:
            token.cancel()

    with pytest.raises(Cancelled):
        export_to(
            sink(engine.host, "cancelled"),
            [simple(tmp_path, os.urandom(2 * CHUNK))],
            media_type=TAR,
            progress=cancel,
            cancel=token,
        )
    with Repository(engine.host, "cancelled") as repository, pytest.raises(NotFound):
        repository.manifest("1")


def test_wrong_content_is_refused(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    with Repository(engine.host, "wrong", push=True) as repository, file.open("rb") as content:
        for size in (3, 4):
            with pytest.raises(DigestMismatch):
                repository.push(
                    Descriptor("x", "sha256:" + "0" * 64, size), content, lambda offset: None
                )
        assert not repository.has("sha256:" + "0" * 64)


def test_the_layers_of_a_base_are_mounted(engine: Engine, tmp_path: Path) -> None:
    export_to(sink(engine.host, "base"), [simple(tmp_path, b"base", "b")])
    name = f"docker://{engine.host}/base:1"
    steps: list[Step] = []
    with open_image(name) as base:
        result = export_to(
            sink(engine.host, "derived"), [simple(tmp_path)], base=base, progress=steps.append
        )
        below = base.layers[0].descriptor.digest
        assert result.reused == (below,)
        assert below not in {step.item for step in steps}
        assert inspected(engine.host, "derived")[0] == below
        here = export_to(OciLayout(f"{tmp_path}/oci"), [simple(tmp_path)], base=base)
        assert here.manifest == result.manifest
        with registry() as elsewhere:
            export_to(sink(elsewhere.host, "derived"), [simple(tmp_path)], base=base)
            assert inspected(elsewhere.host, "derived") == inspected(engine.host, "derived")
    with pytest.raises(NotFound), open_image(f"docker://{engine.host}/base:2"):
        pass


# Who one is


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return self_signed(tmp_path)


def log_in(home: Path, config: dict[str, object]) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker/config.json").write_text(json.dumps(config))


def test_a_password_is_asked_for(tmp_path: Path, clean_environment: Path) -> None:
    passwords = tmp_path / "htpasswd"
    passwords.write_text(HTPASSWD)
    with registry(f"auth:\n  htpasswd:\n    realm: test\n    path: {passwords}\n") as engine:
        with pytest.raises(StoreError, match=r"wants credentials .* skopeo login"):
            export_to(sink(engine.host), [simple(tmp_path)])
        log_in(clean_environment, {"auths": {engine.host: {"auth": "d3Jvbmc6d3Jvbmc="}}})
        with pytest.raises(StoreError, match="does not accept the credentials"):
            export_to(sink(engine.host), [simple(tmp_path)])
        login = ("skopeo", "login", "--tls-verify=false", "-u", USER, "-p", PASSWORD)
        authfile = clean_environment / ".config/containers/auth.json"
        run(*login, "--authfile", authfile, engine.host)
        result = export_to(sink(engine.host), [simple(tmp_path)])
        with open_image(f"docker://{engine.host}/team/app:1") as image:
            assert image.descriptor == result.manifest


def bearer(certificate: Path, realm: str) -> str:
    return (
        f"auth:\n  token:\n    realm: {realm}\n    service: registry\n    issuer: test\n"
        f"    rootcertbundle: {certificate}\n"
    )


@pytest.mark.peer("openssl")
def test_a_token_is_got_for_what_is_done(
    certificate: tuple[Path, Path], tmp_path: Path, clean_environment: Path
) -> None:
    with (
        token_server(*certificate) as server,
        registry(bearer(certificate[0], server.realm)) as engine,
    ):
        with pytest.raises(StoreError, match="skopeo login") as caught:
            export_to(sink(engine.host), [simple(tmp_path)])
        assert "\n" not in str(caught.value)
        log_in(clean_environment, {"auths": {engine.host: {"auth": "d3Jvbmc6d3Jvbmc="}}})
        with pytest.raises(StoreError, match="does not accept the credentials"):
            export_to(sink(engine.host), [simple(tmp_path)])
        log_in(clean_environment, {"auths": {engine.host: auth_entry()}})
        export_to(sink(engine.host, "base"), [simple(tmp_path, b"base", "b")])
        server.asked.clear()
        with open_image(f"docker://{engine.host}/base:1") as base:
            result = export_to(sink(engine.host), [simple(tmp_path)], base=base)
        assert result.reused == (base.layers[0].descriptor.digest,)
        assert ["repository:base:pull"] in server.asked
        assert ["repository:team/app:pull,push", "repository:base:pull"] in server.asked
        creds = f"{USER}:{PASSWORD}"
        run(
            *("skopeo", "inspect", "--tls-verify=false", "--creds", creds),
            f"docker://{engine.host}/team/app:1",
        )


@pytest.mark.peer("openssl")
def test_of_several_challenges_that_for_a_token_is_answered(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """A proxy in front adds one for passwords, before or after; nobody has logged in."""
    with token_server(*certificate, anonymous=True) as server:
        configuration = bearer(certificate[0], server.realm)
        with registry(f"  headers:\n    WWW-Authenticate: [Basic]\n{configuration}") as engine:
            export_to(sink(engine.host), [simple(tmp_path)])
    headers = email.message.Message()
    for challenge in ('Bearer realm="https://auth/"', 'Basic realm="x"'):
        headers["WWW-Authenticate"] = challenge
    response = cast(http.client.HTTPResponse, SimpleNamespace(headers=headers))
    assert _challenge(response)["www-authenticate"].startswith("Bearer")


@pytest.mark.peer("openssl")
def test_an_identity_token_is_exchanged(
    certificate: tuple[Path, Path], tmp_path: Path, clean_environment: Path
) -> None:
    with (
        token_server(*certificate) as server,
        registry(bearer(certificate[0], server.realm)) as engine,
    ):
        log_in(clean_environment, {"auths": {engine.host: {"identitytoken": "identity"}}})
        export_to(sink(engine.host), [simple(tmp_path)])
        assert ["repository:team/app:pull,push"] in server.asked


@pytest.mark.peer("openssl")
def test_a_token_that_ends_is_renewed(
    certificate: tuple[Path, Path], tmp_path: Path, clean_environment: Path
) -> None:
    """Tokens that are over when they are given, but for the minute that the registry allows."""
    with (
        token_server(*certificate) as server,
        registry(bearer(certificate[0], server.realm)) as engine,
    ):
        log_in(clean_environment, {"auths": {engine.host: auth_entry()}})
        with Repository(engine.host, "renewed", push=True) as repository:
            assert not repository.has("sha256:" + "0" * 64)
            repository._http._authorization = "Bearer over"
            assert not repository.has("sha256:" + "0" * 64)
        assert len(server.asked) == 2


@pytest.mark.peer("openssl")
def test_tls_is_verified(
    certificate: tuple[Path, Path], tmp_path: Path, clean_environment: Path
) -> None:
    more = f"  tls:\n    certificate: {certificate[0]}\n    key: {certificate[1]}\n"
    with registry(more) as engine:
        with pytest.raises(StoreError, match="is not trusted"):
            export_to(sink(engine.host), [simple(tmp_path)])
        trusted = clean_environment / ".config/containers/certs.d" / engine.host
        trusted.mkdir(parents=True)
        (trusted / "ca.crt").write_bytes(certificate[0].read_bytes())
        export_to(sink(engine.host), [simple(tmp_path)])
        assert inspected(engine.host)


def test_plain_http_is_for_this_machine_or_when_asked(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another name for this machine stands for another machine."""
    import whiteout.registryhttp

    monkeypatch.setattr(whiteout.registryhttp, "_is_this_machine", lambda host: False)
    with pytest.raises(StoreError, match=r"does not speak TLS; .* --plain-http"):
        export_to(sink(engine.host, "plain"), [simple(tmp_path)])
    export_to(Registry(Reference(engine.host, "plain"), plain_http=True), [simple(tmp_path)])


def test_a_host_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    for host, sentence in (("127.0.0.1:1", "connection refused"), ("x.invalid", "no such host")):
        with pytest.raises(StoreError, match=sentence) as caught:
            export_to(sink(host), [simple(tmp_path)])
        assert "\n" not in str(caught.value)


# Where credentials are kept


def helper(directory: Path, script: str) -> None:
    directory.mkdir(exist_ok=True)
    path = directory / "docker-credential-test"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_files_are_asked_in_order(clean_environment: Path, tmp_path: Path) -> None:
    def entry(name: str) -> dict[str, str]:
        return {"username": name, "password": "p"}

    home = clean_environment
    log_in(home, {"auths": {"a.example": entry("docker"), "b.example": entry("docker")}})
    runtime = tmp_path / "runtime"
    (runtime / "containers").mkdir(parents=True)
    (runtime / "containers/auth.json").write_text(
        json.dumps({"auths": {"a.example/team": entry("team"), "a.example": entry("podman")}})
    )
    environment = {"XDG_RUNTIME_DIR": str(runtime)}

    def user(host: str, repository: str, environment: dict[str, str] = environment) -> str | None:
        found = find_credentials(host, repository, environment)
        return found.user if found is not None else None

    assert user("a.example", "team/app") == "team"
    assert user("a.example", "other") == "podman"
    assert user("b.example", "x") == "docker"
    assert user("c.example", "x") is None
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"auths": {"https://c.example/v1/": entry("old")}}))
    assert user("c.example", "x", {"REGISTRY_AUTH_FILE": str(other)}) == "old"
    other.write_text(json.dumps({"auths": {"https://index.docker.io/v1/": entry("hub")}}))
    assert user("docker.io", "library/x", {"REGISTRY_AUTH_FILE": str(other)}) == "hub"


def test_helpers_are_asked(
    clean_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    helper(
        tmp_path / "bin",
        'read server; [ "$1" = get ] || exit 1; case $server in\n'
        'a.example) echo \'{"Username":"u","Secret":"sss"}\';;\n'
        'b.example) echo \'{"Username":"<token>","Secret":"ttt"}\';;\n'
        "c.example) echo credentials not found in native keychain; exit 1;;\n"
        "*) echo SECRET-OUTPUT >&2; exit 3;; esac",
    )
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    for config in (
        {"credsStore": "test"},
        {"credHelpers": {f"{x}.example": "test" for x in "abcd"}},
    ):
        log_in(clean_environment, {**config, "auths": {"a.example": {}}})
        assert find_credentials("a.example", "x", environment) == Credentials("u", "sss")
        assert find_credentials("b.example", "x", environment) == Credentials("", "ttt")
        assert find_credentials("c.example", "x", environment) is None
        with pytest.raises(StoreError, match="docker-credential-test failed") as caught:
            find_credentials("d.example", "x", environment)
        assert "SECRET" not in str(caught.value)
    for name in ("../evil", "missing"):
        log_in(clean_environment, {"credsStore": name})
        with pytest.raises(StoreError, match="docker-credential-"):
            find_credentials("a.example", "x", environment)


@pytest.mark.parametrize("content", ["{", "[]", '{"auths":{"a.example":{"auth":"!!!"}}}'])
def test_a_malformed_file_is_one_sentence_without_its_content(
    clean_environment: Path, content: str
) -> None:
    (clean_environment / ".docker").mkdir()
    (clean_environment / ".docker/config.json").write_text(content)
    with pytest.raises(StoreError, match="malformed; log in") as caught:
        find_credentials("a.example", "x", {"XDG_RUNTIME_DIR": "/nowhere"})
    assert "!!!" not in str(caught.value)


def test_a_secret_is_never_shown() -> None:
    credentials = Credentials("u", "hunter2")
    assert "hunter2" not in repr(credentials) and "hunter2" not in str(credentials)
    assert Credentials(USER, PASSWORD).basic == BASIC


# Names


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("app", "docker.io/library/app:latest"),
        ("team/app:1", "docker.io/team/app:1"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/a/b/c:v_1.2-x", "localhost:5000/a/b/c:v_1.2-x"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        (f"r.example/app@sha256:{'0' * 64}", f"r.example/app@sha256:{'0' * 64}"),
    ],
)
def test_references_are_read_as_docker_does(text: str, full: str) -> None:
    assert str(parse_reference(text)) == full


@pytest.mark.parametrize(
    "text", ["", "App", "a:", "a:b:c", "a//b", "a b", "-a", "r.example/", "a@sha256:0", "a\n", "é"]
)
def test_malformed_references_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a reference"):
        parse_reference(text)


def test_the_command_pushes(
    engine: Engine, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    upper, lower = make(tmp_path / "u", {"f": File(b"x")}), make(tmp_path / "l", {})
    arguments = ["export", upper, "--lower", lower, "--userxattr", "--json", "--to"]
    told = whiteout(capfdbinary, *arguments, f"docker://{engine.host}/cli:t").done()
    (result,) = told.objects()
    assert result["reference"] == f"docker://{engine.host}/cli:t"
    assert inspected(engine.host, "cli", "t") == [result["layers"][0]["digest"]]
    told = whiteout(capfdbinary, *arguments, f"docker://{engine.host}/cli@sha256:{'0' * 64}")
    assert (told.status, told.stdout) == (2, b"") and b"give a tag" in told.stderr
