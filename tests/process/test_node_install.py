"""`node install` and `uninstall` over the files of nodes, as a process."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from process import node_tree
from process.launch import Ended, Launcher
from process.node_tree import CONFIG, FOREIGN, KINDS, NAME, SECOND, Node, photograph

STATE = "/var/lib/gcp-sa-credential-provider"
PASSWORD = "pass-9f3b1c"


@pytest.fixture(params=KINDS)
def node(request: pytest.FixtureRequest, tmp_path: Path, plugin: Launcher) -> Node:
    """A node of each kind."""
    return node_tree.make(request.param, tmp_path, plugin)


@pytest.fixture
def k3s(tmp_path: Path, plugin: Launcher) -> Node:
    """One with a configuration of its own."""
    return node_tree.make("k3s", tmp_path, plugin)


@pytest.fixture
def plain(tmp_path: Path, plugin: Launcher) -> Node:
    """One whose kubelet has no provider yet."""
    return node_tree.make("kubelet", tmp_path, plugin)


def well(ended: Ended) -> list[str]:
    """The lines of a command that ended well."""
    assert (ended.code, ended.stderr) == (0, b"")
    return ended.stdout.decode().splitlines()


def refused(ended: Ended, *words: str) -> None:
    """A refusal: exit 2, nothing on stdout, one line with these words and a fix."""
    text = ended.stderr.decode()
    assert ended.code == 2, text
    assert ended.stdout == b""
    assert text.startswith("gcp-sa-credential-provider node ")
    assert " Fix: " in text
    for word in words:
        assert word in text


def test_in_and_out(node: Node) -> None:
    """Everything is there; then nothing is, and all bytes and modes are as they were."""
    before = photograph(node.root)
    well(node.install())
    program = node.path(f"{node.bin_dir}/{NAME}")
    assert os.access(program, os.X_OK)
    given = node.path(node.given)
    config = (given / f"50-{NAME}.yaml" if given.is_dir() else given).read_text()
    assert f'"{NAME}"' in config
    assert '"Token"' in config
    assert f"{program.name} node reconcile" in "".join(
        path.read_text() for path in node.root.rglob("60-*.conf")
    )
    assert well(node.node("status"))[0] == "installed: 0.1.0"
    well(node.node("uninstall"))
    assert photograph(node.root) == before


def test_again_changes_nothing(node: Node) -> None:
    well(node.install())
    before = photograph(node.root, exactly=True)
    assert well(node.install()) == ["all is there already; nothing is changed"]
    assert photograph(node.root, exactly=True) == before


def test_dry_run_shows_it(node: Node) -> None:
    before = photograph(node.root, exactly=True)
    lines = well(node.install(CONFIG, "--dry-run"))
    assert lines[-1] == "nothing is changed (--dry-run)"
    assert [line for line in lines if line.startswith("+") and "GCP_AUDIENCE" in line]
    assert photograph(node.root, exactly=True) == before
    well(node.install())
    before = photograph(node.root, exactly=True)
    lines = well(node.node("uninstall", "--dry-run"))
    assert [line for line in lines if line.startswith("-") and "GCP_AUDIENCE" in line]
    assert photograph(node.root, exactly=True) == before


def test_rollback(node: Node) -> None:
    """Behind a first installation, and behind a later change."""
    before = photograph(node.root)
    well(node.install())
    well(node.node("rollback"))
    assert photograph(node.root) == before
    well(node.install())
    first = photograph(node.root)
    well(node.install(CONFIG.replace(": Token", ": ServiceAccount")))
    assert photograph(node.root) != first
    well(node.node("rollback"))
    files = {path: seen for path, seen in photograph(node.root).items() if "state.json" not in path}
    expected = {path: seen for path, seen in first.items() if path in files}
    assert {path: seen for path, seen in files.items() if path in expected} == expected
    well(node.node("uninstall"))
    assert photograph(node.root) == before


def test_nothing_to_roll_back(plain: Node) -> None:
    refused(plain.node("rollback"), "no change is remembered")


def test_others_edits_stay(k3s: Node) -> None:
    """Comments, another entry, an edit of theirs: all but ours is there afterwards."""
    well(k3s.install())
    config = k3s.path(k3s.given)
    there = config.read_text()
    edited = there.replace("12h", "6h").replace("# the end", "# the end, really")
    edited += "# one more line\n"
    config.write_text(edited)
    well(k3s.node("uninstall"))
    expected = KINDS["k3s"][k3s.given].decode().replace("12h", "6h")
    assert config.read_text() == expected.replace("# the end", "# the end, really") + (
        "# one more line\n"
    )


def test_the_entry_of_a_program_that_we_replace(k3s: Node) -> None:
    """One that we take the name of, the only one there: it is back afterwards, with its program."""
    former = (
        "# of somebody else\n"
        "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n"
        f"- name: {NAME}\n  apiVersion: {node_tree.API}\n  matchImages: ['*-docker.pkg.dev']\n"
        "  defaultCacheDuration: 4m\n  env: [{name: GCP_AUDIENCE, value: former}]\n"
        "  tokenAttributes: {requireServiceAccount: true, cacheType: Token,"
        " serviceAccountTokenAudience: former}\n"
    )
    config, program = k3s.path(k3s.given), k3s.path(f"{k3s.bin_dir}/{NAME}")
    config.write_text(former)
    program.write_bytes(FOREIGN)
    program.chmod(0o755)
    well(k3s.install())
    assert "former" not in config.read_text()
    config.write_text(config.read_text() + "# one more line\n")
    assert f"{config}: the entry {NAME} that was there before is back" in [
        line.replace(k3s.given, str(config)) for line in well(k3s.node("uninstall"))
    ]
    left = config.read_text()
    assert yaml.safe_load(left) == yaml.safe_load(former)
    assert left.startswith("# of somebody else\n")
    assert left.endswith("# one more line\n")
    assert program.read_bytes() == FOREIGN
    assert well(k3s.node("status")) == ["not installed"]


def test_a_file_that_others_have_come_to_use(plain: Node) -> None:
    """It was ours, but stays with their entry; and so do the flags that it takes."""
    well(plain.install())
    config = plain.path(plain.given)
    other = "- {name: theirs, matchImages: [a.dev], defaultCacheDuration: 1h, apiVersion: "
    other += f"{node_tree.API}}}\n"
    config.write_text(config.read_text() + other)
    plain.path(f"{plain.bin_dir}/theirs").write_bytes(FOREIGN)
    plain.path(f"{plain.bin_dir}/theirs").chmod(0o755)
    well(plain.node("uninstall"))
    assert config.read_text().endswith("providers:\n" + other)
    assert plain.path(
        "/etc/systemd/system/kubelet.service.d/50-gcp-sa-credential-provider.conf"
    ).exists()
    assert not plain.path(f"{plain.bin_dir}/{NAME}").exists()
    assert not list(plain.root.rglob("60-*.conf"))  # which runs it


def test_arguments_that_others_have_edited(tmp_path: Path, plugin: Launcher) -> None:
    """Our lines go, theirs stay."""
    node = node_tree.make("microk8s", tmp_path, plugin)
    well(node.install())
    arguments = node.path("/var/snap/microk8s/current/args/kubelet")
    arguments.write_text("--v=4\n" + arguments.read_text() + "--theirs\n")
    well(node.node("uninstall"))
    before = KINDS["microk8s"]["/var/snap/microk8s/current/args/kubelet"].decode()
    assert arguments.read_text() == f"--v=4\n{before}--theirs\n"


def test_two_audiences(k3s: Node) -> None:
    """Two entries, one program under two names; then one of them goes."""
    before = photograph(k3s.root)
    well(k3s.install(CONFIG + SECOND))
    link = k3s.path(f"{k3s.bin_dir}/{NAME}-b")
    assert os.readlink(link) == NAME
    assert json.loads(k3s.node("status", "--json").stdout)["names"] == [NAME, f"{NAME}-b"]
    well(k3s.install())
    assert not link.is_symlink()
    assert f"{NAME}-b" not in k3s.read(k3s.given)
    well(k3s.node("uninstall"))
    assert photograph(k3s.root) == before


def test_a_symlinked_file(k3s: Node) -> None:
    """What the link leads to is written, by the links of the node's own tree."""
    config, real = k3s.path(k3s.given), k3s.path("/srv/real.yaml")
    real.parent.mkdir()
    config.rename(real)
    config.symlink_to("/srv/real.yaml")
    before = photograph(k3s.root)
    well(k3s.install())
    assert os.readlink(config) == "/srv/real.yaml"
    assert NAME in real.read_text()
    well(k3s.node("uninstall"))
    assert photograph(k3s.root) == before


