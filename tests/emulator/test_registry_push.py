"""Pushes: uploads whole and in pieces, mounts, manifests, tags, ranges, and who may."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.test_registry import bearer, denial
from emulator.world import AUDIENCE, POOL, PRINCIPAL, REPOSITORY, exchange, request_of, world
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.image import MANIFEST_TYPE, built_in, digest_of
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.emulator.serve import Files

IMAGE = "/v2/my-project/images/team/app"
UPLOADS = f"{IMAGE}/blobs/uploads/"
CONTENT = b"layer" * 1000
WRITER = "roles/artifactregistry.writer"


@pytest.fixture
def pusher(google: Emulator, client: httpx.Client, token: str) -> httpx.Client:
    """A client that may push."""
    google.grant(REPOSITORY, WRITER, PRINCIPAL)
    client.base_url = httpx.URL(google.endpoints["registry"])
    client.headers.update(bearer(token))
    return client


def push_blob(pusher: httpx.Client, content: bytes, image: str = IMAGE) -> str:
    digest = digest_of(content)
    answer = pusher.post(f"{image}/blobs/uploads/", params={"digest": digest}, content=content)
    assert (answer.status_code, answer.headers["docker-content-digest"]) == (201, digest)
    return digest


def manifest(*layers: str) -> bytes:
    """An OCI manifest; sizes do not matter to a registry."""
    config, *rest = [{"mediaType": "x", "digest": digest, "size": 1} for digest in layers]
    return json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": rest}
    ).encode()


def put_manifest(pusher: httpx.Client, reference: str, content: bytes, kind: str) -> httpx.Response:
    headers = {"Content-Type": kind}
    return pusher.put(f"{IMAGE}/manifests/{reference}", content=content, headers=headers)


@pytest.mark.rule("push")
def test_a_push_and_a_pull(pusher: httpx.Client) -> None:
    """Blobs, manifest, tag; what comes back is what went in."""
    content = manifest(push_blob(pusher, b"{}"), push_blob(pusher, CONTENT))
    answer = put_manifest(pusher, "v1", content, MANIFEST_TYPE)
    assert answer.status_code == 201
    assert answer.headers["docker-content-digest"] == digest_of(content)
    for reference in ("v1", digest_of(content)):
        pulled = pusher.get(f"{IMAGE}/manifests/{reference}")
        assert (pulled.content, pulled.headers["content-type"]) == (content, MANIFEST_TYPE)
        head = pusher.head(f"{IMAGE}/manifests/{reference}")
        assert (head.content, head.headers["content-length"]) == (b"", str(len(content)))
    assert pusher.get(f"{IMAGE}/blobs/{digest_of(CONTENT)}").content == CONTENT


@pytest.mark.rule("push")
def test_an_upload_in_pieces(pusher: httpx.Client) -> None:
    """POST, PATCH twice, a piece out of order, PUT with the rest."""
    location = pusher.post(UPLOADS).headers["location"]
    headers = {"Content-Range": "0-999"}
    first = pusher.patch(location, content=CONTENT[:1000], headers=headers)
    assert (first.status_code, first.headers["range"]) == (202, "0-999")
    again = pusher.patch(location, content=CONTENT[:1000], headers=headers)
    assert denial(again)[:2] == (416, "BLOB_UPLOAD_INVALID")
    beyond = pusher.patch(location, headers={"Content-Range": f"{'9' * 5000}-{'9' * 5000}"})
    assert denial(beyond)[:2] == (416, "BLOB_UPLOAD_INVALID")
    status = pusher.get(location)
    assert (status.status_code, status.headers["range"]) == (204, "0-999")
    digest = digest_of(CONTENT)
    done = pusher.put(location, params={"digest": digest}, content=CONTENT[1000:])
    assert (done.status_code, done.headers["location"]) == (201, f"{IMAGE}/blobs/{digest}")
    assert denial(pusher.get(location))[:2] == (404, "BLOB_UPLOAD_UNKNOWN")
    assert pusher.get(f"{IMAGE}/blobs/{digest}").content == CONTENT


@pytest.mark.rule("push")
def test_uploads_that_fail(pusher: httpx.Client) -> None:
    """A wrong digest, no digest, an upload that was cancelled."""
    wrong = {"digest": digest_of(b"other")}
    answer = pusher.post(UPLOADS, params=wrong, content=CONTENT)
    assert denial(answer)[:2] == (400, "DIGEST_INVALID")
    assert pusher.head(f"{IMAGE}/blobs/{wrong['digest']}").status_code == 404
    answer = pusher.post(UPLOADS, params={"digest": "md5:1"}, content=CONTENT)
    assert denial(answer)[:2] == (400, "DIGEST_INVALID")
    location = pusher.post(UPLOADS).headers["location"]
    assert denial(pusher.put(location))[:2] == (400, "DIGEST_INVALID")
    assert pusher.delete(location).status_code == 204
    assert denial(pusher.patch(location))[:2] == (404, "BLOB_UPLOAD_UNKNOWN")
    assert denial(pusher.patch(f"{UPLOADS}..%2F..%2Fx"))[0] in (403, 404)


@pytest.mark.rule("push")
def test_a_mount(pusher: httpx.Client) -> None:
    """From another image of the repository: no upload; from elsewhere: an upload begins."""
    digest = push_blob(pusher, CONTENT)
    other = "/v2/my-project/images/other"
    assert pusher.head(f"{other}/blobs/{digest}").status_code == 404
    query = {"mount": digest, "from": "my-project/images/team/app"}
    mounted = pusher.post(f"{other}/blobs/uploads/", params=query)
    assert (mounted.status_code, mounted.headers["location"]) == (201, f"{other}/blobs/{digest}")
    assert pusher.get(f"{other}/blobs/{digest}").content == CONTENT
    elsewhere = {"mount": digest, "from": "my-project/none/x"}
    assert pusher.post(f"{other}/blobs/uploads/", params=elsewhere).status_code == 202


INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.mark.rule("push")
@pytest.mark.parametrize(
    ("reference", "content", "kind", "code"),
    [
        ("v1", b"{", MANIFEST_TYPE, "MANIFEST_INVALID"),
        ("v1", b"[]", MANIFEST_TYPE, "MANIFEST_INVALID"),
        ("v1", b'{"schemaVersion": 1}', MANIFEST_TYPE, "MANIFEST_INVALID"),
        ("v1", b'{"schemaVersion": 2}', MANIFEST_TYPE, "MANIFEST_INVALID"),
        ("v1", b'{"schemaVersion": 2, "manifests": [1]}', INDEX, "MANIFEST_INVALID"),
        ("v1", b"{}", "text/plain", "MANIFEST_INVALID"),
        ("v1", manifest(digest_of(b"none")), MANIFEST_TYPE, "MANIFEST_BLOB_UNKNOWN"),
        (digest_of(b"x"), b"{}", MANIFEST_TYPE, "DIGEST_INVALID"),
        (".hidden", b"{}", MANIFEST_TYPE, "MANIFEST_INVALID"),
    ],
)
def test_manifests_that_are_refused(
    pusher: httpx.Client, reference: str, content: bytes, kind: str, code: str
) -> None:
    """Nothing is stored."""
    answer = put_manifest(pusher, reference, content, kind)
    assert denial(answer)[:2] == (400, code)
    assert pusher.get(f"{IMAGE}/tags/list").status_code == 404


@pytest.mark.parametrize("name", ["a" * 300, "/".join(["a" * 255] * 20)])
def test_an_image_of_a_name_that_is_too_long(pusher: httpx.Client, name: str) -> None:
    """It is not known, whatever is asked of it."""
    digest = push_blob(pusher, CONTENT)
    put_manifest(pusher, "v1", manifest(digest), MANIFEST_TYPE)
    image = f"/v2/my-project/images/{name}"
    for path in ("manifests/latest", f"blobs/{digest}", "tags/list"):
        assert denial(pusher.get(f"{image}/{path}"))[:2] == (404, "NAME_UNKNOWN")
    mount = {"mount": digest, "from": f"my-project/images/{name}"}
    assert pusher.post(UPLOADS, params=mount).status_code == 202
    mount["from"] = "my-project/images/team/app"
    answer = pusher.post(f"{image}/blobs/uploads/", params=mount)
    assert denial(answer)[:2] == (404, "NAME_UNKNOWN")


def test_a_manifest_that_is_too_large(pusher: httpx.Client) -> None:
    """More than 4 MiB."""
    answer = put_manifest(pusher, "v1", b" " * (4 * 1024 * 1024 + 1), MANIFEST_TYPE)
    assert denial(answer)[:2] == (413, "MANIFEST_INVALID")


def test_an_index(pusher: httpx.Client) -> None:
    """Its manifests must be there."""
    one = manifest(push_blob(pusher, b"{}"))
    entry = {"mediaType": MANIFEST_TYPE, "digest": digest_of(one), "size": len(one)}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    assert denial(put_manifest(pusher, "all", index, INDEX))[1] == "MANIFEST_BLOB_UNKNOWN"
    assert put_manifest(pusher, digest_of(one), one, MANIFEST_TYPE).status_code == 201
    assert put_manifest(pusher, "all", index, INDEX).status_code == 201
    assert pusher.get(f"{IMAGE}/tags/list").json()["tags"] == ["all"]


@pytest.mark.rule("push-permission")
def test_a_reader_may_not_push(google: Emulator, client: httpx.Client, token: str) -> None:
    """The text names the other permission; the challenge asks for both actions."""
    url = f"{google.endpoints['registry']}{UPLOADS}"
    answer = client.post(url, headers=bearer(token), content=CONTENT)
    assert denial(answer) == (
        403,
        "DENIED",
        (
            'Permission "artifactregistry.repositories.uploadArtifacts" denied on resource'
            f' "{REPOSITORY}" (or it may not exist)'
        ),
    )
    assert client.post(url).headers["www-authenticate"].endswith(':pull,push"')


@pytest.mark.rule("tags")
def test_tags_in_pages(pusher: httpx.Client) -> None:
    """In order; Link leads on."""
    content = manifest(push_blob(pusher, b"{}"))
    for tag in ("c", "a", "b"):
        put_manifest(pusher, tag, content, MANIFEST_TYPE)
    first = pusher.get(f"{IMAGE}/tags/list", params={"n": "2"})
    assert first.json() == {"name": "my-project/images/team/app", "tags": ["a", "b"]}
    following = first.headers["link"].partition("<")[2].partition(">")[0]
    rest = pusher.get(following)
    assert (rest.json()["tags"], "link" in rest.headers) == (["c"], False)
    assert pusher.get("/v2/my-project/images/hello/tags/list").json()["tags"] == ["latest"]


@pytest.mark.rule("ranges")
def test_a_range(pusher: httpx.Client) -> None:
    """How runtimes take up a broken pull; of pushed and of built-in layers."""
    digest = push_blob(pusher, CONTENT)
    part = pusher.get(f"{IMAGE}/blobs/{digest}", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, CONTENT[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(CONTENT)}"
    name, blob = next(iter(built_in().blobs.items()))
    url = f"/v2/my-project/images/hello/blobs/{name}"
    assert pusher.get(url, headers={"Range": "bytes=5-"}).content == blob[5:]
    unsatisfiable = pusher.get(url, headers={"Range": f"bytes={len(blob)}-"})
    assert unsatisfiable.status_code == 416


def test_a_pushed_tag_comes_before_the_built_in_one(pusher: httpx.Client) -> None:
    """The built-in image stays by its digest."""
    image = "/v2/my-project/images/hello"
    content = manifest(push_blob(pusher, b"{}", image))
    headers = {"Content-Type": MANIFEST_TYPE}
    pusher.put(f"{image}/manifests/latest", content=content, headers=headers)
    assert pusher.get(f"{image}/manifests/latest").content == content
    assert pusher.get(f"{image}/manifests/{built_in().digest}").content == built_in().manifest


def test_the_built_in_image_under_another_tag(pusher: httpx.Client) -> None:
    """A client that found its blobs there sends the manifest alone, as containerd does."""
    image = "/v2/my-project/images/hello"
    headers = {"Content-Type": MANIFEST_TYPE}
    answer = pusher.put(f"{image}/manifests/copy", content=built_in().manifest, headers=headers)
    assert answer.headers["docker-content-digest"] == built_in().digest
    assert pusher.get(f"{image}/tags/list").json()["tags"] == ["copy", "latest"]


@pytest.mark.parametrize("verb", ["DELETE", "PATCH"])
def test_what_is_not_supported(pusher: httpx.Client, verb: str) -> None:
    """Nothing is ever deleted."""
    assert denial(pusher.request(verb, f"{IMAGE}/manifests/v1"))[:2] == (405, "UNSUPPORTED")
    path = f"{IMAGE}/blobs/{digest_of(b'')}"
    assert denial(pusher.request(verb, path))[:2] == (405, "UNSUPPORTED")
    assert denial(pusher.put(UPLOADS))[:2] == (405, "UNSUPPORTED")


@pytest.mark.rule("registry-hosts")
def test_a_mirror_names_the_registry_in_ns(
    google: Emulator, client: httpx.Client, issuer: Issuer, token: str
) -> None:
    """Containerd's hosts.toml leads to another address and says `ns`."""
    policy = {
        "bindings": [
            {
                "role": "roles/artifactregistry.reader",
                "members": [f"principalSet://iam.googleapis.com/{POOL}/*"],
            }
        ]
    }
    names = [f"projects/my-project/locations/{at}/repositories/images" for at in ("us", "europe")]
    repositories = [
        {"name": name, "images": [f"{name.split('/')[3]}:v1"], "iamPolicy": policy}
        for name in names
    ]
    google.load(world(issuer.jwks, repositories=repositories))
    url = f"{google.endpoints['registry']}/v2/my-project/images/europe/manifests/v1"
    statuses = [
        client.get(url, params={"ns": host}, headers=bearer(token)).status_code
        for host in ("europe-docker.pkg.dev", "us-docker.pkg.dev")
    ]
    assert statuses == [200, 404]


