"""Four mistakes that everybody makes once, and what they look like.

Imports the demo's own parts and the catalogue. Each scene goes as expected when the mistake is
refused, with the code that names it.
"""

import re

from gcp_sa_credential_provider.catalogue.messages import ALL
from gcp_sa_credential_provider.catalogue.recognise import recognise
from gcp_sa_credential_provider.demo import scene
from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.demo.pull import RefusedError
from gcp_sa_credential_provider.demo.stage import Scene, Stage
from gcp_sa_credential_provider.demo.step import Evidence, Explanation, Outcome, UnexpectedError

_CODE = re.compile(r"gcp-sa-credential-provider: \[([A-Z-]+)\] ")


def _wrong_key(stage: Stage) -> Outcome:
    rebuilt = Issuer()
    evidence: Evidence = {
        "issuer": ISSUER,
        "token kid": rebuilt.kid,
        "uploaded kid": stage.issuer.kid,
    }
    token = rebuilt.token(scene.AUDIENCE)
    return Outcome(evidence, _refused(stage, scene.IMAGE, token, "STS-ISSUER-KEYS", 1))


def _condition(stage: Stage) -> Outcome:
    token = stage.issuer.token(scene.AUDIENCE, namespace="staging")
    return Outcome(
        {"token namespace": "staging", "condition": scene.CONDITION},
        _refused(stage, scene.IMAGE, token, "STS-CONDITION", 1),
    )


def _no_grant(stage: Stage) -> Outcome:
    token = stage.issuer.token(scene.AUDIENCE, service_account="default")
    response, _ = stage.obtain(scene.IMAGE, token)
    principal = stage.mapped_principal()
    try:
        stage.pull(response)
    except RefusedError as refused:
        text = str(refused)
    else:
        raise UnexpectedError(f"registry: {principal} could pull without a grant")
    recognised = recognise(text)
    code = recognised.code if recognised else "nothing"
    if code != "REGISTRY-DENIED":
        raise UnexpectedError(f"catalogue: {code} recognised, not REGISTRY-DENIED, in: {text}")
    return Outcome(
        {
            "exchange": "worked, exit code 0",
            "granted": scene.MEMBER,
            "to grant": principal,
            "command": scene.grant_command(principal),
        },
        _explanation(code, text),
    )


def _elsewhere(stage: Stage) -> Outcome:
    before = len(stage.google.log.exchanges())
    explanation = _refused(
        stage, scene.ELSEWHERE, stage.issuer.token(scene.AUDIENCE), "IMAGE-OUTSIDE", 2
    )
    if sent := len(stage.google.log.exchanges()) - before:
        raise UnexpectedError(f"plugin: {sent} exchanges for an image of another registry")
    return Outcome({"image": scene.ELSEWHERE, "exchanges at Google": 0}, explanation)


def _refused(stage: Stage, image: str, token: str, code: str, exit_code: int) -> Explanation:
    """Run the plugin where it must refuse, with this code. Raises UnexpectedError."""
    run = stage.kubelet.ask(image, token)
    found = _CODE.match(run.line)
    if found is None or (run.exit_code, found[1]) != (exit_code, code):
        raise UnexpectedError(
            f"plugin: exit code {run.exit_code} ({run.line or 'no line'}),"
            f" not {exit_code} with {code}"
        )
    return _explanation(code, run.line)


def _explanation(code: str, says: str) -> Explanation:
    message = ALL[code]
    return Explanation(code, message.link, says, message.meaning, message.fix)


SCENES = (
    Scene(
        "wrong-key",
        "Mistake: Google has an old key",
        "The cluster was rebuilt and signs with a new key; Google still has the old JWKS.",
        _wrong_key,
    ),
    Scene(
        "condition-false",
        "Mistake: the condition says no",
        "A pod in the namespace staging pulls; the provider's condition lets only demo in.",
        _condition,
    ),
    Scene(
        "no-grant",
        "Mistake: the principal has no grant",
        "The pod runs as the ServiceAccount default. Its token is exchanged, but nobody granted "
        "that principal anything. The plugin has done its part; the registry says no.",
        _no_grant,
    ),
    Scene(
        "image-elsewhere",
        "Mistake: the image is at another registry",
        "The kubelet's matchImages is too wide and the plugin is asked for a stranger's registry. "
        "It must not be given a Google token: the plugin refuses before it asks Google.",
        _elsewhere,
    ),
)