def test_between_minors(node: Node) -> None:
    """`reconcile` takes cacheType out for 1.33, and puts what it was in again for 1.34."""
    before = photograph(node.root)
    well(node.install())
    config = next(path for path in node.root.rglob("*.yaml") if "GCP_AUDIENCE" in path.read_text())
    at_first = config.read_bytes()
    assert well(node.node("reconcile", "--minor=1.37")) == ["the entries fit; nothing is changed"]
    if node.kind == "eks":
        refused(node.node("reconcile", "--minor=1.33"), "cannot read", node.given)
        return
    well(node.node("reconcile", "--minor=1.33"))
    assert "cacheType" not in config.read_text()
    well(node.node("reconcile", "--minor=v1.34.2+k3s1"))
    assert config.read_bytes() == at_first
    well(node.node("uninstall"))
    assert photograph(node.root) == before


def test_reconcile_where_nothing_is(plain: Node) -> None:
    told = well(plain.node("reconcile", "--minor=1.33"))
    assert told == ["nothing is installed here; nothing is changed"]


def test_uninstall_where_nothing_is(plain: Node) -> None:
    before = photograph(plain.root)
    assert "nothing is installed here" in well(plain.node("uninstall"))[0]
    assert photograph(plain.root) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("providers: [\n", "not YAML"),
        ("{", "not JSON"),
        ("providers: []\n", "no list with entries"),
        ("a\ufffeb", "not allowed in YAML"),
        (CONFIG.replace(NAME, "theirs") + "unknown: 1\n", "the field 'unknown' is unknown"),
        (CONFIG.replace(NAME, "absent"), "no program 'absent'"),
        (
            CONFIG.replace("cacheType: Token", "cacheType: Never"),
            "not one of ServiceAccount, Token",
        ),
    ],
)
def test_an_invalid_file(k3s: Node, text: str, words: str) -> None:
    """The kubelet would not start on it: refused, and nothing is changed."""
    k3s.path(k3s.given).write_text(text.replace(NAME, "ecr-credential-provider"))
    before = photograph(k3s.root, exactly=True)
    refused(k3s.install(), words, k3s.given)
    assert photograph(k3s.root, exactly=True) == before


