"""No secret leaves by any other way than a success's stdout, whatever a peer says or repeats."""

import json
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from process.launch import Ended, Launcher, credentials, refusal
from process.raw_server import (
    Answer,
    Connection,
    RawServer,
    chunked,
    exchanged,
    http,
    json_answer,
    says,
    then_waits,
)
from process.secrets_walk import WINDOW, Planted, found
from scene import ACCOUNT, AUDIENCE, request

Environment = dict[str, str]
Echo = Callable[[bytes], bytes]


@pytest.fixture
def planted(issuer: Issuer) -> Planted:
    """The secrets of one test."""
    return Planted(subject=issuer.token(AUDIENCE))


@pytest.fixture
def log(home: Path) -> Path:
    """A log file that the plugin accepts."""
    return home / "plugin.log"


@pytest.fixture
def environment(log: Path, tmp_path: Path) -> Environment:
    """Everything that a run might write to is a folder of the test's own."""
    for name in ("cwd", "tmp", "home"):
        (tmp_path / name).mkdir()
    return {
        "GCP_AUDIENCE": AUDIENCE,
        "GCP_LOG": str(log),
        "TMPDIR": str(tmp_path / "tmp"),
        "HOME": str(tmp_path / "home"),
    }


@dataclass(frozen=True)
class Scene:
    """One pull with planted secrets, and everything that it might write to."""

    plugin: Launcher
    environment: Environment
    planted: Planted
    log: Path
    folder: Path

    def run(self, **variables: str) -> Ended:
        """Run the plugin to its end."""
        environment = {**self.environment, **variables}
        return self.plugin.run(environment, request(self.planted.subject), cwd=self.folder / "cwd")

    def check_failure(self, ended: Ended) -> None:
        """The exchange failed, and walked through, no output has a secret."""
        assert refusal(ended)[0] == 1
        assert found(ended.stdout, self.planted.everything()) == []
        self.check_nothing_left(ended)

    def check_nothing_left(self, ended: Ended) -> None:
        """But for stdout, which of a success has the token."""
        assert found(ended.stderr, self.planted.everything()) == []
        assert found(self.log.read_bytes(), self.planted.everything()) == []
        for name in ("cwd", "tmp", "home"):
            assert list((self.folder / name).iterdir()) == []


@pytest.fixture
def scene(
    plugin: Launcher, environment: Environment, planted: Planted, log: Path, tmp_path: Path
) -> Scene:
    """The scene of one test."""
    return Scene(plugin, environment, planted, log, tmp_path)


def echoing(echo: Echo) -> Answer:
    """Answer with something made of the whole request."""

    def answer(_: RawServer, connection: Connection, received: bytes) -> None:
        connection.sendall(echo(received))

    return answer


def impersonated(scene: Scene, iam: RawServer) -> Ended:
    """Exchange for the federated token, and ask `iam` for an account's."""
    with RawServer(says(http(exchanged(scene.planted.federated)))) as sts:
        return scene.run(
            GCP_SERVICE_ACCOUNT=ACCOUNT,
            GCP_STS_ENDPOINT=sts.url,
            GCP_IAM_CREDENTIALS_ENDPOINT=iam.url,
        )


def _text(received: bytes) -> str:
    return received.decode("latin-1")


def _cut_between(received: bytes, at: int) -> bytes:
    """The secret's middle, from `at` on: truncation may begin and end anywhere."""
    return received[received.find(b"ey", received.find(b"subjectToken")) + at :]


