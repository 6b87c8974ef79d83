"""A description that nothing is wrong with, its files of keys, and changes of it."""

import json
from collections.abc import Iterable
from pathlib import Path

from gcp_sa_credential_provider.demo.issuer import Issuer

GOOD = """\
version: 1
google:
  projectId: my-project
  projectNumber: "123456789012"
clusters:
  - name: prod
    issuer: https://kubernetes.default.svc.cluster.local
    keys: uploaded
    jwks: prod.json
    kubernetes: "1.34"
    nodes:
      - name: workers
        distribution: k3s
        kubernetes: "1.34"
  - name: cloud
    issuer: https://oidc.eks.eu-west-1.amazonaws.com/id/0123ABCD
    keys: fetched
    kubernetes: "1.36"
repositories:
  - name: images
    location: europe
  - name: base
    location: us
pull:
  - cluster: prod
    namespace: backend
    serviceAccount: default
  - cluster: cloud
    namespace: web
"""


def changed(changes: Iterable[tuple[str, str]], text: str = GOOD) -> str:
    """The text with each first occurrence replaced; every one must be there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def write_keys(folder: Path) -> None:
    """All files of keys that the samples name."""
    rsa, other = Issuer(kid="rsa"), Issuer("EC", kid="p256")
    unusable = [Issuer("EC", kid=kid, crv=kid).jwk for kid in ("P-384", "P-521")]
    private = rsa.key.as_dict(private=True) | {"kid": "rsa"}
    sets = {
        "prod.json": [rsa.jwk],
        "second.json": [other.jwk],
        "copy.json": [{**rsa.jwk, "kid": "another"}, other.jwk],
        "unusable.json": unusable,
        "nine.json": [{**other.jwk, "kid": f"key{number}"} for number in range(9)],
        "mixed.json": [rsa.jwk, unusable[0]],
        "private.json": [private],
        "twice.json": [rsa.jwk, {**other.jwk, "kid": "rsa"}],
        "none.json": [],
    }
    for name, keys in sets.items():
        (folder / name).write_text(json.dumps({"keys": keys}))
    (folder / "discovery.json").write_text('{"issuer": "https://kubernetes.default.svc"}')
    (folder / "page.html").write_text("<html>")
    (folder / "pem.json").write_text("-----BEGIN RSA PRIVATE KEY-----\nMII\n")
    (folder / "huge.json").write_bytes(b" " * (1024 * 1024 + 1))
