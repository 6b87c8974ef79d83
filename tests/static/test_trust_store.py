"""The trust store over the file: every layout of a bundle, chains, and the bundle in the file.

A server on loopback is Google to the file: /etc/hosts of a mount namespace says so. So the store is
narrowed as it is in the field, and widened where that was wrong.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from process.launch import Launcher, credentials, refusal
from static.certificates import STS, Listener, make_key, pem, server_context, sign

Environment = dict[str, str]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mount namespace, chroot")

GOOGLE = "GTS Root of Google Trust Services LLC"
BEGIN, END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


class Scene:
    """Two authorities that have signed each other's root, an intermediate, and a server."""

    def __init__(self) -> None:
        old, new, middle, self.key = (make_key("P-256") for _ in range(4))
        self.old = sign("Old Root", old, "Old Root", old, authority=True)
        self.new = sign(GOOGLE, new, GOOGLE, new, authority=True)
        self.crossed = sign(GOOGLE, new, "Old Root", old, authority=True)
        self.middle = sign("WR2", middle, GOOGLE, new, authority=True)
        self.leaf = sign("leaf", self.key, "WR2", middle, authority=False)


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Made once: keys take their time."""
    return Scene()


@pytest.fixture(scope="module")
def others() -> list[x509.Certificate]:
    """Authorities that have nothing to do with it, more than are taken without thinking."""
    names = [f"Authority {number}" for number in range(12)]
    keys = [make_key("P-256") for _ in names]
    return [sign(n, k, n, k, authority=True) for n, k in zip(names, keys, strict=True)]


@pytest.fixture
def hosts(tmp_path: Path) -> list[str]:
    """The command under which Google's name leads to loopback."""
    path = tmp_path / "hosts"
    path.write_text(f"127.0.0.1 {STS} localhost\n")
    mount = f'mount --bind {path} /etc/hosts && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh"]


def led_to(server: Listener, folder: Path) -> Environment:
    """Google is this server, and the folder's bundle.pem the store."""
    return {
        "PATH": os.defpath,
        "GCP_STS_ENDPOINT": f"https://{STS}:{server.port}",
        "SSL_CERT_FILE": str(folder / "bundle.pem"),
    }


def _columns(bundle: bytes, width: int) -> bytes:
    lines = []
    for block in bundle.split(BEGIN)[1:]:
        text = block.partition(END)[0].replace(b"\n", b"")
        lines += [BEGIN, *(text[at : at + width] for at in range(0, len(text), width)), END, b""]
    return b"\n".join(lines)


