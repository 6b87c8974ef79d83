"""The main job, link by link: from a cluster's key to an image that came down.

Imports the demo's own parts and the plugin's reader of claims.
"""

import json
from datetime import UTC, datetime

from gcp_sa_credential_provider.demo import scene
from gcp_sa_credential_provider.demo.issuer import ISSUER
from gcp_sa_credential_provider.demo.pull import Blob, RefusedError
from gcp_sa_credential_provider.demo.stage import Scene, Stage
from gcp_sa_credential_provider.demo.step import Outcome, UnexpectedError
from gcp_sa_credential_provider.plugin.token import read_claims


def _google(stage: Stage) -> Outcome:
    at = stage.google.endpoints["registry"].removeprefix("https://")
    return Outcome(
        {
            "token service": stage.google.endpoints["sts"],
            "registry": f"{scene.REGISTRY}, led to {at} by the emulator's proxy",
        }
    )


def _issuer(stage: Stage) -> Outcome:
    [key] = json.loads(stage.issuer.jwks)["keys"]
    return Outcome({"issuer": ISSUER, "kid": key["kid"], "alg": key["alg"]})


def _trust(stage: Stage) -> Outcome:
    return Outcome(
        {
            "provider": scene.PROVIDER,
            "issuer": ISSUER,
            "uploaded kid": stage.issuer.kid,
            "mapping": tuple(f"{name} = {claim}" for name, claim in scene.MAPPING.items()),
            "condition": scene.CONDITION,
        }
    )


def _grant(_: Stage) -> Outcome:
    return Outcome({"repository": scene.REPOSITORY, "role": scene.READER, "member": scene.MEMBER})


def _exchange(stage: Stage) -> Outcome:
    token = stage.issuer.token(
        scene.AUDIENCE, namespace=scene.NAMESPACE, service_account=scene.SERVICE_ACCOUNT
    )
    claims = read_claims(token)
    stage.response, milliseconds = stage.obtain(scene.IMAGE, token)
    principal = stage.mapped_principal()
    if principal != scene.MEMBER:
        raise UnexpectedError(f"exchange: Google saw {principal}, not {scene.MEMBER}")
    return Outcome(
        {
            "image": scene.IMAGE,
            "environment": tuple(f"{n}={value}" for n, value in stage.kubelet.environment.items()),
            "token subject": claims.subject,
            "token audience": claims.audience,
            "token kid": claims.key_id,
            "token expires": _moment(claims.expires_at),
            "exit code": 0,
            "milliseconds": milliseconds,
            "Google saw": principal,
        }
    )


def _response(stage: Stage) -> Outcome:
    response = stage.response
    credential = response.credential_for(scene.IMAGE)
    seconds = response.cache_duration.removesuffix("s")
    if not (seconds.isdecimal() and 0 < int(seconds) < 3600):
        raise UnexpectedError(
            f"plugin: cacheDuration {response.cache_duration} for a token that lives for an hour"
        )
    return Outcome(
        {
            "cacheKeyType": response.cache_key_type,
            "cacheDuration": response.cache_duration,
            "auth": tuple(each.pattern for each in response.credentials),
            "matches": f"{credential.pattern} for {scene.IMAGE}",
            "user": credential.username,
            "password": "a Google access token (not shown)",
        }
    )


def _pull(stage: Stage) -> Outcome:
    try:
        pulled = stage.pull(stage.response)
    except RefusedError as refused:
        raise UnexpectedError(f"registry: {refused}") from None
    return Outcome(
        {
            "image": f"{scene.IMAGE}:{scene.TAG}",
            "registry token from": pulled.realm,
            "scope": pulled.scope,
            "manifest": _verified(pulled.manifest),
            "config": _verified(pulled.config),
            "layers": tuple(_verified(layer) for layer in pulled.layers),
        }
    )


def _verified(blob: Blob) -> str:
    return f"{blob.digest} ({blob.size} bytes, verified)"


def _moment(seconds: int | None) -> str:
    return "MISSING" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%FT%TZ}"


SCENES = (
    Scene(
        "google",
        "A stand-in for Google starts",
        "The emulator serves Google's token service (STS) and Artifact Registry on 127.0.0.1, over "
        "TLS with a CA made for this run. Nothing leaves this machine: the name "
        f"{scene.REGISTRY} is not looked up, a proxy leads it to the emulator.",
        _google,
    ),
    Scene(
        "issuer",
        "A cluster makes its signing key",
        "Every Kubernetes API server signs the tokens of its ServiceAccounts with a key of its "
        "own and publishes the public half as a JWKS. Here such a key is made.",
        _issuer,
    ),
    Scene(
        "trust",
        "Google is told to trust the cluster",
        "A provider in a workload identity pool holds the cluster's issuer and its uploaded JWKS. "
        "The mapping turns a token into a Google principal, the condition says who may come in.",
        _trust,
    ),
    Scene(
        "grant",
        "One ServiceAccount may read one repository",
        f"The ServiceAccount {scene.SERVICE_ACCOUNT} in the namespace {scene.NAMESPACE} is granted "
        "the reader's role, as the principal that the mapping makes of it.",
        _grant,
    ),
    Scene(
        "exchange",
        "A pod starts: the kubelet runs the plugin",
        "The demo plays the kubelet: it starts the plugin without arguments, with the "
        "environment of a kubelet's configuration and nothing else, and with the request on stdin. "
        "The request holds the image and a token of the pod's ServiceAccount. The plugin "
        "exchanges the token at Google.",
        _exchange,
    ),
    Scene(
        "response",
        "The plugin answers with registry credentials",
        "One JSON document on stdout. The kubelet keeps it for cacheDuration, which ends before "
        "the access token does, and gives the matching entry to the container runtime.",
        _response,
    ),
    Scene(
        "pull",
        "The image comes down",
        "As a container runtime pulls: the registry's challenge (401), a registry token for the "
        "credentials, then manifest, config and layers. Every digest is computed and compared.",
        _pull,
    ),
)
