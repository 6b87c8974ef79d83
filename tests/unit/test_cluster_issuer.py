"""The two documents of an issuer, as an API server gives them or as people saved them."""

import json
from pathlib import Path
from typing import Any

import pytest

from gcp_sa_credential_provider.cluster.failure import BadInput, ClusterFailure
from gcp_sa_credential_provider.cluster.issuer import from_files, issuer_of

ISSUER = "https://kubernetes.default.svc.cluster.local"
CONFIGURATION = {"issuer": ISSUER, "jwks_uri": "https://10.0.0.1:6443/openid/v1/jwks"}
JWKS: dict[str, Any] = {"keys": [{"kty": "RSA", "kid": "a", "n": "AQ", "e": "AQAB"}]}


def saved(folder: Path, configuration: bytes, jwks: bytes) -> tuple[Path, Path]:
    files = folder / "configuration.json", folder / "jwks.json"
    for file, content in zip(files, (configuration, jwks), strict=True):
        file.write_bytes(content)
    return files


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_saved_files(tmp_path: Path, encoding: str) -> None:
    """PowerShell's `>` writes UTF-16; the text is the same."""
    texts = (json.dumps(document).encode(encoding) for document in (CONFIGURATION, JWKS))
    read = from_files(*saved(tmp_path, *texts))
    assert (read.issuer, read.jwks) == (ISSUER, JWKS)


@pytest.mark.parametrize(
    ("configuration", "jwks", "said"),
    [
        (JWKS, CONFIGURATION, "C: the document has no issuer (it has `keys`: the two documents"),
        ({}, JWKS, "C: the document has no issuer. Fix: give what `kubectl get --raw /.well-kn"),
        ({"issuer": 7}, JWKS, "C: the document has no issuer"),
        (CONFIGURATION, {}, "J: the document holds no keys. Fix: give what `kubectl get --raw /op"),
        (CONFIGURATION, CONFIGURATION, "J: the document holds no keys (it has an `issuer`: the"),
        (CONFIGURATION, {"keys": []}, "J: the document holds no keys"),
        (CONFIGURATION, {"keys": ["a"]}, "J: the document holds no keys"),
    ],
)
def test_wrong_documents(configuration: dict[str, Any], jwks: dict[str, Any], said: str) -> None:
    with pytest.raises(ClusterFailure) as caught:
        issuer_of(configuration, jwks, ("C", "J"))
    assert str(caught.value).startswith(said)
    assert caught.value.code == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no JSON object (it begins: nothing)"),
        (b"Error from server (Forbidden)", "is no JSON object (it begins: Error from server (F"),
        (b"[" * 100_000, "is no JSON object"),
        (b" " * (1024 * 1024 + 1), "is longer than 1048576 bytes"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes, said: str) -> None:
    files = saved(tmp_path, content, b"{}")
    with pytest.raises(BadInput) as caught:
        from_files(*files)
    assert str(caught.value).startswith(f"{files[0]}: {said}")
    assert caught.value.code == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_private_key_is_not_quoted(tmp_path: Path, encoding: str) -> None:
    """Given in place of a document: a short one would be in the message with its first bytes."""
    pem = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIPRIVATE\n-----END EC PRIVATE KEY-----\n"
    files = saved(tmp_path, pem.encode(encoding), b"{}")
    with pytest.raises(BadInput) as caught:
        from_files(*files)
    assert str(caught.value) == (
        f"{files[0]}: holds a PRIVATE key. Fix: save what `kubectl get --raw` prints; if the file"
        " is a copy of the key, delete it"
    )


@pytest.mark.parametrize(
    "content",
    [b'{"d": "PRIVATE", "kty": "EC"', b'[{"d": "PRIVATE"}]', b'\xef\xbb\xbf{"d":"PRIVATE'],
)
def test_nothing_of_a_json_text_is_quoted(tmp_path: Path, content: bytes) -> None:
    """Cut, or of another kind, it may be a private key all the same."""
    files = saved(tmp_path, content, b"{}")
    with pytest.raises(BadInput, match="is no JSON object") as caught:
        from_files(*files)
    assert "PRIVATE" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"cannot be read \(No such file or directory\)\. Fix: name the"
    ):
        from_files(tmp_path / "a", tmp_path / "b")
