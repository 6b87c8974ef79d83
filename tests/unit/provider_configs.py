"""Credential provider configurations of all kinds of hands, for tests that change their text.

`configs()` draws valid ones: block and flow style, JSON, every way of quoting, comments (also with
tabs), anchors, CRLF, blank lines, documents behind the first, no last line break.
"""

import json
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

AUDIENCE = (
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/pool-1"
    "/providers/provider-1"
)
API = "credentialprovider.kubelet.k8s.io/v1"
HEAD = {"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig"}
OURS: dict[str, Any] = {
    "name": "gcp-sa-credential-provider",
    "apiVersion": API,
    "matchImages": ["*-docker.pkg.dev", "gcr.io", "*.gcr.io"],
    "defaultCacheDuration": "0s",
    "env": [{"name": "GCP_AUDIENCE", "value": AUDIENCE}],
    "tokenAttributes": {
        "serviceAccountTokenAudience": AUDIENCE,
        "requireServiceAccount": True,
        "cacheType": "ServiceAccount",
    },
}
SECOND: dict[str, Any] = {**OURS, "name": "gcp-sa-credential-provider-b", "matchImages": ["b.dev"]}

_NAMES = ("acr-credential-provider", "ecr-credential-provider", "on", "a.b", "x-1")
_TEXTS = (
    "",
    "a",
    "yes",
    "1.5",
    "null",
    "a: b",
    "a #b",
    "#c",
    "it's",
    'say "so"',
    "{x}",
    "[y, z]",
    "- d",
    "*star",
    "&and",
    "é \u2603 \U0001f600",
    "tab\there",
    "two\nlines",
    "\u0085next",
    "back\\slash",
    "-",
    "?",
    ":",
)
_COMMENTS = ("", "", "", " # c", "\t# tab, [and] {so} on: - x", "   #", " # 'quote")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Config:
    """One, and what it says."""

    text: str
    providers: list[dict[str, Any]]


def providers() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Some valid entries of others."""
    texts = st.sampled_from(_TEXTS)
    variables = st.fixed_dictionaries({"name": st.sampled_from(("A", "B_C")), "value": texts})
    entry = st.fixed_dictionaries(
        {
            "matchImages": st.lists(
                st.sampled_from(
                    ("*.azurecr.io", "gcr.io", "a.b:5000/c", "*.dkr.ecr.*.amazonaws.com")
                ),
                min_size=1,
                max_size=3,
            ),
            "defaultCacheDuration": st.sampled_from(("0s", "12h", "1h30m", "1.5s", "0")),
            "apiVersion": st.sampled_from((API, API + "beta1", API + "alpha1")),
        },
        optional={
            "args": st.lists(texts, max_size=3),
            "env": st.lists(variables, max_size=2),
        },
    )
    names = st.lists(st.sampled_from(_NAMES), min_size=1, max_size=4, unique=True)
    return names.flatmap(
        lambda some: st.tuples(*(entry for _ in some)).map(
            lambda entries: [{"name": name, **one} for name, one in zip(some, entries, strict=True)]
        )
    )


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Any text for them."""
    given = draw(providers())
    hand = draw(st.sampled_from((_as_json, _as_yaml, _as_yaml, _as_yaml)))
    return Config(hand(draw, given), given)


def _as_json(draw: st.DrawFn, given: list[dict[str, Any]]) -> str:
    indent = draw(st.sampled_from((None, 0, 2, 4, "\t", " \t")))
    whole = _shuffled(draw, {**HEAD, "providers": given})
    text = json.dumps(whole, indent=indent, ensure_ascii=draw(st.booleans()))
    text = text.replace("\u0085", "\\u0085")  # a line break of YAML; by itself it is refused
    text = draw(st.sampled_from(("", "", "\n", " \t\n"))) + text
    text += draw(st.sampled_from(("", "\n", "\n\n", " ")))
    return text.replace("\n", draw(st.sampled_from(("\n", "\r\n"))))