def test_not_utf8(k3s: Node) -> None:
    k3s.path(k3s.given).write_bytes(b"kind: a\n# \xff\n")
    before = photograph(k3s.root, exactly=True)
    refused(k3s.install(), "line 2, column 3: not UTF-8")
    assert photograph(k3s.root, exactly=True) == before


@pytest.mark.parametrize(
    ("config", "minor", "words"),
    [
        ("kind: a\n", "1.34", "there is no `providers`"),
        (
            CONFIG.replace(NAME, "b").replace("GCP_", "X_"),
            "1.34",
            "none of its 1 providers is ours",
        ),
        (CONFIG + SECOND.replace(f"{NAME}-b", NAME), "1.34", "stands twice"),
        (CONFIG.replace(f"name: {NAME}", "name: a/b"), "1.34", "cannot be a program's"),
        (CONFIG.replace("gcr.io,", "'a b',"), "1.34", "its host holds a character"),
        (CONFIG, "1.32", "hands no token of a pod to a provider"),
    ],
)
def test_a_wrong_wish(plain: Node, config: str, minor: str, words: str) -> None:
    before = photograph(plain.root, exactly=True)
    refused(plain.install(config, minor=minor), words)
    assert photograph(plain.root, exactly=True) == before


def test_gate_of_1_33(k3s: Node) -> None:
    """Off by default; the flag that turns it on comes and goes with ours."""
    before = photograph(k3s.root)
    ended = k3s.install(minor="1.33")
    well(ended)
    assert "cacheType" not in k3s.read(k3s.given)
    flags = k3s.path("/etc/rancher/k3s/config.yaml.d/50-gcp-sa-credential-provider.yaml")
    assert "KubeletServiceAccountTokenForCredentialProviders=true" in flags.read_text()
    well(k3s.node("uninstall"))
    assert photograph(k3s.root) == before


def test_strangers_are_left_alone(k3s: Node) -> None:
    """A name of ours that leads elsewhere, or a program under the name of our second entry."""
    program = k3s.path(f"{k3s.bin_dir}/{NAME}")
    program.symlink_to("ecr-credential-provider")
    before = photograph(k3s.root, exactly=True)
    refused(k3s.install(), "is a link to ecr-credential-provider, not ours")
    program.unlink()
    second = k3s.path(f"{k3s.bin_dir}/{NAME}-b")
    second.write_bytes(FOREIGN)
    refused(k3s.install(CONFIG + SECOND), f"{NAME}-b: is a file, not ours")
    second.unlink()
    program.symlink_to("ecr-credential-provider")
    assert photograph(k3s.root).keys() == before.keys()


