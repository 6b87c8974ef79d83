"""The kubelet's own code judges what `node install` makes of a node, and our check of its rules."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from gcp_sa_credential_provider.node import entry, splice
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.planned import Planned
from gcp_sa_credential_provider.node.validate import GATE, File, Reader, problems
from kubelet.node_files import ALPHA, maker, starts, verdict
from process.node_tree import CONFIG, KINDS, NAME, SECOND, Node
from unit.provider_configs import AUDIENCE, HEAD, OURS, Config, configs

# By the field that is changed in a valid entry of ours; None takes it away. What the kubelet makes
# of each is not written here: its own code says so, and ours must say the same.
CHANGES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "no name": {"name": None},
    "name with /": {"name": "a/b"},
    "name with space": {"name": "a b"},
    "name .": {"name": "."},
    "name ..": {"name": ".."},
    "name of nothing": {"name": "absent"},
    "name of a number": {"name": 3},
    "no apiVersion": {"apiVersion": None},
    "apiVersion v2": {"apiVersion": "credentialprovider.kubelet.k8s.io/v2"},
    "apiVersion v1beta1 with tokens": {"apiVersion": "credentialprovider.kubelet.k8s.io/v1beta1"},
    "apiVersion v1alpha1, no tokens": {
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1alpha1",
        "tokenAttributes": None,
    },
    "no matchImages": {"matchImages": None},
    "empty matchImages": {"matchImages": []},
    "matchImages text": {"matchImages": "gcr.io"},
    "matchImages with a number": {"matchImages": [1]},
    "matchImages with null": {"matchImages": [None]},
    "no duration": {"defaultCacheDuration": None},
    "negative duration": {"defaultCacheDuration": "-1s"},
    "negative nothing": {"defaultCacheDuration": "-0s"},
    "duration without unit": {"defaultCacheDuration": "10"},
    "duration 0": {"defaultCacheDuration": "0"},
    "duration of parts": {"defaultCacheDuration": "1h15m30.5s"},
    "duration .5s": {"defaultCacheDuration": ".5s"},
    "duration .s": {"defaultCacheDuration": ".s"},
    "duration µs": {"defaultCacheDuration": "7µs"},
    "duration number": {"defaultCacheDuration": 5},
    "duration empty": {"defaultCacheDuration": ""},
    "duration in other digits": {"defaultCacheDuration": "\u0661s"},
    "duration of 292 years": {"defaultCacheDuration": "2562047h"},
    "duration too long": {"defaultCacheDuration": "2562048h"},
    "args": {"args": ["a", ""]},
    "args mapping": {"args": {}},
    "env with unknown": {"env": [{"name": "A", "value": "b", "more": "c"}]},
    "env without value": {"env": [{"name": "A"}]},
    "env of texts": {"env": ["A=b"]},
    "unknown field": {"extra": 1},
    "other case": {"MatchImages": ["a"]},
    "no tokens": {"tokenAttributes": None},
    "empty tokens": {"tokenAttributes": {}},
}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "no audience": {"serviceAccountTokenAudience": None},
    "empty audience": {"serviceAccountTokenAudience": ""},
    "no requireServiceAccount": {"requireServiceAccount": None},
    "requireServiceAccount text": {"requireServiceAccount": "true"},
    "not required": {"requireServiceAccount": False},
    "no cacheType": {"cacheType": None},
    "empty cacheType": {"cacheType": ""},
    "cacheType Token": {"cacheType": "Token"},
    "cacheType Never": {"cacheType": "Never"},
    "unknown": {"extra": True},
    "required key": {"requiredServiceAccountAnnotationKeys": ["a.b/c"]},
    "required without account": {
        "requireServiceAccount": False,
        "requiredServiceAccountAnnotationKeys": ["a"],
    },
    "optional without account": {
        "requireServiceAccount": False,
        "optionalServiceAccountAnnotationKeys": ["a"],
    },
    "twice": {"optionalServiceAccountAnnotationKeys": ["a", "a"]},
    "both": {
        "requiredServiceAccountAnnotationKeys": ["a"],
        "optionalServiceAccountAnnotationKeys": ["a"],
    },
    **{
        f"key {key!r}": {"optionalServiceAccountAnnotationKeys": [key]}
        for key in (
            "",
            "/a",
            "a/",
            "a/b/c",
            "A.B/C_d.e-f",
            "a_b/c",
            "-a",
            "a.",
            "a" * 63,
            "a" * 64,
            f"{'a' * 253}/b",
            f"{'a' * 254}/b",
            "a..b/c",
            "é",
        )
    },
}
PATTERNS = (
    "",
    "*",
    "*.gcr.io",
    "gcr.io/",
    "a.b:5000/c",
    "a.b:",
    "a.b:x",
    "a.b:1:2",
    "a b",
    "a.b/c d",
    "a%2Fb",
    "a%zz",
    "a.b/%zz",
    "a.b/%2F",
    "a.b/c%",
    "[::1]:5000/x",
    "[::1]x",
    "[::1",
    "::1",
    "a]",
    "user@a.b",
    "us er@a.b",
    "u:p@a.b",
    "https://a.b",
    "a.b?q=%zz",
    "a.b#%zz",
    "a.b#f",
    "a\x7fb",
    "a\tb",
    "é.dev",
    "a_b.dev",
    "a|b",
    "a\\b",
    "a{b}",
    "a^b",
    "a`b",
    'a"b',
    "a<b>",
    "a'b",
    "%41.dev",
    "%C3%A9.dev",
)
FILES = {
    "JSON": json.dumps({**HEAD, "providers": [OURS]}),
    "JSON with a comment": json.dumps({**HEAD, "providers": [OURS]}) + "# c",
    "JSON that YAML would take": json.dumps({**HEAD, "providers": [OURS]})[:-1] + ",}",
    "JSON with a member twice": '{"kind": "x", ' + json.dumps({**HEAD, "providers": [OURS]})[1:],
    "empty": "",
    "a list": "- a\n",
    "a text": "a\n",
    "no kind": splice.whole([OURS], "c").replace("kind:", "kinds:"),
    "other kind": splice.whole([OURS], "c").replace("CredentialProviderConfig", "Config"),
    "other group": splice.whole([OURS], "c").replace("kubelet.config.k8s.io/v1", "a.dev/v1"),
    "v1beta1": splice.whole([OURS], "c").replace("config.k8s.io/v1", "config.k8s.io/v1beta1"),
    "v1alpha1": splice.whole([OURS], "c").replace("config.k8s.io/v1", "config.k8s.io/v1alpha1"),
    "v2": splice.whole([OURS], "c").replace("config.k8s.io/v1", "config.k8s.io/v2"),
    "an unknown field": splice.whole([OURS], "c") + "more: a\n",
    "metadata": splice.whole([OURS], "c") + "metadata: {}\n",
    "a key twice": splice.whole([OURS], "c") + "kind: CredentialProviderConfig\n",
    "a name twice": splice.whole([OURS, {**OURS, "matchImages": ["a"]}], "c"),
    "no providers": "\n".join(f"{key}: {value}" for key, value in HEAD.items()) + "\n",
    "null providers": "\n".join(f"{key}: {value}" for key, value in HEAD.items())
    + "\nproviders:\n",
    "empty providers": json.dumps({**HEAD, "providers": []}),
    "a mapping of providers": json.dumps({**HEAD, "providers": {}}),
    "a provider that is text": json.dumps({**HEAD, "providers": ["a"]}),
    "a null provider": json.dumps({**HEAD, "providers": [None]}),
    "a second document": splice.whole([OURS], "c") + "---\nother: 1\n",
    "something behind the end": splice.whole([OURS], "c") + "... c\n",
    "a broken second document": splice.whole([OURS], "c") + "---\n[\n",
    "two documents before": f"---\n---\n{splice.whole([OURS], 'c')}",
    "YAML 1.1": "%YAML 1.1\n---\n" + splice.whole([OURS], "c"),
    "YAML 1.2": "%YAML 1.2\n---\n" + splice.whole([OURS], "c"),
    "a tag's directive": "%TAG ! tag:a,2000:\n---\n" + splice.whole([OURS], "c"),
    "an unknown directive": "%OTHER a\n---\n" + splice.whole([OURS], "c"),
    "tabs": splice.whole([OURS], "c").replace("  ", "\t"),
    "a mark of byte order": "\ufeff" + splice.whole([OURS], "c"),
    "a plain yes": splice.whole([OURS], "c").replace("true", "yes"),
    "a quoted true": splice.whole([OURS], "c").replace("true", '"true"'),
    "nulls in lists": json.dumps({**HEAD, "providers": [{**OURS, "args": [None], "env": [None]}]}),
    "nulls": json.dumps({**HEAD, "providers": [{**OURS, "args": None, "env": None}]}),
    "null tokens": json.dumps({**HEAD, "providers": [{**OURS, "tokenAttributes": None}]}),
    "a null audience": splice.whole([OURS], "c").replace(f'Audience: "{AUDIENCE}"', "Audience: ~"),
}


@pytest.fixture
def bins(tmp_path: Path) -> Path:
    """A folder of providers with all programs that the configurations name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    names = (NAME, f"{NAME}-b", "acr-credential-provider", "ecr-credential-provider")
    for name in (*names, "on", "a.b", "x-1"):
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)
    (folder / "3").write_text("no program")
    return folder