ECHOES: dict[str, Echo] = {
    "a page": lambda r: http(b"<html><pre>" + r + b"</pre>", "Content-Type: text/html"),
    "a page with 500": lambda r: http(b"<html>" + r, status="500 Oops"),
    "plain text": lambda r: http(r, "Content-Type: text/plain", status="400 Bad Request"),
    "the body alone": lambda r: http(r.partition(b"\r\n\r\n")[2], status="400 Bad Request"),
    "an OAuth error": lambda r: json_answer(
        {"error": _text(r)[-300:], "error_description": _text(r)}, status="400 Bad Request"
    ),
    "an OAuth error's code": lambda r: json_answer(
        {"error": _text(_cut_between(r, 40)), "error_description": "x"}, status="400 Bad Request"
    ),
    "an error with a known beginning": lambda r: json_answer(
        {"error": "invalid_grant", "error_description": f"The audience in ID Token [{_text(r)}"},
        status="400 Bad Request",
    ),
    "a size error": lambda r: json_answer(
        {"error": "x", "error_description": f"The size of mapped attribute {_text(r)[-900:]}"},
        status="400 Bad Request",
    ),
    "an API error": lambda r: json_answer(
        {"error": {"code": 403, "status": _text(r)[-99:], "message": _text(r)[-500:]}},
        status="403 Forbidden",
    ),
    "a quota error": lambda r: json_answer(
        {"error": "quota_exceeded", "error_description": _text(r)[-700:]},
        "Retry-After: 3600",
        status="429 Too Many",
    ),
    "an unavailable error": lambda r: json_answer(
        {"error": _text(r)[-99:], "error_description": _text(r)[-700:]},
        "Retry-After: 3600",
        status="503 Oops",
    ),
    "chunks of seven bytes": lambda r: chunked(*(r[i : i + 7] for i in range(0, len(r), 7))),
    "lines of 76": lambda r: http(b"\n".join(r[i : i + 76] for i in range(0, len(r), 76))),
    "lines of 20": lambda r: http(b"\r\n ".join(r[i : i + 20] for i in range(0, len(r), 20))),
    "lines of 7": lambda r: http(
        b"\n".join(r[i : i + 7] for i in range(r.find(b"eyJ"), len(r), 7)),
        status="400 Bad Request",
    ),
    "UTF-16": lambda r: http(_text(r)[-400:].encode("utf-16-le"), status="400 Bad Request"),
    "the status line": lambda r: _cut_between(r, 0) + b"\r\n\r\n",
    "the status line behind a status": lambda r: b"HTTP/1.1 x" + _cut_between(r, 9) + b"\r\n\r\n",
    "a reason phrase": lambda r: b"HTTP/1.1 301 " + _cut_between(r, 3) + b"\r\n\r\n",
    "a Content-Length": lambda r: (
        b"HTTP/1.1 200 OK\r\nContent-Length: " + _cut_between(r, 5) + b"\r\n\r\n"
    ),
    "a chunk's size": lambda r: (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + _cut_between(r, 5) + b"\r\n"
    ),
    "a redirect": lambda r: (
        b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/" + _cut_between(r, 0) + b"\r\n\r\n"
    ),
    "the token where another belongs": lambda r: json_answer({"token": _text(r)}),
    "a token that is none": lambda r: json_answer({"access_token": _text(r)}),
    "a JSON string": lambda r: json_answer(_text(r)),
    "broken JSON": lambda r: http(b'{"x": "' + r),
    "a large answer": lambda r: http(r * 100),
}


@pytest.mark.parametrize("echo", ECHOES)
def test_an_echo_of_sts_is_masked(scene: Scene, echo: str) -> None:
    """A server, or what stands before it, repeats what it was sent."""
    with RawServer(echoing(ECHOES[echo])) as server:
        ended = scene.run(GCP_STS_ENDPOINT=server.url)
        assert scene.planted.subject.encode() in server.requests[0]
    scene.check_failure(ended)


def _from_bearer(received: bytes) -> bytes:
    """From the header's secret on: evidence is cut before it comes to a whole request's headers."""
    return received[received.find(b"Bearer ") :]