def test_a_read_only_folder(k3s: Node) -> None:
    """Known before anything is touched."""
    folder = k3s.path(k3s.given).parent
    before = photograph(k3s.root, exactly=True)
    if os.geteuid():
        folder.chmod(0o555)
        ended = k3s.install()
        folder.chmod(0o755)
    else:
        mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
        words = ("unshare", "--mount", "sh", "-c", mount, str(folder))
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
            pytest.skip("needs a mount namespace (unshare --mount)")
        ended = k3s.node("install", *k3s.install_words(), wrapper=words)
    refused(ended, "read-only")
    assert photograph(k3s.root, exactly=True) == before


def test_secrets_stay_out(k3s: Node) -> None:
    """A proxy's password is in the configuration alone: in no output, and not in what is kept."""
    proxy = f"\n  - name: HTTPS_PROXY\n    value: http://user:{PASSWORD}@proxy:3128\n  tokenAttr"
    config = CONFIG.replace("\n  tokenAttr", proxy)
    shown = k3s.install(config, "--dry-run")
    done = k3s.install(config)
    told = [shown, done, k3s.node("status", "--json"), k3s.node("uninstall", "--dry-run")]
    for ended in told:
        well(ended)
        assert PASSWORD.encode() not in ended.stdout + ended.stderr
    assert b"HTTPS_PROXY" in shown.stdout
    assert b"value: ***\n" in shown.stdout
    assert PASSWORD in k3s.read(k3s.given)
    assert PASSWORD not in k3s.read(f"{STATE}/state.json")
    assert k3s.path(STATE).stat().st_mode & 0o077 == 0


def test_a_new_configuration_is_for_root_alone(plain: Node) -> None:
    """An entry may have a proxy's password."""
    well(plain.install())
    assert plain.path(plain.given).stat().st_mode & 0o777 == 0o600


def test_status_says_what_is_wrong(k3s: Node) -> None:
    assert well(k3s.node("status")) == ["not installed"]
    well(k3s.install())
    config = k3s.path(k3s.given)
    config.write_bytes(KINDS["k3s"][k3s.given])
    k3s.path(f"{k3s.bin_dir}/ecr-credential-provider").unlink()
    ended = k3s.node("status", "--json")
    assert ended.code == 1
    problems = json.loads(ended.stdout)["problems"]
    assert problems[0] == f"{k3s.given}: the entry {NAME} is gone"
    assert "no program 'ecr-credential-provider'" in problems[1]
    lines = k3s.node("status").stdout.decode().splitlines()
    assert lines[-2] == f"problem: {problems[0]}"


@pytest.mark.parametrize("text", ["{", '{"version": 9}', '{"version": 1}', "[]"])
def test_an_unreadable_memory(plain: Node, text: str) -> None:
    folder = plain.path(STATE)
    folder.mkdir()
    (folder / "state.json").write_text(text)
    before = photograph(plain.root, exactly=True)
    for command in ("status", "uninstall", "rollback"):
        refused(plain.node(command), "state.json")
    assert photograph(plain.root, exactly=True) == before


def test_wrong_usage(plain: Node, tmp_path: Path) -> None:
    refused(plain.node("install", "--config=/nowhere"), "/nowhere: No such file")
    ended = plain.plugin.run({}, arguments=["node"])
    assert (ended.code, ended.stdout) == (2, b"")
    assert b"usage: gcp-sa-credential-provider node" in ended.stderr
    ended = plain.plugin.run({}, arguments=["node", "status", f"--root={tmp_path}/none"])
    refused(ended, "is no folder")
    ended = plain.plugin.run({}, arguments=["node", "reconcile", "--minor=34"])
    assert ended.code == 2
    assert b"'34' is no minor such as 1.34" in ended.stderr
    told = tmp_path / "text"
    told.write_text("no program")
    config = plain.install_words()[0]
    refused(plain.node("install", config, f"--program={told}"), "is no program")
    if plain.plugin.name != "given":
        refused(plain.node("install", config), "this is not the static file")
    refused(plain.node("install", config, f"--program={_script(tmp_path)}"), "give --minor 1.NN")


def _script(folder: Path) -> Path:
    path = folder / "script"
    path.write_bytes(node_tree.SCRIPT)
    return path


def test_two_at_once(plain: Node) -> None:
    """The second is refused while the first is at work."""
    holder = ["flock", str(plain.path("/var/lib")), *plain.plugin.command]
    words = ["node", "install", f"--root={plain.root}", *plain.install_words()]
    ended = plain.plugin.run({}, arguments=words, wrapper=holder[:2])
    refused(ended, "another `node` command is at work here")
    waiting = plain.node("reconcile", "--minor=1.34", wrapper=holder[:2])
    assert well(waiting) == ["another command is changing this node; nothing is changed"]
