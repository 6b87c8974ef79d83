"""What is remembered on a node, and the way back from what was done there."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node import change, splice, undo
from gcp_sa_credential_provider.node.change import Link, Remove, Was, Write
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.state import (
    CONFIG,
    FLAGS,
    FOLDER,
    PROGRAM,
    PROVIDER,
    Busy,
    Change,
    File,
    Installed,
    State,
    Store,
    finished,
)
from gcp_sa_credential_provider.node.undo import Back, Entangled
from unit.provider_configs import OURS

NAMES = {OURS["name"]: ""}
OTHER = {**OURS, "name": "other"}


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A host with nothing of ours."""
    (tmp_path / "var/lib").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    return Root(tmp_path)


@pytest.fixture
def store(root: Root) -> Store:
    """Its memory."""
    return Store(root)


def done(root: Root, store: Store, path: str, content: bytes, role: str) -> File:
    """A file that we have written, and what was there before."""
    before = change.now(root, path)
    store.keep(root.read(path))
    store.keep(content)
    edit = Write(path, content)
    after = change.after(root, edit)
    change.do(root, edit)
    file = File(path=path, role=role, before=before, after=after)
    store.save(remembered(file))
    return file


def remembered(*files: File) -> State:
    """A state with these files."""
    installed = Installed(
        version="1",
        profile="kubelet",
        given="/etc/config",
        directory=False,
        config="/etc/config",
        bin_dir="/bin",
        units=("kubelet.service",),
        server=False,
        version_of=("kubelet", "--version"),
        minor=(1, 34),
        cache_types=NAMES,
        files=files,
        folders=("/etc/x",),
    )
    last = Change(
        command="install",
        finished=False,
        files=files,
        folders=("/etc/x",),
        previous=replace(installed, version="0"),
        restarted=False,
        kubelet="boot 1",
    )
    return State(installed, last)


def test_remembered_as_it_was(root: Root, store: Store) -> None:
    file = done(root, store, "/etc/config", b"1", CONFIG)
    assert store.load() == remembered(file)
    assert (root.path / FOLDER[1:]).stat().st_mode & 0o777 == 0o700
    assert (root.path / FOLDER[1:] / "state.json").stat().st_mode & 0o777 == 0o600


def test_nothing_remembered(store: Store) -> None:
    assert store.load() == State()
    assert finished(State(), restarted=True) == State()


def test_finished(root: Root) -> None:
    state = finished(remembered(), restarted=True)
    assert state.change is not None
    assert (state.change.finished, state.change.restarted) == (True, True)


def test_saving_the_same_writes_nothing(root: Root, store: Store) -> None:
    done(root, store, "/etc/config", b"1", CONFIG)
    file = root.path / FOLDER[1:] / "state.json"
    before = file.stat().st_ino
    store.save(store.load())
    assert file.stat().st_ino == before


def test_former_bytes(root: Root, store: Store) -> None:
    """They are there for as long as the state names them."""
    root.write("/etc/config", b"before", 0o644)
    file = done(root, store, "/etc/config", b"after", CONFIG)
    assert store.former(file.before) == b"before"
    with pytest.raises(Failed, match="not there, or damaged"):
        store.former(file.after)
    flags = done(root, store, "/etc/flags", b"flags", FLAGS)
    assert store.former(flags.after) == b"flags"
    with pytest.raises(Failed, match="not there, or damaged"):
        store.former(file.before)


def test_damaged_former_bytes(root: Root, store: Store) -> None:
    root.write("/etc/config", b"before", 0o644)
    file = done(root, store, "/etc/config", b"after", CONFIG)
    root.write(f"{FOLDER}/former/{file.before.sha256}", b"other", 0o600)
    with pytest.raises(Failed, match="not there, or damaged"):
        store.former(file.before)


def test_forgotten(root: Root, store: Store) -> None:
    """All of it, also what a killed process left."""
    done(root, store, "/etc/config", b"1", CONFIG)
    store.keep_program(b"#!")
    store.keep_program(b"#!")
    assert root.read(PROGRAM) == b"#!"
    (root.path / FOLDER[1:] / ".left").write_text("")
    store.forget()
    assert root.listdir("/var/lib") == []
    store.forget()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not readable"),
        ("[]", "not readable"),
        ('{"version": 2}', "version 2, and this program knows 1"),
        ('{"version": 1, "installed": null}', "not readable"),
        ('{"version": 1, "installed": {}, "change": null}', "not readable"),
        ('{"version": 1, "installed": null, "change": {"files": [1]}}', "not readable"),
    ],
)
def test_unreadable(root: Root, store: Store, text: str, why: str) -> None:
    root.mkdir(FOLDER)
    root.write(f"{FOLDER}/state.json", text.encode(), 0o600)
    with pytest.raises(Refused, match=why):
        store.load()


def test_no_value_is_remembered(root: Root, store: Store) -> None:
    """Of a configuration only names and digests."""
    done(root, store, "/etc/config", splice.whole([OURS], "c").encode(), CONFIG)
    told = json.loads(root.read(f"{FOLDER}/state.json") or b"")
    assert "GCP_AUDIENCE" not in json.dumps(told)


def test_locked(store: Store) -> None:
    second = Store(store.root).locked()
    with store.locked(), pytest.raises(Busy, match="another `node` command"), second:
        pass
    with store.locked(wait=True):
        pass


# The way back.


def test_back_to_nothing(root: Root, store: Store) -> None:
    file = done(root, store, "/etc/flags", b"ours\n", FLAGS)
    assert undo.careful(root, store, file, NAMES) == Back(Remove("/etc/flags"))
    assert undo.exact(root, store, file) == Remove("/etc/flags")
    root.remove("/etc/flags")
    assert undo.careful(root, store, file, NAMES) == Back(None)
    assert undo.exact(root, store, file) is None


