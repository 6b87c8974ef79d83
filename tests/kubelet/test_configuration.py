"""The CredentialProviderConfig: what each minor accepts, and the one of the program replaced.

original-readme.yaml is the configuration that the README of the Go program of the same name gave,
with its placeholders REGION, PROJECT_NUMBER and $CLUSTERNAME.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from kubelet.google import NUMBER
from kubelet.harness import Pull, Refused
from kubelet.node import ALPHA, GATE, PLUGIN, Node

IMAGE = "europe-west4-docker.pkg.dev/project/repository/app"
ORIGINAL = Path(__file__).with_name("original-readme.yaml").read_text()
CACHE_TYPE = "      cacheType: Token\n"


def original(node: Node) -> str:
    """The README's configuration, followed to the letter on a node of this minor."""
    if node.minor == ALPHA:  # "Only set this in k8s 1.34+"
        assert CACHE_TYPE in ORIGINAL
        return ORIGINAL.replace(CACHE_TYPE, "")
    return ORIGINAL


def written(node: Node, **changes: Any) -> None:
    """Write the recommended configuration with other tokenAttributes."""
    provider = node.provider()
    provider["tokenAttributes"] = {
        key: value
        for key, value in (provider["tokenAttributes"] | changes).items()
        if value is not None
    }
    document = {
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": [provider],
    }
    node.config.write_text(json.dumps(document))


def test_the_original_configuration_works_unchanged(node: Node) -> None:
    """Only the placeholders are filled in; where Google is, the kubelet's environment says."""
    node.config.write_text(
        original(node)
        .replace("REGION", "europe-west4")
        .replace("PROJECT_NUMBER", NUMBER)
        .replace("$CLUSTERNAME", "cluster-1")
    )
    kubelet = node.boot(environment=node.google.whereabouts())
    kubelet.service_accounts(node.account)
    pull = Pull(image=IMAGE, token=node.google.token())
    pulled = kubelet.pull(pull)
    assert pulled.credential.username == "oauth2accesstoken"
    assert pulled.execs == {PLUGIN: 1}
    # Not the hour of defaultCacheDuration: the answer's own duration counts, so that the
    # credential is fetched anew before it ends.
    kubelet.advance(3300)
    assert kubelet.pull(pull).execs == {PLUGIN: 1}


def test_the_original_configuration_with_its_placeholders_left_in(node: Node) -> None:
    """The plugin names the slip; Google is not asked."""
    node.config.write_text(original(node).replace("REGION", "europe-west4"))
    kubelet = node.boot(environment=node.google.whereabouts())
    kubelet.service_accounts(node.account)
    pulled = kubelet.pull(Pull(image=IMAGE, token=node.google.token()))
    assert pulled.exec_errors == {PLUGIN: 1}
    (error,) = pulled.errors
    assert f"exit status 2: {PLUGIN}: [SETTINGS-AUDIENCE] " in error
    assert "PROJECT_NUMBER" in error
    assert node.google.exchanges() == 0


def test_the_gate(node: Node) -> None:
    """Without the feature gate, off by default on 1.33 alone, the kubelet does not start."""
    written(node)
    with pytest.raises(Refused, match=f"not supported when {GATE} feature gate is disabled"):
        node.boot(gates={GATE: False})


def test_cache_type_is_unknown_on_1_33_and_required_afterwards(node: Node) -> None:
    """One configuration cannot serve both: the kubelet would not start."""
    if node.minor == ALPHA:
        written(node, cacheType="Token")
        expected = 'unknown field "providers[0].tokenAttributes.cacheType"'
    else:
        written(node, cacheType=None)
        expected = "tokenAttributes.cacheType: Required value"
    with pytest.raises(Refused) as refused:
        node.boot()
    assert expected in str(refused.value)


def test_a_missing_program_stops_the_kubelet(node: Node) -> None:
    """The program must be in place before the configuration is."""
    written(node)
    (node.bin_dir / PLUGIN).unlink()
    with pytest.raises(Refused, match=r"plugin binary executable .* did not exist"):
        node.boot()


def test_a_folder_of_configurations(node: Node) -> None:
    """From 1.34 on the kubelet reads a folder, so that ours can stand beside another provider's."""
    written(node)
    folder = node.config.with_name("credential-providers.d")
    folder.mkdir()
    node.config.rename(folder / "50-google.yaml")
    node.config = folder
    if node.minor == ALPHA:
        with pytest.raises(Refused, match="is a directory"):
            node.boot()
        return
    kubelet = node.boot()
    kubelet.service_accounts(node.account)
    assert kubelet.pull(Pull(image=IMAGE, token=node.google.token())).execs == {PLUGIN: 1}