IAM_ECHOES: dict[str, Echo] = {
    "a page": lambda r: http(b"<html><pre>" + _from_bearer(r), "Content-Type: text/html"),
    "plain text": lambda r: http(_from_bearer(r), status="400 Bad Request"),
    "the secret's middle": lambda r: http(_from_bearer(r)[20:], status="400 Bad Request"),
    "an API error": lambda r: json_answer(
        {"error": {"code": 403, "message": _text(_from_bearer(r))}}, status="403 Forbidden"
    ),
    "an API error's status": lambda r: json_answer(
        {"error": {"code": 400, "status": _text(_from_bearer(r)[:150]), "message": "x"}},
        status="400 Bad Request",
    ),
    "an API error that is not tried again for long": lambda r: json_answer(
        {"error": {"code": 503, "message": _text(_from_bearer(r))}},
        "Retry-After: 3600",
        status="503 Oops",
    ),
    "lines of 7": lambda r: http(
        b"\n".join(r[i : i + 7] for i in range(r.find(b"eyJ"), len(r), 7)),
        status="400 Bad Request",
    ),
    "UTF-16": lambda r: http(_text(r)[-400:].encode("utf-16-le"), status="400 Bad Request"),
    "the status line": lambda r: _from_bearer(r)[7:] + b"\r\n\r\n",
    "lines of 20": lambda r: http(b"\r\n ".join(r[i : i + 20] for i in range(0, len(r), 20))),
    "the token where another belongs": lambda r: json_answer({"token": _text(_from_bearer(r))}),
    "a token that is none": lambda r: json_answer({"accessToken": _text(_from_bearer(r))}),
}


@pytest.mark.parametrize("echo", IAM_ECHOES)
def test_an_echo_of_iam_is_masked(scene: Scene, echo: str) -> None:
    """There the federated token stands in a header."""
    with RawServer(echoing(IAM_ECHOES[echo])) as iam:
        ended = impersonated(scene, iam)
        assert scene.planted.federated.encode() in iam.requests[0]
    scene.check_failure(ended)


UNUSABLE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda body: http(body[:-1]),
    "cut in the token": lambda body: http(body[:60]),
    "with more behind": lambda body: http(body + b"<script></script>"),
    "with more before": lambda body: http(b"<!-- scanned -->" + body),
    "without its head": lambda body: body + b"\r\n\r\n",
    "without its head, from the token on": lambda body: body[18:] + b"\r\n\r\n",
    "twice": lambda body: http(body * 2),
    "in a list": lambda body: http(b"[" + body + b"]"),
    "in UTF-16": lambda body: http(body.decode().encode("utf-16")),
    "named a page": lambda body: http(body[:-1], "Content-Type: text/html"),
    "named plain text": lambda body: http(body[:-1], "Content-Type: text/plain"),
}


@pytest.mark.parametrize("change", UNUSABLE)
@pytest.mark.parametrize("api", ["STS", "IAM"])
def test_a_new_token_in_an_answer_that_is_no_json_is_not_quoted(
    scene: Scene, api: str, change: str
) -> None:
    """Google said yes and something on the way broke its answer: nobody knows this token yet."""
    tokens = {"STS": scene.planted.federated, "IAM": scene.planted.access}
    field = {"STS": "access_token", "IAM": "accessToken"}[api]
    answer = UNUSABLE[change](json.dumps({field: tokens[api], "x": 1}).encode())
    with RawServer(says(answer)) as server:
        if api == "STS":
            ended = scene.run(GCP_STS_ENDPOINT=server.url)
        else:
            ended = impersonated(scene, server)
    scene.check_failure(ended)


PROXY_ECHOES: dict[str, Echo] = {
    "a refusal": lambda r: b"HTTP/1.1 403 " + r.replace(b"\r\n", b" ") + b"\r\n\r\n",
    "a 407": lambda r: b"HTTP/1.1 407 " + r.replace(b"\r\n", b" ") + b"\r\n\r\n",
    "all of it": lambda r: r,
    "the header": lambda r: r[r.find(b"Basic") :],
    "the secret": lambda r: r[r.find(b"Basic ") + 6 :],
    "the secret's middle": lambda r: r[r.find(b"Basic ") + 11 :],
    "the secret behind a status": lambda r: b"HTTP/1.1 500 " + r[r.find(b"Basic ") + 6 :],
}


@pytest.mark.parametrize("echo", PROXY_ECHOES)
def test_an_echo_of_a_proxy_is_masked(scene: Scene, echo: str) -> None:
    """User and password: as written in HTTPS_PROXY, decoded, and as the header has them."""
    with RawServer(echoing(PROXY_ECHOES[echo])) as proxy:
        ended = scene.run(HTTPS_PROXY=f"http://{scene.planted.user_info}@{proxy.address}")
        assert f"Basic {scene.planted.authorization}".encode() in proxy.requests[0]
    scene.check_failure(ended)


