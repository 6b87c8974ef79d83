"""Drives one harness process: the kubelet's credential provider code as tests see it.

The protocol is described in go/harness/main.go. A `Kubelet` is started, given its configuration
once, and then asked to pull; each answer says what the keyring held, what the plugin was run for,
and what the kubelet wrote into its log.
"""

import json
import re
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

# A command lasts as long as its slowest plugin, which the kubelet kills after 60 s.
COMMAND_SECONDS = 90


class Refused(Exception):  # noqa: N818 -- said of the configuration; the kubelet would not start
    """The kubelet ends at its start, with this text in its log."""


@dataclass(frozen=True, kw_only=True)
class ServiceAccount:
    """What the kubelet reads of a ServiceAccount."""

    name: str = "puller"
    namespace: str = "team-a"
    uid: str = "5e7a1c0e-0000-4000-8000-000000000001"
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pull:
    """One image of one pod; `token` answers the pod's TokenRequest (None: the request fails)."""

    image: str
    token: str | None = None
    pod: str = "pod-1"
    pod_uid: str = ""
    """Made from `pod` if empty."""
    service_account: str = "puller"
    namespace: str = "team-a"

    def command(self) -> dict[str, str]:
        """The pull as the harness reads it."""
        return {
            "image": self.image,
            "namespace": self.namespace,
            "pod": self.pod,
            "podUID": self.pod_uid or f"uid-of-{self.pod}",
            "serviceAccount": self.service_account,
            "token": self.token or "",
        }


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What the kubelet hands to the container runtime."""

    username: str
    password: str = field(repr=False)
    source: dict[str, Any] | None = field(default=None, compare=False)
    """Who the pulled image is recorded for (from 1.35 on)."""


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """What one round of pulls came to."""

    credentials: list[list[Credential]]
    """By pull; empty where the kubelet would pull anonymously."""
    execs: dict[str, int]
    """By plugin, how often it was run in this round (the kubelet's own metric)."""
    exec_errors: dict[str, int]
    """By plugin, how often that ended in a non-zero exit or in the kubelet's timeout."""
    token_requests: list[dict[str, Any]]
    log: list[str]
    """klog entries; one that quotes a text of several lines has several."""

    @property
    def credential(self) -> Credential:
        """The only credential of the only pull."""
        ((credential,),) = self.credentials
        return credential

    @property
    def errors(self) -> list[str]:
        """Log entries of level error."""
        return [entry for entry in self.log if entry.startswith("E")]


def _entries(answer: dict[str, Any]) -> list[str]:
    """The klog entries of an answer: each begins with its level and date, "E1124 "."""
    entries: list[str] = []
    for line in answer.get("log", []):
        if entries and not re.match(r"[IWEF]\d{4} ", line):
            entries[-1] += "\n" + line
        else:
            entries.append(line)
    return entries


class Kubelet:
    """A harness process, as a context manager; it serves one configuration."""

    def __init__(self, program: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self._counted: dict[str, dict[str, int]] = {"execs": {}, "execErrors": {}}
        self.version = ""
        """Of the kubelet's code, "v1.37.2"; known after register."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def register(
        self,
        config: Path,
        bin_dir: Path,
        *,
        gates: dict[str, bool] | None = None,
        kubeconfig: Path | None = None,
    ) -> list[str]:
        """Start with a CredentialProviderConfig; returns the log. Raises Refused."""
        answer = self._ask(
            op="register",
            config=str(config),
            binDir=str(bin_dir),
            featureGates=gates or {},
            kubeconfig=str(kubeconfig or ""),
        )
        self.version = answer["version"]
        if "error" in answer:
            raise Refused(answer["error"])
        return _entries(answer)

    def service_accounts(self, *accounts: ServiceAccount) -> None:
        """From now on these exist and no others."""
        self._ask(op="serviceAccounts", serviceAccounts=[vars(account) for account in accounts])

    def advance(self, seconds: float) -> None:
        """Move the clock of the credential cache."""
        self._ask(op="advance", seconds=seconds)

    def pull(self, *pulls: Pull) -> Pulled:
        """Look up the credentials for all pulls at the same moment."""
        answer = self._ask(op="lookup", pulls=[pull.command() for pull in pulls])
        return Pulled(
            credentials=[
                [Credential(**one) for one in result["credentials"]] for result in answer["results"]
            ],
            execs=self._since_before("execs", answer),
            exec_errors=self._since_before("execErrors", answer),
            token_requests=answer.get("tokenRequests", []),
            log=_entries(answer),
        )

    def _since_before(self, counter: str, answer: dict[str, Any]) -> dict[str, int]:
        before, self._counted[counter] = self._counted[counter], answer[counter]
        grown = {name: n - before.get(name, 0) for name, n in answer[counter].items()}
        return {name: n for name, n in grown.items() if n}

    def _ask(self, **command: Any) -> dict[str, Any]:
        process = self._process
        assert process.stdin
        assert process.stdout
        out_of_time = threading.Timer(COMMAND_SECONDS, process.kill)
        out_of_time.start()
        try:
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        finally:
            out_of_time.cancel()
        if not line:
            _, told = process.communicate()
            raise RuntimeError(f"the harness ended at {command['op']!r}: {told.strip()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
