"""Entries into a CredentialProviderConfig and out again: others' text stays as it is."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gcp_sa_credential_provider.node import document, splice
from gcp_sa_credential_provider.node.document import Unreadable
from gcp_sa_credential_provider.node.splice import LastOne, Unspliced
from unit.provider_configs import HEAD, OURS, SECOND, Config, configs

NAMES = (OURS["name"], SECOND["name"])
MANY = settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],  # shrinking texts as long as these takes minutes
)

SOME = settings(MANY, max_examples=100)


@pytest.fixture
def unmeasured() -> Iterator[None]:
    """Without coverage, with which the hundreds of texts take three times as long to read."""
    measuring = Coverage.current()
    if measuring:
        measuring.stop()
    yield
    if measuring:
        measuring.start()


def said(text: str) -> Any:
    # Through the cache of `splice`: reading is nearly all that these tests cost.
    return document.value(splice._read(text))


@pytest.mark.usefixtures("unmeasured")
@MANY
@given(configs())
def test_in_and_out_again(config: Config) -> None:
    """The same bytes, whoever wrote them; in between all else means what it meant."""
    assert said(config.text) == {**HEAD, "providers": config.providers}
    put = splice.put(config.text, [OURS, SECOND])
    assert said(put) == {**HEAD, "providers": [*config.providers, OURS, SECOND]}
    assert splice.put(put, [OURS, SECOND]) == put
    assert splice.cut(put, NAMES) == config.text


@pytest.mark.usefixtures("unmeasured")
@SOME
@given(configs(), st.data())
def test_foreign_edit(config: Config, data: st.DataObject) -> None:
    """What somebody adds, comments or removes while ours are there stays so."""
    put = splice.put(config.text, [OURS, SECOND])
    theirs = {**copy.deepcopy(OURS), "name": "theirs"}
    edited = splice.put(put, [theirs])
    left = [*config.providers, theirs]
    gone = data.draw(st.sampled_from([None, *config.providers]))
    if gone is not None:
        edited, left = splice.cut(edited, [gone["name"]]), [one for one in left if one != gone]
    edited = edited if document.is_json(edited) else "# theirs\n" + edited.lstrip("\ufeff")
    if edited.startswith("# theirs\n%"):
        edited = edited.removeprefix("# theirs\n")
    out = splice.cut(edited, NAMES)
    assert said(out) == {**HEAD, "providers": left}
    assert ("# theirs" in out) == ("# theirs" in edited)


@pytest.mark.usefixtures("unmeasured")
@SOME
@given(configs())
def test_another_minor(config: Config) -> None:
    """An entry that changes is replaced where it stands."""
    put = splice.put(config.text, [OURS, SECOND])
    other = copy.deepcopy(OURS)
    del other["tokenAttributes"]["cacheType"]
    changed = splice.put(put, [other])
    assert said(changed) == {**HEAD, "providers": [*config.providers, other, SECOND]}
    assert splice.cut(changed, NAMES) == config.text


@pytest.mark.parametrize(
    "text",
    [
        "providers:\r\n- name: a\r\n  args: [b]\n",
        "kind: a\nproviders:\n- name: a\r\n",
        "providers:\n- name: a\n  args: [b]\r\nkind: c\n",
        "providers: [\n {name: a,\u2028args: [b]}]",
    ],
)
def test_in_and_out_again_where_lines_end_differently(text: str) -> None:
    """As in a file that one system wrote and another added to."""
    assert splice.cut(splice.put(text, [OURS, SECOND]), NAMES) == text


def test_block_style_is_kept() -> None:
    text = """\
apiVersion: kubelet.config.k8s.io/v1 # the head
kind: CredentialProviderConfig
providers:
  # theirs
  - name: ecr
    matchImages: ["*.amazonaws.com"] # theirs too

# the end
"""
    entry = {"name": "us", "env": [{"name": "A", "value": "on"}], "args": [], "tokenAttributes": {}}
    assert splice.put(text, [entry]) == text.replace(
        "theirs too\n",
        """\
