"""The emulator inside a Python process: for tests and the demo.

Imports the server. Example:

    with Emulator(tmp_path, config) as google:
        environment = {
            "GCP_STS_ENDPOINT": google.endpoints["sts"],
            "SSL_CERT_FILE": str(google.ca_pem),
        }
        google.faults.set("status", status=503, path="/v1/token", times=2)
        ...                                     # the client under test runs, in any process
        [refused, again, exchanged] = google.log.exchanges()
        assert exchanged["mapped_principal"].endswith("/subject/system:serviceaccount:a:b")

`config` is a path to a YAML or JSON file, or the same document as plain dicts and lists
(docs/emulator.md is its reference). Everything below is thread-safe and acts at once:

* `endpoints`: the content of endpoints.json: `sts`, `iam`, `iam_credentials`, `registry` (https),
  the same under `http`, `wrong_certificate` (`untrusted`, `expired`, `wrong_host`), `control`,
  and `proxy` where one was asked for; `ca_pem`: path of the CA's certificate.
* `faults.set(kind, **settings)` adds a rule or replaces the one of that name (default: its kind);
  `faults.remove(name)`, `faults.clear()`, `faults.hits(name)`, `faults.listing()`.
* `clock.shift(seconds)`, `clock.freeze(at)`, `clock.reset()`, `clock.now()`.
* `log.exchanges()`, `log.entries(service)`, `log.wait_for(condition)`, `log.clear()`: dicts with
  `service, method, path, host, scheme, status` (None: no answer was made) and, by case, `faults`
  (names of rules), `fault` (of the one that is no latency), `form, audience, kid, issuer, subject,
  mapped_principal, error, description, reason, principal, account`. Never a token. An entry is
  there before the client has its answer's last byte.
* `grant(resource, role, member)`, `revoke(...)`; `load(config)` replaces all resources and faults;
  `set_options(propagation="measured")` the options only.
* `Emulator(..., files=Files(state=PATH, images=DIR, audit=PATH))`: what outlives the block.
* `proxy.tunnels` (list of `host:port`), `proxy.refuse_with = 403`: the CONNECT proxy, which leads
  Google's names to the emulator; on with `proxy={}` or `proxy={"username": …, "password": …}`.
"""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gcp_sa_credential_provider.emulator import config as configuration
from gcp_sa_credential_provider.emulator.proxy import Proxy
from gcp_sa_credential_provider.emulator.serve import Files, Running, running
from gcp_sa_credential_provider.emulator.state import Google

START_SECONDS = 30


class Emulator:
    """A context manager: the emulator serves, in a thread of its own, while the block runs."""

    def __init__(
        self,
        directory: Path,
        config: Path | Mapping[str, Any] | None = None,
        *,
        port: int = 0,
        proxy: Mapping[str, str] | None = None,
        files: Files | None = None,
    ) -> None:
        """Load the configuration; nothing is opened or written yet. Raises ConfigError.

        `directory` gets ca.pem and endpoints.json while the block runs. `port` 0: any free.
        `files`: where state, images and the audit log are kept; None: nowhere.
        """
        self._files = files or Files()
        loaded = self._files.loaded(*_document(config))
        self._google = Google(loaded)
        self._directory = directory
        self._port = port
        self._proxy_settings = loaded.proxy if proxy is None else proxy
        self._thread = threading.Thread(target=self._serve, name="emulator", daemon=True)
        self._started = threading.Event()
        self._running: Running | None = None
        self._error: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.faults = self._google.faults
        self.clock = self._google.clock
        self.log = self._google.log
        self.ca_pem = directory.absolute() / "ca.pem"

    @property
    def endpoints(self) -> Mapping[str, Any]:
        """Base URLs by service, as in endpoints.json."""
        return self._entered().endpoints

    @property
    def proxy(self) -> Proxy:
        """The CONNECT proxy; only with `proxy=` or `proxy` in the configuration."""
        proxy = self._entered().proxy
        if proxy is None:
            raise RuntimeError("this emulator was made without a proxy")
        return proxy

    def load(self, config: Path | Mapping[str, Any]) -> None:
        """Replace all resources and faults. Raises ConfigError and changes nothing then."""
        self._google.load(_loaded(config))

    def set_options(self, **options: Any) -> None:
        """Change options (keys of the configuration's `options`); resources stay as they are.

        Raises ConfigError.
        """
        changed = configuration.load({"options": options}).resources.options
        self._google.change(lambda resources: replace(resources, options=changed))

    def grant(self, resource: str, role: str, member: str) -> None:
        """Give a role on `projects/ID`, a service account or a repository (full names)."""
        self._google.grant(resource, role, member)

    def revoke(self, resource: str, role: str, member: str) -> None:
        """Take a role away."""
        self._google.revoke(resource, role, member)

    def __enter__(self) -> Self:
        """Start. Raises OSError (port taken, directory not writable), ConfigError (state file).

        Resources that the state file holds by now count, whatever changed before the block.
        """
        self._thread.start()
        if not self._started.wait(START_SECONDS):
            raise TimeoutError(f"the emulator did not start within {START_SECONDS} s")
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop: connections are cut, sockets closed, the two files removed."""
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _entered(self) -> Running:
        if self._running is None:
            raise RuntimeError("use the emulator inside its with block")
        return self._running

    def _serve(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as error:  # noqa: BLE001  carried into the entering thread
            self._error = error
        finally:
            self._started.set()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with running(
            self._google,
            self._directory,
            port=self._port,
            proxy=self._proxy_settings,
            files=self._files,
        ) as self._running:
            self._started.set()
            await self._stop.wait()


def _loaded(config: Path | Mapping[str, Any] | None) -> configuration.Config:
    return configuration.load(*_document(config))


def _document(config: Path | Mapping[str, Any] | None) -> tuple[Any, str]:
    """The configuration's document, and its name for errors."""
    if isinstance(config, Path):
        return configuration.document(config), str(config)
    return {} if config is None else dict(config), "config"