def test_images_outlive_the_emulator(tmp_path: Path, issuer: Issuer) -> None:
    """With a directory of their own."""
    files = Files(images=tmp_path / "images")
    grant = [(REPOSITORY, WRITER, PRINCIPAL)]
    content = b""
    for first in (True, False):
        with Emulator(tmp_path / "google", world(issuer.jwks), files=files) as google:
            google.grant(*grant[0])
            with httpx.Client(
                base_url=google.endpoints["http"]["registry"], trust_env=False
            ) as client:
                plain = f"{google.endpoints['http']['sts']}/v1/token"
                client.headers.update(bearer(_token(client, plain, issuer)))
                if first:
                    content = manifest(push_blob(client, b"{}"))
                    put_manifest(client, "v1", content, MANIFEST_TYPE)
                assert client.get(f"{IMAGE}/manifests/v1").content == content


def _token(client: httpx.Client, url: str, issuer: Issuer) -> str:
    answer = client.post(url, data=request_of(issuer.token(AUDIENCE)))
    return str(answer.json()["access_token"])


@pytest.mark.rule("token-realm")
def test_a_token_for_another_registry(google: Emulator, client: httpx.Client, token: str) -> None:
    """RS256 with a certificate of the CA; only what IAM grants."""
    google.set_options(tokenRealm={"service": "other.example"})
    answer = client.get(
        f"{google.endpoints['registry']}/v2/token",
        params={
            "service": "other.example",
            "scope": [
                "repository:my-project/images/a:pull,push",
                "repository:p/none/b:pull",
                "registry:catalog:*",
            ],
        },
        auth=("oauth2accesstoken", token),
    )
    header, claims = (_part(answer.json()["token"], index) for index in (0, 1))
    assert (header["alg"], len(header["x5c"])) == ("RS256", 1)
    assert (claims["aud"], claims["sub"]) == ("other.example", PRINCIPAL)
    assert claims["access"] == [
        {"type": "repository", "name": "my-project/images/a", "actions": ["pull"]}
    ]


def _part(token: str, index: int) -> Any:
    part = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.rule("registry-scopes")
@pytest.mark.parametrize(("scope", "status"), [("devstorage.read_only", 200), ("compute", 403)])
def test_scopes_as_an_option(
    google: Emulator, client: httpx.Client, issuer: Issuer, scope: str, status: int
) -> None:
    """Unmeasured: any scope may pull unless asked otherwise."""
    wanted = f"https://www.googleapis.com/auth/{scope}"
    narrow = exchange(client, google, issuer.token(AUDIENCE), scope=wanted).json()["access_token"]
    url = f"{google.endpoints['registry']}/v2/my-project/images/hello/manifests/latest"
    assert client.get(url, headers=bearer(narrow)).status_code == 200
    google.set_options(registryScopes="storage")
    assert client.get(url, headers=bearer(narrow)).status_code == status
