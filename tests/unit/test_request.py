"""request: the kubelet's document, strictly where it matters and open where it grows."""

import os

import pytest

from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.request import LARGEST, parse, read
from scene import IMAGE, request


def test_a_request_of_the_kubelet() -> None:
    """Image, token, annotations; a field that is not known yet is ignored."""
    asked = parse(request("t", serviceAccountAnnotations={"a": "b"}, podName="new") + b"\n", [])
    assert (asked.image.text, asked.token, asked.annotations) == (IMAGE, "t", {"a": "b"})


@pytest.mark.parametrize("annotations", [None, {}])
def test_no_annotations(annotations: object) -> None:
    """The kubelet leaves them out or writes null."""
    assert parse(request("t", serviceAccountAnnotations=annotations), []).annotations == {}


@pytest.mark.parametrize(
    ("data", "code", "evidence"),
    [
        (b"", "REQUEST-EMPTY", {}),
        (b" \n", "REQUEST-EMPTY", {}),
        (b"{", "REQUEST-JSON", {"reason": "malformed at character 1"}),
        (b"[]", "REQUEST-JSON", {"reason": "not an object"}),
        (b"{}", "REQUEST-KIND", {"kind": "MISSING"}),
        (request("t", kind="Pod"), "REQUEST-KIND", {"kind": "Pod"}),
        (
            request("t", apiVersion="credentialprovider.kubelet.k8s.io/v1beta1"),
            "REQUEST-VERSION",
            {"version": "credentialprovider.kubelet.k8s.io/v1beta1"},
        ),
        (request("t", apiVersion=1), "REQUEST-VERSION", {"version": "MISSING"}),
        (
            request("t", serviceAccountAnnotations=[1]),
            "REQUEST-FIELD",
            {"field": "serviceAccountAnnotations", "expected": "an object"},
        ),
        (
            request("t", image=None),  # type: ignore[arg-type]  # what is wrong with it
            "REQUEST-FIELD",
            {"field": "image", "expected": "a string"},
        ),
        (
            request(7),  # type: ignore[arg-type]  # as above
            "REQUEST-FIELD",
            {"field": "serviceAccountToken", "expected": "a string"},
        ),
        (
            request("t", "gcr.io"),
            "REQUEST-IMAGE",
            {"image": "gcr.io", "reason": "it has no path behind the registry"},
        ),
        (request(None), "REQUEST-NO-TOKEN", {"image": IMAGE}),
        (request(""), "REQUEST-NO-TOKEN", {"image": IMAGE}),
    ],
)
def test_what_is_no_request(data: bytes, code: str, evidence: dict[str, str]) -> None:
    """Each with its own code."""
    with pytest.raises(Failure) as caught:
        parse(data, [])
    assert (caught.value.code, caught.value.evidence) == (code, evidence)


def test_stdin_is_read_to_its_end_and_no_further_than_a_mebibyte(home: "os.PathLike[str]") -> None:
    """One byte more is refused."""
    path = os.path.join(home, "stdin")
    with open(path, "wb") as file:
        file.write(b" " * LARGEST)
    fd = os.open(path, os.O_RDONLY)
    assert len(read(fd)) == LARGEST
    os.close(fd)
    with open(path, "ab") as file:
        file.write(b" ")
    fd = os.open(path, os.O_RDONLY)
    with pytest.raises(Failure) as caught:
        read(fd)
    os.close(fd)
    assert (caught.value.code, caught.value.evidence) == ("REQUEST-LARGE", {"limit": LARGEST})


def test_a_stdin_that_cannot_be_read(home: "os.PathLike[str]") -> None:
    """The operating system's word is the evidence."""
    fd = os.open(home, os.O_RDONLY)
    with pytest.raises(Failure) as caught:
        read(fd)
    os.close(fd)
    assert (caught.value.code, caught.value.evidence) == (
        "REQUEST-READ",
        {"error": "Is a directory"},
    )


def test_the_token_is_a_secret_before_anything_is_quoted() -> None:
    """A request of the wrong kind may hold one all the same."""
    secrets: list[str] = []
    with pytest.raises(Failure):
        parse(request("the token", kind="the token"), secrets)
    assert secrets == ["the token"]
