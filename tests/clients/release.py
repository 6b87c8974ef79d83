"""A release of the chart on a real API server, and its containers' processes without a kubelet.

    with release.container("agent-workers", "node-1") as agent:
        agent.until("has a slot")
        agent.let_go()

A container here is the program with the arguments and variables of its rendered pod, and with a
token that the API server made for that pod: what it may do is what the chart's RBAC lets it. In
place of the program that changes the node there is one that writes down what it was called with,
and ends when it is let go.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from clients.charts import CHART, NAMESPACE, RELEASE, helm
from gcp_sa_credential_provider.node.api import Api
from kubelet.control_plane import ControlPlane

Object = dict[str, Any]
APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
CORE = f"/api/v1/namespaces/{NAMESPACE}"

# What a pod has in its own mount namespace. $0 is the folder of its ServiceAccount.
_MOUNTED = (
    "mount -t tmpfs tmpfs /run && mkdir -p /run/agent /run/secrets/kubernetes.io &&"
    ' ln -s "$0" /run/secrets/kubernetes.io/serviceaccount && exec "$@"'
)
# The one door, with another program to change the node.
_DOOR = (
    "import sys; sys.executable = sys.argv.pop(1);"
    " from gcp_sa_credential_provider.__main__ import main; main()"
)


@dataclass
class Container:
    """A running container; at the end of its context it is killed if it still runs."""

    process: subprocess.Popen[str]
    api: Api
    """The API server, as this pod."""
    go: Path
    heard: list[str] = field(default_factory=list)
    """Its log so far, as far as it was read."""

    def until(self, text: str) -> None:
        """Read its log until a line has this text."""
        assert self.process.stderr
        for line in self.process.stderr:
            self.heard.append(line)
            if text in line:
                return
        raise AssertionError(f"it ended without {text!r}:\n{''.join(self.heard)}")

    def let_go(self, code: int = 0) -> None:
        """Let the change that is under way, or the next, end with this exit code."""
        self.go.write_text(f"{code}\n")

    def ends(self) -> int:
        """Wait for its end; returns the exit code."""
        _, rest = self.process.communicate()
        self.heard.append(rest)
        return self.process.returncode

    def is_ready(self) -> bool:
        """Whether its start-up probe would say so."""
        return Path(f"/proc/{self.process.pid}/root/run/agent/ready").exists()

    def kill(self) -> None:
        """As a container is killed: with all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.process.wait()
        assert self.process.stderr
        self.process.stderr.close()