def ours(minor: str, bin_dir: Path, *files: Path) -> list[str]:
    """Why we say so."""
    number = entry.minor_of(minor)
    assert number is not None

    def executable(name: str) -> bool:
        path = bin_dir / name
        return path.is_file() and bool(path.stat().st_mode & 0o111)

    reader = Reader(minor=number, gates={GATE: True}, executable=executable)
    return problems([File(str(file), file.read_bytes()) for file in files], reader)


def changed(changes: dict[str, Any], attributes: dict[str, Any], minor: str) -> dict[str, Any]:
    """An entry of ours for the minor, with other fields."""
    number = entry.minor_of(minor)
    assert number is not None
    found: dict[str, Any] = copy.deepcopy(entry.for_minor(OURS, number))
    found["tokenAttributes"].update(attributes)
    found["tokenAttributes"] = _without(found["tokenAttributes"])
    found.update(changes)
    return _without(found)


def _without(value: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if item is not None}


def _texts(minor: str) -> Iterator[tuple[str, str]]:
    """Every kind of configuration, valid or not."""
    for name, changes in CHANGES.items():
        yield name, splice_json(changed(changes, {}, minor))
    for name, attributes in ATTRIBUTES.items():
        yield name, splice_json(changed({}, attributes, minor))
    for pattern in PATTERNS:
        yield f"pattern {pattern!r}", splice_json(changed({"matchImages": [pattern]}, {}, minor))
    for name, text in FILES.items():
        yield name, _without_cache_type(text) if minor == ALPHA else text


