"""Fault rules: which request or connection is to go wrong, how, and how often.

Imports rejection. The rules only decide; `relay` acts on bytes and connections, `app` on
meaning. Thread-safe: tests set rules while the emulator serves.
"""

import random
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from gcp_sa_credential_provider.emulator.rejection import Invalid

MEANING = frozenset(["latency", "status", "captive_portal", "quota"])
BYTES = frozenset(["close", "reset", "stall", "drip", "endless", "garbage"])
CONNECTION = frozenset(["connect_close", "connect_reset", "connect_stall", "connect_garbage"])
CERTIFICATE = frozenset(["certificate"])
KINDS = MEANING | BYTES | CONNECTION | CERTIFICATE
CERTIFICATES = ("untrusted", "expired", "wrong_host")

_OWN_FIELDS: Mapping[str, tuple[str, ...]] = {
    "latency": ("seconds",),
    "status": ("status", "body", "headers"),
    "close": ("after",),
    "reset": ("after",),
    "stall": ("after",),
    "drip": ("chunk", "interval"),
    "garbage": ("data",),
    "connect_garbage": ("data",),
    "certificate": ("which",),
}


@dataclass(frozen=True)
class Rule:
    """One fault rule; docs/emulator.md explains the kinds."""

    kind: str
    name: str = ""
    """Defaults to the kind. A rule of the same name replaces the older one."""
    path: str = "*"
    """Shell pattern for the path, without the query."""
    host: str = "*"
    """Shell pattern for the Host header (with its port), or for the TLS server name."""
    method: str = "*"
    service: str = "*"
    """sts, iam, iam_credentials or registry."""
    skip: int = 0
    """How many matches go by unharmed first."""
    times: int | None = None
    """How many matches are then hit; None: all."""
    probability: float = 1
    """How likely a match counts at all."""
    seconds: float = 0
    status: int = 503
    body: str | dict[str, Any] = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    after: int | None = None
    """Bytes of the body that still get through, after the whole head; None: not even the head."""
    chunk: int = 1
    """Bytes a time."""
    interval: float = 0.05
    """Seconds between them."""
    data: str = "\x00\x01\x02 this is not HTTP\r\n\r\n"
    which: str = "untrusted"


class FaultRules:
    """The rules in force, in the order they were set, each with its counter."""

    def __init__(self, seed: int | None = None) -> None:
        """`seed`: makes the rules with a probability repeatable."""
        self._random = random.Random(seed)  # noqa: S311  chance, not secrecy
        self._lock = threading.Lock()
        self._rules: dict[str, Rule] = {}
        self._seen: dict[str, int] = {}

    def set(self, kind: str, **settings: Any) -> str:
        """Add a rule, or replace the one of that name; its counter starts anew. Returns the name.

        Raises Invalid for a kind or setting that does not exist.
        """
        return self.put(rule_from({"kind": kind, **settings}))

    def put(self, rule: Rule) -> str:
        """As `set`, for a rule already made."""
        with self._lock:
            self._rules.pop(rule.name, None)
            self._rules[rule.name] = rule
            self._seen[rule.name] = 0
        return rule.name

    def replace(self, rules: Iterable[Rule]) -> None:
        """Exactly these rules, in this order."""
        self.clear()
        for rule in rules:
            self.put(rule)

    def remove(self, name: str) -> bool:
        """Take one rule away; whether it was there."""
        with self._lock:
            return self._rules.pop(name, None) is not None

    def clear(self) -> None:
        """Take all rules away."""
        with self._lock:
            self._rules.clear()
            self._seen.clear()

    def hits(self, name: str) -> int:
        """How often a rule has acted."""
        with self._lock:
            return self._hits(name)

    def listing(self) -> list[dict[str, Any]]:
        """The rules and their counters, as the control API shows them."""
        with self._lock:
            return [
                {**_settings(rule), "hits": self._hits(name)} for name, rule in self._rules.items()
            ]

    def for_request(self, *, path: str, host: str, method: str, service: str) -> list[Rule]:
        """The rules that act on this request: every latency, and the first of the others."""
        acting: list[Rule] = []
        with self._lock:
            for rule in self._rules.values():
                last = rule.kind == "latency" or all(other.kind == "latency" for other in acting)
                if (
                    rule.kind in MEANING | BYTES
                    and last
                    and fnmatchcase(path, rule.path)
                    and fnmatchcase(host, rule.host)
                    and fnmatchcase(method, rule.method)
                    and fnmatchcase(service, rule.service)
                    and self._acts(rule)
                ):
                    acting.append(rule)
        return acting

    def for_connection(self, kinds: frozenset[str], host: str = "") -> Rule | None:
        """The first rule of these kinds that acts on a new connection."""
        with self._lock:
            for rule in self._rules.values():
                if rule.kind in kinds and fnmatchcase(host, rule.host) and self._acts(rule):
                    return rule
        return None

    def _acts(self, rule: Rule) -> bool:
        """Count a match; whether it falls into the rule's window."""
        if self._random.random() >= rule.probability:
            return False
        self._seen[rule.name] += 1
        seen = self._seen[rule.name] - rule.skip
        return seen > 0 and (rule.times is None or seen <= rule.times)

    def _hits(self, name: str) -> int:
        rule = self._rules.get(name)
        if rule is None:
            return 0
        hits = max(0, self._seen[name] - rule.skip)
        return hits if rule.times is None else min(hits, rule.times)


