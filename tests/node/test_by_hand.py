"""The commands of docs/install.md, "By hand", on a host with systemd."""

import shutil
import sys
from pathlib import Path

from node.machine import Machine

ROOT = Path(__file__).parents[2]
DROP_IN = "/etc/systemd/system/kubelet.service.d/50-gcp-sa-credential-provider.conf"


def blocks() -> list[str]:
    """The indented blocks of that section, as they stand."""
    section = (ROOT / "docs/install.md").read_text().partition("\n## By hand\n")[2]
    section = section.partition("\n## ")[0]
    found = [""]
    for line in section.splitlines():
        if line.startswith("    "):
            found[-1] += f"{line[4:]}\n"
        elif found[-1]:
            found.append("")
    return [block for block in found if block]


def test_by_hand(host: Machine) -> None:
    files, once, selinux, drop_in, restart = blocks()
    assert selinux.startswith("semanage fcontext --add --type bin_t ")
    host.unit("kubelet.service", "[Service]\nExecStart=/opt/bin/kubelet $KUBELET_EXTRA_ARGS\n")
    folder = host.host.folder / "given"
    folder.mkdir()
    program = folder / "gcp-sa-credential-provider-VERSION-linux-amd64"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT / 'src')!r})\n"
        "from gcp_sa_credential_provider.__main__ import main\nmain()\n"
    )
    (folder / "credential-provider-config.yaml").write_text("kind: CredentialProviderConfig\n")
    with host.booted("kubelet.service"):
        assert host.told() == "started"
        host.host.run("sh", "-ec", f"cd {folder}\n{files}")
        said = host.host.run(
            "sh", "-c", f"{once.rstrip()} 2>&1; code=$?; echo; echo ended with $code"
        )
        host.has(DROP_IN).parent.mkdir()
        host.has(DROP_IN).write_text(drop_in)
        host.host.run("sh", "-ec", restart)
        assert host.told() == (
            "started"
            " --image-credential-provider-config=/etc/kubernetes/credential-providers/config.yaml"
            " --image-credential-provider-bin-dir=/opt/credential-providers/bin"
        )
        assert "[REQUEST-NO-TOKEN]" in said
        assert said.endswith("\nended with 2\n")
        # And back.
        host.has(DROP_IN).unlink()
        host.host.run("sh", "-ec", restart)
        assert host.told() == "started"
        shutil.rmtree(host.has("/opt/credential-providers"))
