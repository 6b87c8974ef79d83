"""What one exchange loads: the plugin's own files and the C modules under ssl, socket and json.

Every module costs every image pull, and the static file's interpreter has no others. So the list
is closed: a new name here is a decision, not an accident.
"""

import subprocess

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process import launch
from process.launch import PACKAGE_PARENT, Ended, credentials
from scene import ACCOUNT, AUDIENCE, request

C_MODULES = {"_json", "_socket", "_ssl", "binascii", "resource"}
PLUGIN = {
    "connect",
    "dates",
    "deadline",
    "exchange",
    "failure",
    "host",
    "http",
    "images",
    "impersonate",
    "jsonc",
    "names",
    "proxy",
    "record",
    "request",
    "response",
    "run",
    "settings",
    "text",
    "tls",
    "token",
    "value",
}
ALLOWED = {
    *C_MODULES,
    "gcp_sa_credential_provider",
    "gcp_sa_credential_provider.version",
    "gcp_sa_credential_provider.plugin",
    *(f"gcp_sa_credential_provider.plugin.{name}" for name in PLUGIN),
}

# The plugin closes stdout after the response, so the list goes to stderr, which a success leaves
# empty. What an empty program has loaded is in `before`.
PROGRAM = """
import sys
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
from gcp_sa_credential_provider.plugin.host import this_process
from gcp_sa_credential_provider.plugin.run import run
code = run(this_process())
print(*sorted(set(sys.modules) - before), file=sys.stderr, flush=True)
import posix
posix._exit(code)
"""


@pytest.mark.parametrize("version", launch.supported())
@pytest.mark.parametrize("way", ["direct", "impersonated", "through a proxy", "by a name"])
def test_an_exchange_loads_nothing_else(
    environment: dict[str, str], google: Emulator, issuer: Issuer, version: str, way: str
) -> None:
    """Under `-IS`, as the zipapp's first line starts it."""
    port = google.endpoints["sts"].rpartition(":")[2]
    environment |= {
        "direct": {},
        "impersonated": {"GCP_SERVICE_ACCOUNT": ACCOUNT},
        "through a proxy": {
            "GCP_STS_ENDPOINT": "https://sts.googleapis.com",
            "HTTPS_PROXY": google.endpoints["proxy"].replace("://", "://user:pass@"),
        },
        "by a name": {"GCP_STS_ENDPOINT": f"https://localhost:{port}"},
    }[way]
    done = subprocess.run(
        [launch.supported()[version], "-IS", "-c", PROGRAM, str(PACKAGE_PARENT)],
        input=request(issuer.token(AUDIENCE)),
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    credentials(Ended(done.returncode, done.stdout, b""))
    loaded = set(done.stderr.decode().split())
    assert loaded >= {"_ssl", "gcp_sa_credential_provider.plugin.run"}
    assert loaded - ALLOWED == set()
