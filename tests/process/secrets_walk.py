"""Planted secrets, and the search for them in whatever a run leaves behind.

A secret is found by any 8 characters in a row of it: what a peer cuts, wraps or truncates is
a leak all the same.
"""

import base64
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

WINDOW = 8


def _random() -> str:
    return secrets.token_urlsafe(48)


@dataclass(frozen=True)
class Planted:
    """One run's secrets, none like any other text."""

    subject: str
    """The ServiceAccount token."""
    federated: str = field(default_factory=lambda: f"ya29.d.{_random()}")
    access: str = field(default_factory=lambda: f"ya29.c.{_random()}")
    user: str = field(default_factory=_random)
    password: str = field(default_factory=lambda: f"{_random()}@:/%{_random()}")

    @property
    def user_info(self) -> str:
        """`user:password` as it stands in HTTPS_PROXY."""
        return f"{self.user}:{quote(self.password, safe='')}"

    @property
    def authorization(self) -> str:
        """The credentials of Proxy-Authorization."""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def tokens(self) -> list[str]:
        """What may stand nowhere but in a success's stdout."""
        return [self.subject, self.federated, self.access]

    def everything(self) -> list[str]:
        """Those, and what the operator gave with the proxy."""
        return [*self.tokens(), self.user, self.password, self.user_info, self.authorization]


def found(text: bytes, planted: Iterable[str]) -> list[str]:
    """Every run of 8 characters of a secret that stands in `text`.

    Blanks, and what is shown in place of characters that are not printable, hide none.
    """
    shown = text.decode("latin-1")
    shown += "\n" + re.sub(r"[\s?\0]", "", shown)
    windows = (
        secret[at : at + WINDOW] for secret in planted for at in range(len(secret) - WINDOW + 1)
    )
    return [window for window in windows if window in shown]