def test_back_to_what_was(root: Root, store: Store) -> None:
    root.write("/etc/flags", b"theirs\n", 0o640)
    file = done(root, store, "/etc/flags", b"ours\n", FLAGS)
    expected = Write("/etc/flags", b"theirs\n", 0o640)
    assert undo.careful(root, store, file, NAMES) == Back(expected)
    root.remove("/etc/flags")
    assert undo.careful(root, store, file, NAMES) == Back(expected)


def test_back_to_a_link(root: Root, store: Store) -> None:
    file = File(
        path="/etc/l", role=PROVIDER, before=Was(link="a"), after=Was(change.digest(b""), 0o755)
    )
    assert undo.careful(root, store, file, NAMES) == Back(Link("/etc/l", "a"))


@pytest.mark.parametrize(
    ("before", "ours", "now", "left"),
    [
        (b"a\nb\n", b"a\nX\nb\n", b"a\nX\nb\nc\n", b"a\nb\nc\n"),
        (b"a\nb\n", b"a\nX\nY\nb\n", b"0\na\nX\nY\nb\n", b"0\na\nb\n"),
        (b"a\nb\n", b"A\nb\n", b"A\nc\n", b"a\nc\n"),
        (b"a\nb\nc\n", b"a\nc\n", b"a\nc\nd\n", b"a\nb\nc\nd\n"),
        (b"", b"X\n", b"X\nc\n", b"c\n"),
    ],
)
def test_lines_of_others(
    root: Root, store: Store, before: bytes, ours: bytes, now: bytes, left: bytes
) -> None:
    """What we put goes, what they put stays."""
    root.write("/etc/flags", before, 0o644)
    file = done(root, store, "/etc/flags", ours, FLAGS)
    root.write("/etc/flags", now, 0o644)
    assert undo.careful(root, store, file, ()) == Back(Write("/etc/flags", left))


def test_a_file_of_ours_with_their_lines(root: Root, store: Store) -> None:
    file = done(root, store, "/etc/flags", b"ours\n", FLAGS)
    root.write("/etc/flags", b"ours\ntheirs\n", 0o644)
    assert undo.careful(root, store, file, ()) == Back(Write("/etc/flags", b"theirs\n"))
    root.write("/etc/flags", b"theirs\n", 0o644)
    assert undo.careful(root, store, file, ()) == Back(None)
    ours = b"--image-credential-provider-config=/credential-providers/a"
    file = done(root, store, "/etc/flags", ours + b" --v=1\n", FLAGS)
    root.write("/etc/flags", ours + b" --v=2\n", 0o644)
    with pytest.raises(Entangled, match="/etc/flags: somebody has edited what was put there"):
        undo.careful(root, store, file, ())
    root.write("/etc/flags", b"x" * (1 << 21), 0o644)
    with pytest.raises(Entangled, match="more than a file of settings has"):
        undo.careful(root, store, file, ())


def test_entries_of_others(root: Root, store: Store) -> None:
    """Ours is cut; a file that was ours alone goes, one that others use by now stays."""
    file = done(root, store, "/etc/config", splice.whole([OURS], "c").encode(), CONFIG)
    assert undo.without_entries(root, file, NAMES) == Back(Remove("/etc/config"))
    root.write("/etc/config", splice.whole([OURS, OTHER], "d").encode(), 0o644)
    left = Write("/etc/config", splice.whole([OTHER], "d").encode())
    assert undo.without_entries(root, file, NAMES) == Back(left, stays=True)
    assert undo.careful(root, store, file, NAMES) == Back(left, stays=True)
    root.remove("/etc/config")
    assert undo.without_entries(root, file, NAMES) == Back(None)


def test_an_entry_that_was_there_before(root: Root, store: Store) -> None:
    """Going back brings it back, past what others did; taking off takes it off."""
    older = {**OURS, "matchImages": ["gcr.io"]}
    root.write("/etc/config", splice.whole([OTHER, older], "c").encode(), 0o644)
    file = done(root, store, "/etc/config", splice.whole([OTHER, OURS], "c").encode(), CONFIG)
    root.write("/etc/config", splice.whole([OTHER, OURS], "edited").encode(), 0o644)
    back = splice.whole([OTHER, older], "edited").encode()
    assert undo.careful(root, store, file, NAMES) == Back(Write("/etc/config", back))
    off = splice.whole([OTHER], "edited").encode()
    assert undo.without_entries(root, file, NAMES) == Back(Write("/etc/config", off))


def test_a_file_that_would_be_empty(root: Root, store: Store) -> None:
    """It was others' before: it cannot go, and the kubelet would not start on an empty one."""
    root.write("/etc/config", splice.whole([OURS], "c").encode(), 0o644)
    file = done(root, store, "/etc/config", splice.whole([OURS], "d").encode(), CONFIG)
    with pytest.raises(Entangled, match="no provider would be left"):
        undo.without_entries(root, file, NAMES)
    root.write("/etc/config", b"[", 0o644)
    with pytest.raises(Entangled, match="not YAML"):
        undo.without_entries(root, file, NAMES)


def test_a_former_file_that_nobody_understands(root: Root, store: Store) -> None:
    root.write("/etc/config", b"[", 0o644)
    file = done(root, store, "/etc/config", splice.whole([OTHER, OURS], "c").encode(), CONFIG)
    root.write("/etc/config", splice.whole([OTHER, OURS], "d").encode(), 0o644)
    left = Write("/etc/config", splice.whole([OTHER], "d").encode())
    assert undo.careful(root, store, file, NAMES) == Back(left)