theirs too
  - name: "us"
    env:
    - name: "A"
      value: "on"
    args: []
    tokenAttributes: {}
""",
    )


def test_json_stays_json() -> None:
    text = '{\n\t"providers": [\n\t\t{"name": "a"}\n\t]\n}'
    put = splice.put(text, [{"name": "us", "args": ["é", "\x7f"]}])
    expected = '{\n\t"providers": [\n\t\t{"name": "a"},\n\t\t{\n\t\t  "name": "us",\n'
    expected += '\t\t  "args": [\n\t\t    "é",\n\t\t    "\\u007f"\n\t\t  ]\n\t\t}\n\t]\n}'
    assert put == expected


def test_a_number_that_somebody_put_into_ours() -> None:
    """It stays one, for the check of the whole to name."""
    text = "providers:\n- name: us\n  args: [20, 0x1F]\n"
    (entry,) = splice.entries(text)
    assert splice.put(text, [{**entry, "apiVersion": "v1"}]) == (
        'providers:\n- name: "us"\n  args:\n  - 20\n  - 0x1F\n  apiVersion: "v1"\n'
    )


def test_whole_file() -> None:
    text = splice.whole([OURS, SECOND], "why")
    assert text.startswith("# why\napiVersion:")
    assert said(text) == {**HEAD, "providers": [OURS, SECOND]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1, column 1: not a mapping, as a CredentialProviderConfig is"),
        ("kind: a\n", "there is no `providers`"),
        ("providers:\n", "line 1: `providers` is no list with entries"),
        ("providers: []\n", "line 1: `providers` is no list with entries"),
        ("providers: {}\n", "line 1: `providers` is no list with entries"),
        ("a: &x [{name: b}]\nproviders: *x\n", "something else in it would mean something else"),
        ("providers:\n- args:\n  - |\n    no last line break", "something else in it would mean"),
        ("providers: [\n", "not YAML"),
        ("providers:\n\t- name: a\n", "not YAML"),
        ('{"providers": [{"name": "a"},]}', "not JSON"),
        ("providers:\n- name: a\n  name: b\n", 'the key "name" is there already'),
    ],
)
def test_refused(text: str, why: str) -> None:
    with pytest.raises((Unspliced, Unreadable)) as refused:
        splice.put(text, [OURS])
    assert why in str(refused.value)


def test_a_shared_anchor_in_ours() -> None:
    """Somebody has come to depend on our entry: it cannot be cut."""
    text = "providers:\n- &u {name: us}\n- name: a\n  env: [*u]\n"
    with pytest.raises(Unspliced, match="could not be read any more"):
        splice.cut(text, ["us"])


def test_nothing_may_be_left() -> None:
    text = splice.whole([OURS], "ours")
    with pytest.raises(LastOne):
        splice.cut(text, [OURS["name"]])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("providers:\n- name: us\n- name: a", "providers:\n- name: a"),
        ("providers:\n- name: a\n- name: us", "providers:\n- name: a"),
        (
            "providers:\n- name: a\n- # why\n  name: us\nkind: b\n",
            "providers:\n- name: a\nkind: b\n",
        ),
        ("providers: [{name: us}, {name: a}]", "providers: [{name: a}]"),
        (
            "providers: [{name: a} # x,\n , # y\n {name: us}]",
            "providers: [{name: a} # x,\n  # y\n ]",
        ),
        ("providers: [ {name: us} , {name: us}, {name: a}]", "providers: [  {name: a}]"),
    ],
)
def test_cut_wherever_it_is(text: str, left: str) -> None:
    """Also where others have moved it."""
    assert splice.cut(text, ["us"]) == left


def test_cut_of_what_begins_no_line() -> None:
    with pytest.raises(Unspliced, match="does not begin a line of its own"):
        splice.cut("? providers\n: - name: us\n  - name: a\n", ["us"])