@dataclass
class Release:
    """The release `RELEASE` in the namespace `NAMESPACE`."""

    plane: ControlPlane
    folder: Path

    def __post_init__(self) -> None:
        self.log = self.folder / "changes"
        self.log.touch()
        self._recorder = self.folder / "recorder"
        self._recorder.write_text(
            "#!/bin/sh\n"
            f'echo "$NODE begins: $*" >>{self.log}\n'
            f'read -r code <{self.folder}/go-"$NODE"\n'
            f'echo "$NODE ends" >>{self.log}\n'
            'exit "$code"\n'
        )
        self._recorder.chmod(0o755)

    def helm(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Helm as the cluster's administrator; as `charts.helm`."""
        environment = {"KUBECONFIG": str(self.plane.folder / "admin.kubeconfig")}
        where = f"--namespace={NAMESPACE}"
        return helm(*arguments, where, check=check, environment=environment)

    def install(self, values: Path, *arguments: str) -> None:
        """`helm upgrade --install`."""
        options = ["--install", "--create-namespace", f"--values={values}", *arguments]
        self.helm("upgrade", RELEASE, CHART, *options)

    @property
    def changes(self) -> list[str]:
        """What was done to nodes, in order."""
        return self.log.read_text().splitlines()

    def get(self, path: str) -> Object:
        """An object by its path."""
        found: Object = json.loads(self.plane.read(path))
        return found

    def patch(self, path: str, body: Object) -> Object:
        """Merge into an object, as the administrator."""
        with self.plane.call(
            path, method="PATCH", body=json.dumps(body).encode(), kind="merge-patch+json"
        ) as answer:
            changed: Object = json.load(answer)
        return changed

    def rolled_out(self, name: str, wanted: int, ready: int) -> None:
        """Say of a DaemonSet what its controller would."""
        now = self.get(f"{APPS}/{name}")
        status = {
            "observedGeneration": now["metadata"]["generation"],
            "desiredNumberScheduled": wanted,
            "updatedNumberScheduled": wanted,
            "currentNumberScheduled": wanted,
            "numberMisscheduled": 0,
            "numberReady": ready,
            "numberAvailable": ready,
        }
        self.patch(f"{APPS}/{name}/status", {"status": status})

    def complete(self, job: str) -> None:
        """Say of a Job what its controller would."""
        at = "2026-11-26T00:00:00Z"
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": at, "lastProbeTime": at}
            for kind in ("SuccessCriteriaMet", "Complete")
        ]
        status = {"startTime": at, "completionTime": at, "succeeded": 1, "conditions": conditions}
        self.patch(f"{JOBS}/{job}/status", {"status": status})

    def mode(self, daemon_set: str) -> str:
        """What a DaemonSet's pods are to do."""
        template = self.get(f"{APPS}/{daemon_set}")["spec"]["template"]
        [container] = template["spec"]["containers"]
        return str(container["env"][0]["value"])

    def hooks(self) -> list[Object]:
        """The objects that Helm creates for a hook alone."""
        found = yaml.safe_load_all(self.helm("get", "hooks", RELEASE).stdout)
        return [one for one in found if one]

    def holder(self, name: str) -> str:
        """Who has a slot."""
        spec: Object = self.get(f"{LEASES}/{name}").get("spec") or {}
        return str(spec.get("holderIdentity") or "")

    def container(self, daemon_set: str, node: str) -> Container:
        """Start what the DaemonSet's pod on a node runs."""
        template = self.get(f"{APPS}/{daemon_set}")["spec"]["template"]
        return self.start(template["spec"], node)

    def start(self, spec: Object, node: str) -> Container:
        """Create a pod on a node, and start its container."""
        [container] = spec["containers"]
        pod = self.plane.create(
            f"{CORE}/pods",
            metadata={"generateName": "pod-"},
            spec={**spec, "nodeName": node},
        )
        account = self.folder / pod["metadata"]["name"]
        account.mkdir()
        (account / "ca.crt").write_bytes((self.plane.folder / "ca.pem").read_bytes())
        (account / "token").write_text(self._token(spec["serviceAccountName"], pod))
        port = self.plane.url.rpartition(":")[2]
        given = {one["name"]: _value(one, pod) for one in container.get("env", [])}
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": port,
            **given,
        }
        go = self.folder / f"go-{node}"
        if not go.exists():
            os.mkfifo(go)
        mounted = ["unshare", "--mount", "sh", "-c", _MOUNTED, str(account)]
        door = [sys.executable, "-c", _DOOR, str(self._recorder)]
        process = subprocess.Popen(
            [*mounted, *door, *(_expanded(word, given) for word in container["args"])],
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        api = Api(host="127.0.0.1", port=int(port), folder=account)
        return Container(process=process, api=api, go=go)

    def _token(self, account: str, pod: Object) -> str:
        names = {key: pod["metadata"][key] for key in ("name", "uid")}
        bound = {"kind": "Pod", "apiVersion": "v1", **names}
        path = f"{CORE}/serviceaccounts/{account}/token"
        made = self.plane.create(path, spec={"boundObjectRef": bound})
        return str(made["status"]["token"])

    def objects(self, kinds: str) -> list[str]:
        """Names of the release's objects of a kind, by the path of all."""
        labelled = f"?labelSelector=app.kubernetes.io/instance%3D{RELEASE}"
        return [one["metadata"]["name"] for one in self.get(kinds + labelled)["items"]]

    @contextlib.contextmanager
    def coming(self, kinds: str) -> Iterator[Iterator[Object]]:
        """Objects of a kind as they are created from now on."""
        version = self.get(kinds)["metadata"]["resourceVersion"]
        watched = f"{kinds}?watch=1&resourceVersion={version}"
        with self.plane.call(watched, silence=100) as events:
            yield (event["object"] for event in map(json.loads, events) if event["type"] == "ADDED")


def path_of(plane: ControlPlane, thing: Object) -> str:
    """Of an object in the API, by the API server's own list of kinds."""
    version = thing["apiVersion"]
    root = "/api/v1" if version == "v1" else f"/apis/{version}"
    kinds = json.loads(plane.read(root))["resources"]
    [kind] = [k for k in kinds if k["kind"] == thing["kind"] and "/" not in k["name"]]
    where = f"/namespaces/{thing['metadata']['namespace']}" if kind["namespaced"] else ""
    return f"{root}{where}/{kind['name']}/{thing['metadata']['name']}"


def _value(variable: Object, pod: Object) -> str:
    """A variable of a container, as the kubelet gives it."""
    if "value" in variable:
        return str(variable["value"])
    found: Any = pod
    for part in variable["valueFrom"]["fieldRef"]["fieldPath"].split("."):
        found = found[part]
    return str(found)


def _expanded(word: str, variables: dict[str, str]) -> str:
    """An argument of a container, as the kubelet gives it."""
    for name, value in variables.items():
        word = word.replace(f"$({name})", value)
    return word
