"""Put the emulator on its sockets and take it off again.

Imports hypercorn and the applications. The order of things: sockets, certificates, HTTP server,
relay, then `ca.pem` and `endpoints.json`, so that who sees the files can connect.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config as HypercornConfig
from starlette.types import ASGIApp, Receive, Scope, Send

from gcp_sa_credential_provider.emulator import audit, persistence
from gcp_sa_credential_provider.emulator.app import service_application
from gcp_sa_credential_provider.emulator.config import Config, load
from gcp_sa_credential_provider.emulator.control import PREFIX, control_application
from gcp_sa_credential_provider.emulator.faults import CERTIFICATES
from gcp_sa_credential_provider.emulator.proxy import Proxy
from gcp_sa_credential_provider.emulator.realm import Realm
from gcp_sa_credential_provider.emulator.relay import Relay
from gcp_sa_credential_provider.emulator.state import Google
from gcp_sa_credential_provider.emulator.store import Store
from gcp_sa_credential_provider.emulator.tls import Authority

HOST = "127.0.0.1"
SERVICES = ("sts", "iam", "iam_credentials", "registry")


@dataclass(frozen=True)
class Running:
    """A running emulator."""

    endpoints: Mapping[str, Any]
    """The content of endpoints.json."""
    proxy: Proxy | None


@dataclass(frozen=True)
class Files:
    """What outlives the emulator."""

    state: Path | None = None
    """All resources (persistence); None: they are gone at the end."""
    images: Path | None = None
    """Directory of pushed images (store); None: a temporary one."""
    audit: Path | None = None
    """The audit log (audit); None: none is written."""

    def loaded(self, document: Any, source: str) -> Config:
        """The configuration, with the resources of the state file if it holds any.

        `source` names the document in errors. Raises ConfigError.
        """
        loaded = load(document, source)
        if self.state is None:
            return loaded
        restored = persistence.restored(self.state, loaded.resources.options)
        return replace(loaded, resources=restored or loaded.resources)


@asynccontextmanager
async def running(
    google: Google,
    directory: Path,
    *,
    port: int = 0,
    proxy: Mapping[str, str] | None = None,
    files: Files | None = None,
) -> AsyncIterator[Running]:
    """Serve while the block runs.

    `port`: https port, plain http on the next one and control on the one after; 0: any free.
    Writes ca.pem and endpoints.json into `directory` and removes them at the end. Raises OSError
    (port taken, directory not writable) and ConfigError (state file).
    """
    sockets = _Sockets()
    cleaning = ExitStack()
    try:
        https = sockets.open(port)
        http = sockets.open(port + 1 if port else 0)
        control = sockets.open(port + 2 if port else 0)
        inner = sockets.open()
        wrong = {name: sockets.open() for name in CERTIFICATES}
        authority = Authority()
        google.realm = Realm(authority)
        _open_files(google, files or Files(), cleaning)
        relay = Relay(inner.getsockname(), authority.contexts(), google.faults)
        stopping = asyncio.Event()
        application = _ByPort(
            service_application(google, relay.wires, stopping),
            control_application(google),
            control.getsockname()[1],
        )
        server = asyncio.create_task(
            serve(
                application,  # type: ignore[arg-type]  # hypercorn's own idea of ASGI types
                _hypercorn(inner, control),
                shutdown_trigger=stopping.wait,
            )
        )
        tunnel = None
        try:
            relay.listen(https, "valid")
            relay.listen(http, None)
            for name, listener in wrong.items():
                relay.listen(listener, name)
            endpoints = _endpoints(directory, https, http, control, wrong)
            if proxy is not None:
                entrance = sockets.open()
                tunnel = Proxy(proxy, https.getsockname()[1])
                tunnel.listen(entrance)
                endpoints["proxy"] = f"http://{_address(entrance)}"
            with _files(directory, authority.ca_pem, endpoints):
                yield Running(endpoints, tunnel)
        finally:
            if tunnel is not None:
                await tunnel.close()
            await relay.close()
            stopping.set()
            await server
    finally:
        sockets.close()
        cleaning.close()


def _open_files(google: Google, files: Files, cleaning: ExitStack) -> None:
    """Open what outlives the emulator; `cleaning` closes it. Raises OSError, ConfigError."""
    images = files.images
    if images is None:
        temporary = TemporaryDirectory(prefix="gcp-emulator-images-")
        images = Path(cleaning.enter_context(temporary))
    google.store = Store(images)
    if files.audit is not None:
        google.audit = cleaning.enter_context(audit.opened(files.audit))
    if files.state is not None:
        cleaning.enter_context(persistence.held(files.state))
        # Once more: until now, another emulator may have written it.
        restored = persistence.restored(files.state, google.resources.options)
        google.keep(partial(persistence.write, files.state), restored or google.resources)


class _Sockets:
    """Listening loopback sockets, closed together."""

    def __init__(self) -> None:
        self._open: list[socket.socket] = []

    def open(self, port: int = 0) -> socket.socket:
        listener = socket.socket()
        self._open.append(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            error.filename = f"{HOST}:{port}"
            raise
        listener.listen(256)
        listener.setblocking(False)  # noqa: FBT003  its only parameter
        return listener

    def close(self) -> None:
        for listener in self._open:
            listener.close()


class _ByPort:
    """One HTTP server, two applications: the control port has its own."""

    def __init__(self, service: ASGIApp, control: ASGIApp, control_port: int) -> None:
        self._service = service
        self._control = control
        self._control_port = control_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        control = scope["type"] != "lifespan" and scope["server"][1] == self._control_port
        await (self._control if control else self._service)(scope, receive, send)


def _hypercorn(*listeners: socket.socket) -> HypercornConfig:
    config = HypercornConfig()
    # The HTTP server owns and closes what it is given: it gets duplicates.
    config.bind = [f"fd://{os.dup(listener.fileno())}" for listener in listeners]
    config.include_date_header = False  # the emulator's clock dates the answers
    config.include_server_header = False
    config.keep_alive_timeout = 60
    config.loglevel = "ERROR"
    config.errorlog = logging.getLogger(__name__)
    return config


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"{host}:{port}"


def _endpoints(
    directory: Path,
    https: socket.socket,
    http: socket.socket,
    control: socket.socket,
    wrong: Mapping[str, socket.socket],
) -> dict[str, Any]:
    return {
        **{service: f"https://{_address(https)}" for service in SERVICES},
        "http": {service: f"http://{_address(http)}" for service in SERVICES},
        "wrong_certificate": {
            name: f"https://{_address(listener)}" for name, listener in wrong.items()
        },
        "control": f"http://{_address(control)}{PREFIX}",
        "ca": str(directory.absolute() / "ca.pem"),
    }


@contextmanager
def _files(directory: Path, ca_pem: bytes, endpoints: Mapping[str, Any]) -> Iterator[None]:
    """ca.pem and endpoints.json while the emulator runs; each appears whole."""
    contents = {
        "ca.pem": ca_pem,
        "endpoints.json": (json.dumps(endpoints, indent=2) + "\n").encode(),
    }
    directory.mkdir(parents=True, exist_ok=True)
    try:
        for name, content in contents.items():
            unfinished = directory / f".{name}.{os.getpid()}"
            try:
                unfinished.write_bytes(content)
                unfinished.replace(directory / name)
            finally:
                unfinished.unlink(missing_ok=True)
        yield
    finally:
        for name in contents:
            (directory / name).unlink(missing_ok=True)