def _without_cache_type(text: str) -> str:
    lines = [line for line in text.splitlines(keepends=True) if "cacheType:" not in line]
    return "".join(lines).replace(', "cacheType": "ServiceAccount"', "")


def splice_json(provider: dict[str, Any]) -> str:
    """A file with this one provider."""
    return json.dumps({**HEAD, "providers": [provider]})


def test_our_check_is_the_kubelets(harness: Path, minor: str, tmp_path: Path, bins: Path) -> None:
    """Of every one of these the kubelet of the minor says the same: it starts, or it does not."""
    differ = []
    for number, (name, text) in enumerate(_texts(minor)):
        file = tmp_path / f"{number}.yaml"
        file.write_bytes(text.encode())
        theirs, said = verdict(harness, minor, file, bins), ours(minor, bins, file)
        if bool(theirs) != bool(said):
            differ.append((name, theirs, said))
    assert differ == []


def test_a_folder_with_a_link_that_leads_to_no_file(
    harness: Path, minor: str, tmp_path: Path, bins: Path
) -> None:
    """The kubelet ends on it, and so we say."""
    folder = tmp_path / "config.d"
    folder.mkdir()
    (folder / "ours.yaml").write_text(FILES["JSON"])
    (tmp_path / "elsewhere").mkdir()
    for name, target in (("gone.json", "none"), ("folder.yml", "../elsewhere")):
        (folder / name).symlink_to(target)
        reader = Reader(minor=(1, 34), gates={}, executable=lambda _: True)
        said = problems(Planned(Root(tmp_path)).config("/config.d"), reader)
        assert f"/config.d/{name}: a link that leads to no file" in said
        assert verdict(harness, minor, folder, bins) != ""
        (folder / name).unlink()


@pytest.fixture
def new(tmp_path: Path, plugin: Path) -> Callable[[str], Node]:
    """Makes the files of a node of a kind."""
    return maker(tmp_path, plugin)


@pytest.mark.parametrize("kind", KINDS)
def test_the_kubelet_starts(
    harness: Path, minor: str, new: Callable[[str], Node], kind: str
) -> None:
    """On what is there before, once ours is there, with two entries, and without them again."""
    node = new(kind)
    if kind == "eks" and minor == ALPHA:
        assert b"reads no folder" in node.install(minor=minor).stderr or (
            node.install(minor=minor).code == 2
        )
        return
    for config in (CONFIG, CONFIG + SECOND):
        assert node.install(config, minor=minor).code == 0
        assert starts(harness, minor, node) == ""
    assert node.node("uninstall").code == 0
    if kind in ("k3s", "rke2"):
        assert starts(harness, minor, node) == ""


def test_reconciled(harness: Path, minor: str, new: Callable[[str], Node]) -> None:
    """Installed for another minor, then fitted to this one."""
    node = new("k3s")
    other = "1.34" if minor == ALPHA else ALPHA
    assert node.install(minor=other).code == 0
    assert starts(harness, minor, node) != ""
    assert node.node("reconcile", f"--minor={minor}").code == 0
    assert starts(harness, minor, node) == ""


def test_random_ones(harness: Path, minor: str, tmp_path: Path, bins: Path) -> None:
    """Whatever hand wrote the file: the kubelet starts with ours in it."""
    number = entry.minor_of(minor)
    assert number is not None
    file = tmp_path / "config.yaml"

    @settings(
        max_examples=100,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(configs())
    def loads(config: Config) -> None:
        file.write_bytes(config.text.encode())
        before = verdict(harness, minor, file, bins)
        assert bool(before) == bool(ours(minor, bins, file)), before
        put = splice.put(config.text, [entry.for_minor(OURS, number)])
        file.write_bytes(put.encode())
        assert verdict(harness, minor, file, bins) == before

    loads()
