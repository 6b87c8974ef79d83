"""The plugin against the kubelet's own answers, and properties beyond the rows that were asked.

tests/kubelet/tables holds what `URLsMatch` and `time.ParseDuration` of the pinned Kubernetes say;
`make test-kubelet` proves that it still does. The examples of hypothesis are the same in every
run: what is random is the business of tests/fuzz.
"""

import json
import re
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gcp_sa_credential_provider.plugin.exchange import LONGEST_LIFETIME, lifetime
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.images import (
    BadPattern,
    matches,
    parse_image,
    parse_pattern,
)
from gcp_sa_credential_provider.plugin.messages import MESSAGES
from gcp_sa_credential_provider.plugin.request import Request, parse
from gcp_sa_credential_provider.plugin.response import cache_seconds, document
from scene import IMAGE, request

TABLES = Path(__file__).parents[1] / "kubelet" / "tables"

REFUSED_PATTERNS = {
    "*",
    "*.*.*",
    "*.example.com",
    "*.io",
    "*.pkg.dev:",
    "*.pkg.dev:port",
    "*gcr.io",
    "?s-docker.pkg.dev",
    "[a-z]s-docker.pkg.dev",
    "[us-docker.pkg.dev",
    "g*r.io",
    "https://us-docker.pkg.dev",
    "localhost",
    "us-docker.*.dev",
    "us-docker.pkg.*",
    "us-docker.pkg.dev.",
    "us-docker.pkg.dev/p/*",
    "us-docker.pkg.dev:",
    "us-docker.pkg.dev:port",
}
# None of them is the name of a repository: https://github.com/distribution/reference.
REFUSED_IMAGES = {
    "*-docker.pkg.dev/p/r/app",
    "us-docker.pkg.dev",
    "us-docker.pkg.dev./p/r/app",
    "us-docker.pkg.dev/",
    "us-docker.pkg.dev:/p/r/app",
    "us-docker.pkg.dev:port/p/r/app",
}

reproducible = settings(derandomize=True, database=None, deadline=None, max_examples=400)


def rows(name: str) -> list[list[Any]]:
    """The rows of one table."""
    table: dict[str, list[list[Any]]] = json.loads((TABLES / name).read_text())
    return table["rows"]


def refused(texts: set[str], check: Any) -> set[str]:
    """Those texts that `check` will not have."""
    found = set()
    for text in texts:
        try:
            check(text)
        except BadPattern:
            found.add(text)
    return found


def test_what_the_table_has_and_we_refuse_is_known_by_name() -> None:
    """A new refusal would take rows out of the comparison unseen."""
    table = rows("images.json")
    assert refused({pattern for pattern, _, _ in table}, parse_pattern) == REFUSED_PATTERNS
    assert refused({image for _, image, _ in table}, parse_image) == REFUSED_IMAGES


def test_every_other_row_is_decided_as_the_kubelet_decides() -> None:
    """Hosts by label, ports, path prefixes; none of them is an error to the kubelet."""
    compared = [
        row
        for row in rows("images.json")
        if row[0] not in REFUSED_PATTERNS and row[1] not in REFUSED_IMAGES
    ]
    ours = [
        [pattern, image, matches(parse_pattern(pattern), parse_image(image))]
        for pattern, image, _ in compared
    ]
    assert ours == compared
    verdicts = [verdict for _, _, verdict in compared]
    assert (len(verdicts) >= 240, verdicts.count(True) >= 50) == (True, True)


GLOBS = st.text("ab-*", min_size=1, max_size=6)
DOMAINS = st.sampled_from(["pkg.dev", "gcr.io"])
PORTS = st.sampled_from(["", ":443", ":5000"])
PATHS = st.text("ab/", max_size=4)
PATTERNS = st.builds("{}.{}{}{}".format, GLOBS, DOMAINS, PORTS, PATHS.map(lambda p: p and "/" + p))
IMAGES = st.builds(
    "{}.{}{}/{}a".format, st.text("ab-", min_size=1, max_size=6), DOMAINS, PORTS, PATHS
)


def kubelet_says(pattern: str, image: str) -> bool:
    """URLsMatch once more, from the standard library: fnmatch by label, where `*` is the only glob.

    `**` is one `*` in both (path.Match of Go).
    """
    wanted, found = urlsplit("//" + pattern), urlsplit("//" + image)
    globs, labels = (wanted.hostname or "").split("."), (found.hostname or "").split(".")
    return (
        wanted.port == found.port
        and len(globs) == len(labels)
        and all(map(fnmatchcase, labels, globs))
        and found.path.startswith(wanted.path)
    )


@reproducible
@given(PATTERNS, IMAGES)
def test_any_pattern_and_any_image(pattern: str, image: str) -> None:
    """Two implementations that share nothing agree."""
    assert matches(parse_pattern(pattern), parse_image(image)) is kubelet_says(pattern, image)


@st.composite
def filled(draw: st.DrawFn) -> tuple[str, str]:
    """A pattern, and an image with any text in the place of each `*`."""
    pattern = draw(PATTERNS)
    image = "".join(draw(st.text("ab-", max_size=2)) if c == "*" else c for c in pattern)
    assume(not image.startswith("."))  # no host does
    return pattern, image + ("a" if "/" in image else "/a")