def rule_from(settings: Mapping[str, Any]) -> Rule:
    """A rule from its plain form. Raises Invalid."""
    kind = settings.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Invalid("kind", f"unknown fault {kind!r}", f"use one of {', '.join(sorted(KINDS))}")
    allowed = ["kind", "name", "skip", "times", "probability", *_OWN_FIELDS.get(kind, ())]
    if kind in MEANING | BYTES:
        allowed += ["host", "path", "method", "service"]
    elif kind in CERTIFICATE:
        allowed += ["host"]
    for key, value in settings.items():
        if key not in allowed:
            raise Invalid(
                key, f"unknown setting of the fault {kind}", f"use one of {', '.join(allowed)}"
            )
        _check(key, value)
    return Rule(**{"name": kind, **settings})


_MOST = 10**9
"""Of seconds, bytes and times: what any clock and counter here can still hold."""
_HEADER = re.compile(r"[\w!#$%&'*+.^`|~-]+: [\t -~]*", re.ASCII)
_TYPES: Mapping[str, tuple[type, ...]] = {
    "skip": (int,),
    "times": (int, type(None)),
    "after": (int, type(None)),
    "chunk": (int,),
    "status": (int,),
    "seconds": (int, float),
    "probability": (int, float),
    "interval": (int, float),
    "body": (str, dict),
    "headers": (dict,),
}


def _check(key: str, value: Any) -> None:
    types = _TYPES.get(key, (str,))
    if not isinstance(value, types) or isinstance(value, bool):
        names = " or ".join(kind.__name__ for kind in types)
        raise Invalid(key, f"must be {names}, not {value!r}", "correct it")
    if isinstance(value, int | float):
        least = {"chunk": 1, "status": 200}.get(key, 0)
        most = {"status": 599, "probability": 1}.get(key, _MOST)
        if not least <= value <= most:
            raise Invalid(key, f"{value!r} is out of range", f"give {least} to {most}")
    if isinstance(value, dict) and key == "headers":
        for name, text in value.items():
            texts = isinstance(name, str) and isinstance(text, str)
            if not texts or not _HEADER.fullmatch(f"{name}: {text}"):
                raise Invalid(key, f"{name!r}: {text!r} is no header", "write texts of ASCII")
    if key == "which" and value not in CERTIFICATES:
        raise Invalid(key, f"no certificate {value!r}", f"use one of {', '.join(CERTIFICATES)}")


def _settings(rule: Rule) -> dict[str, Any]:
    """The settings that differ from their defaults, and always kind and name."""
    shown = {"kind": rule.kind, "name": rule.name}
    for item in fields(rule):
        value = getattr(rule, item.name)
        default = {} if item.default is MISSING else item.default
        if item.name not in shown and value != default:
            shown[item.name] = value
    return shown