LAYOUTS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda bundle: bundle,
    "CRLF": lambda bundle: bundle.replace(b"\n", b"\r\n"),
    "76 columns": lambda bundle: _columns(bundle, 76),
    "48 columns": lambda bundle: _columns(bundle, 48),
    "comments": lambda bundle: bundle.replace(BEGIN, b'# Label: "Google"\n\n' + BEGIN),
    "each twice": lambda bundle: bundle + bundle,
    "no newline at the end": lambda bundle: bundle.rstrip(b"\n"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout(
    layout: str,
    static_plugin: Launcher,
    environment: Environment,
    asked: bytes,
    tmp_path: Path,
    hosts: list[str],
    scene: Scene,
    others: list[x509.Certificate],
) -> None:
    """One connection: the certificate is found in the narrowed store."""
    (tmp_path / "bundle.pem").write_bytes(LAYOUTS[layout](pem(*others, scene.new)))
    context = server_context(tmp_path, scene.key, scene.leaf, scene.middle)
    with Listener(context) as server:
        environment |= led_to(server, tmp_path)
        credentials(static_plugin.run(environment, asked, wrapper=hosts))
        assert server.refused == 0


CHAINS = {
    # What the server sends behind its own certificate; what the store has; does it verify, and
    # how many connections did not.
    "root in the store": (["middle"], ["new"], True, 0),
    "cross-signed, new root in the store": (["middle", "crossed"], ["new"], True, 0),
    "cross-signed, old root in the store": (["middle", "crossed"], ["old"], True, 0),
    "cross-signed, both roots": (["middle", "crossed"], ["old", "new"], True, 0),
    "cross-signed, neither root": (["middle", "crossed"], [], False, 1),
    "only the cross-signed root in the store": (["middle"], ["crossed"], True, 0),
    "missing intermediate": ([], ["new"], False, 2),
    "missing intermediate, in the store": ([], ["middle", "new"], True, 0),
    "the intermediate alone in the store": ([], ["middle"], True, 0),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_chain(
    chain: str,
    static_plugin: Launcher,
    environment: Environment,
    asked: bytes,
    tmp_path: Path,
    hosts: list[str],
    scene: Scene,
    others: list[x509.Certificate],
) -> None:
    """As Go does it: any certificate of the store is trust enough."""
    sent, kept, verifies, refused = CHAINS[chain]
    bundle = pem(*others, *(getattr(scene, name) for name in kept))
    (tmp_path / "bundle.pem").write_bytes(bundle)
    links = [getattr(scene, name) for name in sent]
    with Listener(server_context(tmp_path, scene.key, scene.leaf, *links)) as server:
        environment |= led_to(server, tmp_path)
        ended = static_plugin.run(environment, asked, wrapper=hosts)
    if verifies:
        credentials(ended)
    else:
        assert refusal(ended) == (1, "TLS-UNTRUSTED")
    assert server.refused == refused


def test_decoy(
    static_plugin: Launcher,
    environment: Environment,
    asked: bytes,
    tmp_path: Path,
    hosts: list[str],
    scene: Scene,
    others: list[x509.Certificate],
) -> None:
    """Google's name on another's certificate: once refused, then the whole bundle is taken."""
    decoy = make_key("P-256")
    name = "Another Root of Google Trust Services"
    false = sign(name, decoy, name, decoy, authority=True)
    (tmp_path / "bundle.pem").write_bytes(pem(*others, false, scene.old))
    context = server_context(tmp_path, scene.key, scene.leaf, scene.middle, scene.crossed)
    with Listener(context) as server:
        environment |= led_to(server, tmp_path)
        credentials(static_plugin.run(environment, asked, wrapper=hosts))
        assert server.refused == 1


@pytest.mark.parametrize("content", [b"", b"\n", b"# comments only\n", BEGIN + b"\n"])
def test_empty_store(
    static_plugin: Launcher, environment: Environment, asked: bytes, tmp_path: Path, content: bytes
) -> None:
    """An error, whatever bundle is in the file."""
    (tmp_path / "bundle.pem").write_bytes(content)
    environment["SSL_CERT_FILE"] = str(tmp_path / "bundle.pem")
    assert refusal(static_plugin.run(environment, asked)) == (2, "TLS-STORE")


def _chroot(static_file: Path, tmp_path: Path) -> tuple[Path, Launcher]:
    """A system with the file and its hosts, and no certificates."""
    root = tmp_path / "root"
    (root / "etc/ssl/certs").mkdir(parents=True)
    shutil.copy(static_file, root / "plugin")
    (root / "etc/hosts").write_text(f"127.0.0.1 {STS}\n")
    chroot = shutil.which("chroot")
    assert chroot is not None
    return root, Launcher("chroot", (chroot, str(root), "/plugin"))


def test_system_without_certificates(
    static_file: Path, environment: Environment, asked: bytes, tmp_path: Path, scene: Scene
) -> None:
    """The bundle in the file is taken, narrowed and whole, and named in the line."""
    _, plugin = _chroot(static_file, tmp_path)
    del environment["SSL_CERT_FILE"]
    with Listener(server_context(tmp_path, scene.key, scene.leaf, scene.middle)) as server:
        environment["GCP_STS_ENDPOINT"] = f"https://{STS}:{server.port}"
        ended = plugin.run(environment, asked)
        assert server.refused == 2
    assert refusal(ended) == (1, "TLS-UNTRUSTED")
    assert b"(trust store: built-in bundle of 20" in ended.stderr


def test_known_place_comes_before_the_bundle_in_the_file(
    static_file: Path, environment: Environment, asked: bytes, tmp_path: Path, scene: Scene
) -> None:
    """And is trusted alone; empty, it is an error."""
    root, plugin = _chroot(static_file, tmp_path)
    del environment["SSL_CERT_FILE"]
    store = root / "etc/ssl/certs/ca-certificates.crt"
    store.write_bytes(pem(scene.new))
    with Listener(server_context(tmp_path, scene.key, scene.leaf, scene.middle)) as server:
        environment["GCP_STS_ENDPOINT"] = f"https://{STS}:{server.port}"
        credentials(plugin.run(environment, asked))
        store.write_bytes(b"")
        assert refusal(plugin.run(environment, asked)) == (2, "TLS-STORE")


def test_servers_own_name_is_checked(
    static_plugin: Launcher, environment: Environment, asked: bytes, tmp_path: Path, scene: Scene
) -> None:
    """A good chain for another name."""
    key = make_key("P-256")
    root = sign("root", key, "root", key, authority=True)
    (tmp_path / "ca.pem").write_bytes(pem(root, scene.new))
    context = server_context(tmp_path, scene.key, scene.leaf, scene.middle)
    with Listener(context) as server:
        environment |= {
            "GCP_STS_ENDPOINT": f"https://localhost:{server.port}",
            "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
        }
        assert refusal(static_plugin.run(environment, asked)) == (1, "TLS-HOSTNAME")
