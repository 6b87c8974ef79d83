"""How faults are arranged between the plugin and Google: one small function for each kind.

A case arranges its faults on a stage of its own (an emulator, servers, the environment) and says
what must come of it: exit code and error code, and where that is the point, how often was tried.
"""

import socket
import ssl
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import trustme

from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process.raw_server import Answer, RawServer, json_answer, says
from scene import ACCOUNT

SUCCESS = (0, "")


@dataclass
class Stage:
    """Where one case plays."""

    google: Emulator
    environment: dict[str, str]
    stack: ExitStack
    """Closed after the case."""
    tries: Callable[[], int]
    """How often the plugin tried, as the other side saw it."""
    unwanted: list[RawServer] = field(default_factory=list)
    """Servers that nobody may connect to."""


Arrange = Callable[[Stage], None]


@dataclass(frozen=True)
class Case:
    """One fault."""

    name: str
    arrange: tuple[Arrange, ...]
    expected: tuple[int, str]
    tries: int | None = None
    """None: not the point."""
    cached: int | None = None
    """cacheDuration of a success in seconds, less what the exchange itself may take."""


def case(
    name: str,
    expected: tuple[int, str] | str,
    *arrange: Arrange,
    tries: int | None = None,
    cached: int | None = None,
) -> Case:
    """A case; a mere error code stands for exit 1."""
    outcome = (1, expected) if isinstance(expected, str) else expected
    return Case(name, arrange, outcome, tries, cached)


def fault(kind: str, **settings: Any) -> Arrange:
    """A fault rule of the emulator, on the exchange unless it says otherwise."""

    def arrange(stage: Stage) -> None:
        if kind != "certificate" and not kind.startswith("connect_"):
            settings.setdefault("path", "/v1/token")
        name = stage.google.faults.set(kind, **settings)
        if kind.startswith("connect_") or kind == "certificate":
            stage.tries = lambda: stage.google.faults.hits(name)
        elif "service" in settings:
            stage.tries = lambda: len(stage.google.log.entries(settings["service"]))

    return arrange


def status(code: int, body: Any = "", **settings: Any) -> Arrange:
    """An HTTP status in STS's place."""
    return fault("status", status=code, body=body, **settings)


def oauth(code: int, error: str, text: str = "", **settings: Any) -> Arrange:
    """An error in the shape that STS gives it."""
    return status(code, {"error": error, "error_description": text}, **settings)


def impersonating(stage: Stage) -> None:
    """Ask for an account's token as well."""
    stage.environment["GCP_SERVICE_ACCOUNT"] = ACCOUNT


def iam(kind: str, **settings: Any) -> Arrange:
    """A fault of the IAM Credentials API, whose requests are counted."""
    return fault(kind, path="*:generateAccessToken", service="iam_credentials", **settings)


def iam_status(code: int, message: str, **settings: Any) -> Arrange:
    """An error in the shape that Google's APIs give it (AIP-193)."""
    body = {"error": {"code": code, "message": message, "status": "X"}}
    return iam("status", status=code, body=body, **settings)


def raw(answer: Answer, **server: Any) -> Arrange:
    """A server of bytes in STS's place; its connections are counted."""

    def arrange(stage: Stage) -> None:
        running = stage.stack.enter_context(RawServer(answer, **server))
        stage.environment["GCP_STS_ENDPOINT"] = running.url
        stage.tries = lambda: running.connections

    return arrange


def raw_iam(answer: Answer) -> Arrange:
    """A server of bytes in place of the IAM Credentials API."""

    def arrange(stage: Stage) -> None:
        running = stage.stack.enter_context(RawServer(answer))
        stage.environment["GCP_IAM_CREDENTIALS_ENDPOINT"] = running.url
        stage.tries = lambda: running.connections

    return arrange


def says_json(document: Any) -> Arrange:
    """STS answers 200 with this document."""
    return raw(says(json_answer(document)))


def token(value: Any) -> Arrange:
    """STS answers 200 with this as access token."""
    return says_json({"access_token": value, "token_type": "Bearer", "expires_in": 3598})


def raw_proxy(answer: Answer, **server: Any) -> Arrange:
    """A server of bytes as the proxy on the way to Google's own name."""

    def arrange(stage: Stage) -> None:
        running = stage.stack.enter_context(RawServer(answer, **server))
        through(f"http://{running.address}")(stage)
        stage.tries = lambda: running.connections

    return arrange


def through(proxy: str) -> Arrange:
    """A proxy on the way to Google's own name; `{proxy}` is the emulator's address."""

    def arrange(stage: Stage) -> None:
        del stage.environment["GCP_STS_ENDPOINT"]
        address = stage.google.endpoints["proxy"].removeprefix("http://")
        stage.environment["HTTPS_PROXY"] = proxy.replace("{proxy}", address)

    return arrange


def refusing(code: int) -> Arrange:
    """The emulator's proxy refuses every tunnel."""

    def arrange(stage: Stage) -> None:
        stage.google.proxy.refuse_with = code

    return arrange


def setting(**variables: str) -> Arrange:
    """Variables; `{http}`, `{https}` and so on are addresses of the emulator."""

    def arrange(stage: Stage) -> None:
        endpoints: Mapping[str, Any] = stage.google.endpoints
        addresses = {
            "https": endpoints["sts"].removeprefix("https://"),
            "http": endpoints["http"]["sts"].removeprefix("http://"),
            **endpoints["wrong_certificate"],
        }
        for name, value in variables.items():
            stage.environment[name] = value.format_map(addresses)

    return arrange


def budget(seconds: int) -> Arrange:
    """GCP_TIMEOUT."""
    return setting(GCP_TIMEOUT=str(seconds))


def tls_server(answer: Answer, *names: str, **context: Any) -> Arrange:
    """A TLS server whose authority is trusted; `context` are attributes of its SSLContext."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Here and not in `arrange`, which runs in a thread: filters of warnings are everybody's.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TLS 1.1
        for name, value in context.items():
            setattr(tls, name, value)
    if context:
        tls.set_ciphers("ALL:@SECLEVEL=0")

    def arrange(stage: Stage) -> None:
        authority = trustme.CA()
        authority.issue_cert(*(names or ("127.0.0.1",))).configure_cert(tls)
        bundle = stage.stack.enter_context(authority.cert_pem.tempfile())
        stage.environment["SSL_CERT_FILE"] = bundle
        raw(answer, tls=tls)(stage)

    return arrange


def redirect(code: int) -> Arrange:
    """A redirect to a server that must never see the token."""

    def arrange(stage: Stage) -> None:
        other = stage.stack.enter_context(RawServer(says(json_answer({"access_token": "x"}))))
        stage.unwanted.append(other)
        status(code, headers={"Location": f"{other.url}/v1/token"})(stage)

    return arrange


def full_backlog(stage: Stage) -> None:
    """STS is a listener that never accepts."""
    stage.environment["GCP_STS_ENDPOINT"] = f"https://{_full_backlog(stage)}"


def proxy_with_full_backlog(stage: Stage) -> None:
    """The proxy on the way to Google's own name is one."""
    through(f"http://{_full_backlog(stage)}")(stage)


def _full_backlog(stage: Stage) -> str:
    """The address of a listener whose queue is full: the kernel drops what else wants in."""
    listener = stage.stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):
        waiting = stage.stack.enter_context(socket.socket())
        waiting.setblocking(False)  # noqa: FBT003 -- its only parameter
        waiting.connect_ex(listener.getsockname())
    return f"127.0.0.1:{listener.getsockname()[1]}"