URLS = [
    "https://{}@127.0.0.1:1",
    "socks5://{}@127.0.0.1:1",
    "http://{}@",
    "http://{}@127.0.0.1:port",
    "http://{}@[::1",
    "http://{}%@127.0.0.1:1",
    "http://{}@127.0.0.1:1/path",
    "http://{}@127.0.0.1:1",
    "{}@127.0.0.1:1",
    "http://{}",
]


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "GCP_STS_ENDPOINT"])
def test_a_password_in_a_bad_url_is_not_quoted(
    plugin: Launcher, environment: Environment, planted: Planted, log: Path, variable: str
) -> None:
    """The slip is named without its text."""

    def run(form: str) -> Ended:
        asked = request(planted.subject)
        return plugin.run({**environment, variable: form.format(planted.user_info)}, asked)

    with ThreadPoolExecutor(8) as pool:
        for ended in pool.map(run, URLS):
            refusal(ended)
            assert found(ended.stderr, planted.everything()) == []
    recorded = log.read_bytes() if log.exists() else b""
    assert found(recorded, planted.everything()) == []


def test_a_success_tells_the_token_to_stdout_alone(scene: Scene) -> None:
    """With impersonation: the federated token is a step that nobody sees."""
    planted = scene.planted
    with RawServer(says(json_answer({"accessToken": planted.access}))) as iam:
        ended = impersonated(scene, iam)
    response = credentials(ended)
    assert {entry["password"] for entry in response["auth"].values()} == {planted.access}
    assert found(ended.stdout, [planted.subject, planted.federated[WINDOW:]]) == []
    scene.check_nothing_left(ended)


@pytest.fixture
def _core_dumps() -> Iterator[None]:
    """Processes that start now would leave one; most shells have it off."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


@pytest.mark.usefixtures("_core_dumps")
def test_a_running_process_shows_nothing(
    plugin: Launcher, environment: Environment, planted: Planted
) -> None:
    """In /proc while Google is silent: arguments, environment, and no core dump to come."""
    with RawServer(then_waits(b"")) as server:
        environment["GCP_STS_ENDPOINT"] = server.url
        with plugin.started(environment, request(planted.subject)) as process:
            assert server.arrived.wait(10)
            folder = Path("/proc") / str(process.pid)
            arguments = (folder / "cmdline").read_bytes()
            handed_down = (folder / "environ").read_bytes()
            limits = (folder / "limits").read_text()
            opened = [str(link.readlink()) for link in (folder / "fd").iterdir()]
    assert found(arguments, planted.everything()) == []
    assert found(handed_down, planted.tokens()) == []
    [core] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    # The static file needs no more than 0: it is not dumpable (tests/static/test_hardening.py).
    is_static = len(plugin.command) == 1 and plugin.command[0].rpartition("-linux-")[1]
    assert core.split()[4:6] == (["0", "0"] if is_static else ["1", "1"])
    assert [name for name in opened if name.startswith("/") and not name.startswith("/dev/")] == []


def test_bad_requests_are_not_quoted(
    plugin: Launcher, environment: Environment, planted: Planted, tmp_path: Path
) -> None:
    """What is wrong with the document or the token is said without the token."""
    token = planted.subject
    head, payload, signature = token.split(".")
    bad = [
        request(token)[:-2],
        request(token) + b"x",
        request(token).replace(b"{", b"[", 1),
        request(token).replace(b"Request", b"Question"),
        request(token).replace(b"k8s.io/v1", b"k8s.io/v1beta1"),
        request(token, image="registry.example.com/app"),
        request(token, image=""),
        request(token, image=token),
        request(token, kind=token),
        request(token, apiVersion=token),
        request(token, serviceAccountAnnotations=token),
        request(f"{token}="),
        request(f"{head}.{payload}"),
        request(f"{head}.{payload[:-9]}.{signature}"),
        request(f"{payload}.{signature}.{head}"),
        request(f" {token}"),
        request([token]),  # type: ignore[arg-type]  # what is wrong with it
        token.encode(),
    ]
    with ThreadPoolExecutor(4) as pool:
        for ended in pool.map(lambda asked: plugin.run(environment, asked), bad):
            assert refusal(ended)[0] == 2
            assert found(ended.stderr, planted.tokens()) == []