@reproducible
@given(filled())
def test_an_image_made_from_a_pattern_matches_it(pair: tuple[str, str]) -> None:
    """Whatever stands for each `*`, and whatever follows the path."""
    pattern, image = pair
    assert matches(parse_pattern(pattern), parse_image(image)) is True


@reproducible
@given(filled(), st.integers(min_value=0, max_value=5))
def test_an_image_that_lacks_a_character_of_a_match(pair: tuple[str, str], at: int) -> None:
    """Where beginning and end of a glob would have to share a character, it does not match."""
    pattern, image = pair
    label, rest = image[: image.index(".")], image[image.index(".") :]
    shorter = label[:at] + label[at + 1 :]
    assume(shorter)
    assert matches(parse_pattern(pattern), parse_image(shorter + rest)) is kubelet_says(
        pattern, shorter + rest
    )


REFUSALS = {code for code in MESSAGES if code.startswith("REQUEST-")}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=12), JSON, max_size=4)


def mostly(usual: object) -> st.SearchStrategy[Any]:
    """What the kubelet sends three times of four, and otherwise anything."""
    return st.just(usual) | st.just(usual) | st.just(usual) | JSON


NEARLY_REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "kind": mostly("CredentialProviderRequest"),
        "apiVersion": mostly("credentialprovider.kubelet.k8s.io/v1"),
        "image": mostly(IMAGE) | st.text(max_size=30),
        "serviceAccountToken": mostly("a.b.c") | st.text(),
        "serviceAccountAnnotations": mostly({"key": "value"}) | OBJECTS,
        "podName": JSON,
    },
)


def decoded(data: bytes) -> Request | str:
    """The request, or the code of the Failure; any other exception ends the test."""
    try:
        return parse(data, [])
    except Failure as failure:
        return failure.code


@reproducible
@given(st.binary(max_size=200) | OBJECTS.map(lambda value: json.dumps(value).encode()))
def test_bytes_that_are_no_request(data: bytes) -> None:
    """A code of the request's family, never another exception."""
    assert decoded(data) in REFUSALS


@reproducible
@given(NEARLY_REQUESTS)
def test_documents_that_are_nearly_requests(asked: dict[str, Any]) -> None:
    """What is decoded is what stands in the document; the rest is refused by its first fault."""
    found = decoded(json.dumps(asked).encode())
    if not isinstance(found, Request):
        assert found in REFUSALS
        return
    assert (asked["kind"], asked["apiVersion"], asked["image"], asked["serviceAccountToken"]) == (
        "CredentialProviderRequest",
        "credentialprovider.kubelet.k8s.io/v1",
        found.image.text,
        found.token,
    )
    assert isinstance(found.annotations, dict)
    # As text: a NaN in an annotation is not equal to itself.
    given_annotations = json.dumps(asked.get("serviceAccountAnnotations") or {})
    assert json.dumps(found.annotations) == given_annotations


@reproducible
@given(st.binary(max_size=12), st.integers(min_value=0, max_value=400))
def test_a_request_with_other_bytes_in_it(other: bytes, at: int) -> None:
    """As damaged input comes: cut anywhere, something else put in."""
    good = request("a.b.c", serviceAccountAnnotations={"key": "value"})
    found = decoded(good[:at] + other + good[at:])
    assert isinstance(found, Request) or found in REFUSALS


WHOLE_SECONDS = re.compile(r"(0|[1-9][0-9]*)s")
NANOSECONDS = 1_000_000_000


def test_whole_seconds_are_read_by_go_as_they_are_written() -> None:
    """The rows of the form that the plugin writes, up to the longest lifetime there is."""
    ours = {
        text: nanoseconds
        for text, nanoseconds in rows("durations.json")
        if WHOLE_SECONDS.fullmatch(text) and int(text[:-1]) <= LONGEST_LIFETIME
    }
    assert ours == {text: int(text[:-1]) * NANOSECONDS for text in ours}
    assert {"0s", "1s", f"{LONGEST_LIFETIME}s"} <= set(ours)


def test_the_forms_that_go_refuses_are_not_the_plugins() -> None:
    """Go refuses a bare number, a blank, a capital, a digit of another script: so do we."""
    refused_by_go = [text for text, verdict in rows("durations.json") if verdict is None]
    assert len(refused_by_go) >= 15
    assert [
        text
        for text in refused_by_go
        if WHOLE_SECONDS.fullmatch(text) and int(text[:-1]) <= LONGEST_LIFETIME
    ] == []


@reproducible
@given(st.none() | st.integers() | st.integers(-100, 50_000).map(str) | JSON)
def test_any_expires_in_gives_a_duration_of_that_form(expires_in: object) -> None:
    """Whatever STS says: never a longer time than it says, none where it says none."""
    left = lifetime(expires_in, time.monotonic())
    answer = document(["gcr.io"], "token", "Global", cache_seconds(left))
    text = json.loads(answer)["cacheDuration"]
    assert WHOLE_SECONDS.fullmatch(text)
    assert int(text[:-1]) in range(min(max(left or 0, 0), LONGEST_LIFETIME) + 1)


@pytest.mark.parametrize("name", ["images.json", "durations.json"])
def test_tables_come_from_a_release(name: str) -> None:
    """Each says which Kubernetes was asked."""
    told = json.loads((TABLES / name).read_text())["kubernetes"]
    assert re.fullmatch(r"v1\.\d+\.\d+", told)
