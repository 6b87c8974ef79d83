"""The Helm chart's tools, built from the Go module proxy once, and its golden files.

    python -m clients.charts build     build Helm and kubeconform, unless that was done
    python -m clients.charts golden    write chart/golden/ anew from chart/values/

Run with PYTHONPATH=tests. Imports the builder of tests/kubelet and the standard library.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubelet.build import CACHE, BuildError, _locked, _say, go_problem

CHART = Path(__file__).parents[2] / "deploy/helm/gcp-sa-credential-provider"
FOLDER = Path(__file__).parent / "chart"
VALUES = sorted((FOLDER / "values").glob("*.yaml"))
RELEASE, NAMESPACE = "gcp-sa-credential-provider", "provider"
KUBERNETES = "1.37.0"
"""What the chart is rendered for where no API server says."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A released program, of what its own go.mod says; Go asks the checksum database."""

    package: str
    version: str

    @property
    def name(self) -> str:
        """Of the executable."""
        return self.package.rpartition("/")[2]

    def build(self) -> Path:
        """Build it, unless that was done. Raises BuildError."""
        path = CACHE.parent / "charts" / f"{self.name}-{self.version}"
        if path.exists():
            return path
        if problem := go_problem():
            raise BuildError(problem)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent / ".lock"):
            if not path.exists():
                _say(f"{self.name} {self.version}: fetching it from the Go module proxy")
                self._install(path)
        return path

    def _install(self, path: Path) -> None:
        wanted = f"{self.package}@v{self.version}"
        command = ["nice", "-n", "10", "go", "install", "-trimpath", "-ldflags=-s -w", wanted]
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            done = subprocess.run(
                command,
                cwd=scratch,
                env=os.environ | {"CGO_ENABLED": "0", "GOBIN": scratch},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise BuildError(f"go install {wanted}: {done.stderr.strip()}")
            (Path(scratch) / self.name).replace(path)


HELM = Tool(package="helm.sh/helm/v4/cmd/helm", version="4.3.1")
KUBECONFORM = Tool(package="github.com/yannh/kubeconform/cmd/kubeconform", version="0.8.0")


def helm(
    *arguments: str | Path, check: bool = True, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Helm, with no configuration or cache of this machine's user.

    Raises BuildError with what it says where it fails, unless `check` is off.
    """
    with tempfile.TemporaryDirectory() as home:
        places = {f"HELM_{kind}_HOME": home for kind in ("CACHE", "CONFIG", "DATA")}
        done = subprocess.run(
            [HELM.build(), *arguments],
            env={"PATH": os.environ["PATH"], "HOME": home, **places, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
    if check and done.returncode:
        raise BuildError(f"helm {arguments[0]}: exit {done.returncode}: {done.stderr.strip()}")
    return done


def template(values: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Render the chart with a file of values; as `helm`."""
    where = [f"--namespace={NAMESPACE}", f"--kube-version={KUBERNETES}"]
    return helm("template", RELEASE, CHART, f"--values={values}", *where, *arguments, check=check)


def golden(values: Path) -> Path:
    """What it was rendered to when somebody last looked at it."""
    return FOLDER / "golden" / values.name


def write_schemas(openapi: dict[str, Any], folder: Path) -> None:
    """Write kubeconform's schemas, KIND-GROUP-VERSION.json, from the API server's /openapi/v2.

    `openapi` is changed. Objects are closed, so that a misspelt field is found; what takes both
    numbers and text, or leaves its kind open, is said as JSON Schema says it.
    """
    definitions = openapi["definitions"]
    either = [{"type": "string"}, {"type": "number"}]
    for name, schema in definitions.items():
        if name.endswith((".Quantity", ".IntOrString")):
            schema.pop("type", None)
            schema["oneOf"] = either
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    (folder / "definitions.json").write_text(json.dumps({"definitions": definitions}))
    for name, schema in definitions.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            parts = (kind["kind"].lower(), kind["group"].partition(".")[0], kind["version"])
            reference = {"$ref": f"definitions.json#/definitions/{name}"}
            file = folder / f"{'-'.join(filter(None, parts))}.json"
            file.write_text(json.dumps(reference))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m clients.charts")
    parser.add_argument("command", choices=("build", "golden"))
    try:
        if parser.parse_args().command == "build":
            print(HELM.build(), KUBECONFORM.build(), sep="\n")
            return 0
        for values in VALUES:
            golden(values).write_text(template(values).stdout)
            print(golden(values))
    except BuildError as problem:
        _say(f"charts.py: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