def _shuffled(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    return {key: value[key] for key in draw(st.permutations(list(value)))}


def _as_yaml(draw: st.DrawFn, given: list[dict[str, Any]]) -> str:
    hand = _Hand(draw)
    lines = [*draw(st.sampled_from(([], ["# first"], ["---"], ["%YAML 1.1", "---"])))]
    for key, value in _shuffled(draw, {**HEAD, "providers": given}).items():
        if key != "providers":
            lines.append(f"{key}: {hand.scalar(value)}{hand.comment()}")
            continue
        lines += hand.providers(value)
    lines += draw(st.sampled_from(([], [], ["..."], ["# last"], ["---", "other: 1"], ["", ""])))
    text = "\n".join(lines) + draw(st.sampled_from(("\n", "\n", "")))
    return text.replace("\n", draw(st.sampled_from(("\n", "\n", "\r\n"))))


class _Hand:
    """Writes YAML in a manner of its own."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._anchors: dict[str, str] = {}

    def _one(self, *of: _T) -> _T:
        return self._draw(st.sampled_from(of))

    def _rarely(self, times: int) -> bool:
        """Once in so many times."""
        return self._draw(st.integers(1, times)) == times

    def comment(self) -> str:
        """Behind a value."""
        text: str = self._one(*_COMMENTS)
        return text

    def scalar(self, value: str) -> str:
        """On one line; plain where the value is simple."""
        simple = (
            value[:1].isalpha()
            and value.replace("-", "").replace("/", "").replace(".", "").isalnum()
        )
        plain = simple and value.isascii() and value not in ("yes", "on", "null", "a")
        how = self._one("plain", "single", "double") if plain else self._one("single", "double")
        if how == "plain":
            return value
        if how == "single" and value.isprintable() and "\n" not in value:
            return "'" + value.replace("'", "''") + "'"
        return json.dumps(value, ensure_ascii=False).replace("\u0085", "\\N")

    def flow(self, value: Any) -> str:
        """In brackets, on one line."""
        gap = self._one("", " ")
        if isinstance(value, dict):
            pairs = [f"{key}: {self.flow(item)}" for key, item in value.items()]
            return "{" + gap + f",{self._one(' ', '  ')}".join(pairs) + gap + "}"
        if isinstance(value, list):
            ending = "," if value and self._rarely(5) else ""
            return "[" + gap + ", ".join(map(self.flow, value)) + ending + gap + "]"
        return self.scalar(value)

    def providers(self, value: list[dict[str, Any]]) -> list[str]:
        """The key and all entries."""
        how = self._one("block", "block", "flow", "lines")
        if how == "flow":
            return [f"providers: {self.flow(value)}{self.comment()}"]
        if how == "lines":
            margin = self._one("", "  ", "\t", "      ")
            items = [f"{margin}{self.flow(one)}" for one in value]
            commas = [f"{item},{self.comment()}" for item in items[:-1]]
            last = items[-1] + self._one("", ",") + self.comment()
            # What closes in the first column would end the block around it.
            return ["providers: [" + self.comment(), *commas, last, f"  ]{self.comment()}"]
        margin = self._one("", "  ", "    ")
        lines = [f"providers:{self.comment()}"]
        for one in value:
            lines += self._one([], [], [""], [f"{margin}# before"], ["# at the margin"])
            if self._rarely(4):
                lines.append(f"{margin}- {self.flow(one)}{self.comment()}")
                continue
            gap = self._one(" ", "   ")
            inner = margin + " " + " " * len(gap)
            body = self._mapping(one, inner)
            lines += [f"{margin}-{gap}{body[0].removeprefix(inner)}", *body[1:]]
        return lines

    def _mapping(self, value: dict[str, Any], margin: str) -> list[str]:
        lines: list[str] = []
        for key, item in _shuffled(self._draw, value).items():
            if isinstance(item, list) and item and self._rarely(2):
                lines += self._list(key, item, margin)
            elif isinstance(item, list):
                lines.append(f"{margin}{key}: {self._anchored(key, item)}{self.comment()}")
            elif item and "\n" in item and self._rarely(2):
                lines += [f"{margin}{key}: |-", *(f"{margin}  {line}" for line in item.split("\n"))]
            else:
                lines.append(f"{margin}{key}: {self.scalar(item)}{self.comment()}")
        return lines

    def _anchored(self, key: str, item: list[Any]) -> str:
        """A list in brackets, or an alias of the same list that stood before."""
        told = json.dumps([key, item])
        if told in self._anchors and self._rarely(2):
            return f"*{self._anchors[told]} "
        if item and self._rarely(3):
            self._anchors[told] = name = f"a{len(self._anchors)}"
            return f"&{name} {self.flow(item)}"
        return self.flow(item)

    def _list(self, key: str, items: list[Any], margin: str) -> list[str]:
        deeper = margin + self._one("", "  ", "    ")
        lines = [f"{margin}{key}:{self.comment()}"]
        for item in items:
            if isinstance(item, dict) and self._rarely(2):
                body = self._mapping(item, deeper + "  ")
                lines += [f"{deeper}- {body[0].removeprefix(deeper + '  ')}", *body[1:]]
            else:
                lines.append(f"{deeper}- {self.flow(item)}{self.comment()}")
        return lines
