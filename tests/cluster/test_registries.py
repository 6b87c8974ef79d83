"""Others who are asked for an image: a stale imagePullSecret, a mirror that wants credentials."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cluster.cluster import MIRROR, PROVIDER, Cluster
from cluster.node import MIRRORED_HOST, SERVICE_ACCOUNT_HOST
from cluster.team import Team, image
from kubelet.google import Google


def test_stale_image_pull_secret(cluster: Cluster, team: Team) -> None:
    """It is tried first and costs an attempt; the plugin's credential comes after it."""
    stale = {"username": "oauth2accesstoken", "password": "ya29.of-yesterday"}
    team.secret(
        "stale",
        "kubernetes.io/dockerconfigjson",
        {".dockerconfigjson": json.dumps({"auths": {SERVICE_ACCOUNT_HOST: stale}})},
    )
    team.pod(imagePullSecrets=[{"name": "stale"}]).wait_running()
    answers = [entry["status"] for entry in cluster.google.log.entries("registry")]
    assert answers[0] == 401
    assert answers[-1] == 200
    assert len(team.exchanges()) == 1


class _Mirror(BaseHTTPRequestHandler):
    """Wants to know who asks, and has nothing."""

    authorizations: list[str]

    def do_GET(self) -> None:
        """Answer a pull."""
        given = self.headers.get("Authorization")
        if given:
            self.authorizations.append(given)
        self.send_response(404 if given else 401)
        self.send_header("WWW-Authenticate", 'Basic realm="mirror"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815  the name that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as inherited
        """Keep stderr for the tests."""


@contextmanager
def challenging_mirror(port: int, certificate: Path) -> Iterator[list[str]]:
    """A registry that challenges everybody; yields the Authorization headers that it got."""

    class Handler(_Mirror):
        authorizations: list[str] = []  # noqa: RUF012  of this mirror alone

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield Handler.authorizations
        finally:
            server.shutdown()
            serving.join()


def test_mirror_that_challenges(cluster: Cluster, team: Team) -> None:
    """A mirror that hosts.toml names is shown the kubelet's credential by containerd.

    The pod's image is in the end Google's; but the mirror has had a token that works there.
    """
    registries = cluster.registries
    cluster.nodes["node-1"].mirror(MIRRORED_HOST, f"https://{MIRROR}")
    with challenging_mirror(registries.mirror_port, registries.certificate) as authorizations:
        team.pod(of=image(host=MIRRORED_HOST)).wait_running()
    shown = {base64.b64decode(header.removeprefix("Basic ")).decode() for header in authorizations}
    (credential,) = shown
    user, _, token = credential.partition(":")
    assert user == "oauth2accesstoken"
    assert Google(cluster.google, None, PROVIDER).principal(token) == team.principal()
