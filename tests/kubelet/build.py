"""Builds the Go programs of this tier from the pinned Kubernetes releases, once.

    python tests/kubelet/build.py build [--minors newest|all]   build what is not built yet
    python tests/kubelet/build.py cluster                       the same for tests/cluster
    python tests/kubelet/build.py alpha                         the same for alpha.py
    python tests/kubelet/build.py pin                           write go/minors/ from pins.toml
    python tests/kubelet/build.py vet                           gofmt and go vet, newest minor

Programs are kept outside the tree, under ${XDG_CACHE_HOME:-~/.cache}, named by a hash over all that
went into them. Imports the standard library only, so that it runs before any virtualenv is there.
"""

import argparse
import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MODULE = HERE / "go"
CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    / "gcp-sa-credential-provider"
    / "kubelet-tests"
)
KEPT_SECONDS = 7 * 24 * 3600  # from when a program was last asked for
MODULE_PATH = "kubelettest"
KUBERNETES = "k8s.io/kubernetes"
CREDENTIAL_PLUGIN = "pkg/credentialprovider/plugin"
# The etcd that Kubernetes itself is tested with: its version comes with the release's go.mod.
ETCD = "go.etcd.io/etcd/server/v3"

# The one line of the kubelet that tests replace, in CREDENTIAL_PLUGIN/plugin.go.
KUBELET_CLOCK = "clock := clock.RealClock{}"
TEST_CLOCK = "clock := Clock"

_PINS = tomllib.loads((HERE / "pins.toml").read_text())
RELEASES: dict[str, str] = _PINS["kubernetes"]
GO_MINIMUM: str = _PINS["go"]["minimum"]


class BuildError(Exception):
    """What cannot be built; the message says why and what to do."""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


MINORS = sorted(RELEASES, key=_numbers)
NEWEST = MINORS[-1]


@functools.cache
def go_problem() -> str | None:
    """Why Go cannot be used here, for people; None if it can."""
    if not shutil.which("go"):
        return f"go: not on PATH. Fix: install Go {GO_MINIMUM} or newer from https://go.dev/dl"
    version = _go_toolchain().split()[0]
    if _numbers(version) < _numbers(GO_MINIMUM):
        return f"go: is {version}. Fix: install Go {GO_MINIMUM} or newer from https://go.dev/dl"
    return None


@functools.cache
def _go_toolchain() -> str:
    """Release, system and processor, a line each."""
    return _go("env", "GOVERSION", "GOOS", "GOARCH")


def _go(*arguments: str, folder: Path = MODULE) -> str:
    """What a go command prints; runs niced. Raises BuildError with what it says on stderr."""
    done = subprocess.run(
        ["nice", "-n", "10", "go", *arguments],
        cwd=folder,
        env=os.environ | {"CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"go {arguments[0]}: exit {done.returncode}\n{done.stderr.strip()}")
    return done.stdout


def settable_clock(source: str) -> str:
    """The kubelet's plugin.go with the clock that tests set; refuses a source it does not know."""
    found = source.count(KUBELET_CLOCK)
    if found != 1:
        raise BuildError(
            f"{CREDENTIAL_PLUGIN}/plugin.go: {KUBELET_CLOCK!r} stands there {found} times, "
            "not once. Fix: see how this release chooses its clock, and change KUBELET_CLOCK"
        )
    return source.replace(KUBELET_CLOCK, TEST_CLOCK)


@dataclass(frozen=True, kw_only=True)
class Program:
    """One executable of one Kubernetes minor."""

    minor: str
    """As in pins.toml, "1.37"."""
    package: str
    """Import path, or a folder of the module, "./harness"."""

    @property
    def name(self) -> str:
        """File name without the hash: "harness-1.37"."""
        name = "etcd" if self.package == ETCD else self.package.rpartition("/")[2]
        return f"{name}-{self.minor}"

    @property
    def _modfile(self) -> Path:
        return MODULE / "minors" / f"{self.minor}.mod"

    @property
    def _flags(self) -> list[str]:
        release = RELEASES[self.minor]
        major, minor = self.minor.split(".")
        stamps = {"gitVersion": f"v{release}", "gitMajor": major, "gitMinor": minor}
        stamped = [f"-X k8s.io/component-base/version.{k}={v}" for k, v in stamps.items()]
        return [
            f"-modfile={self._modfile.relative_to(MODULE)}",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags=" + " ".join(["-s", "-w", *stamped]),
        ]

    @property
    def _key(self) -> str:
        """Hash over everything that the executable is made of."""
        recipe = [_go_toolchain(), self.package, KUBELET_CLOCK, TEST_CLOCK, *self._flags]
        files = [self._modfile, self._modfile.with_suffix(".sum")]
        if self.package.startswith("./"):
            files += sorted((MODULE / self.package).glob("*.go"))
            files += sorted((MODULE / "plugin").glob("*.go"))
        digest = hashlib.sha256(json.dumps(recipe).encode())
        for file in files:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()[:16]

    @property
    def path(self) -> Path:
        """Where it is, or will be."""
        return CACHE / f"{self.name}-{self._key}"

    def build(self) -> Path:
        """Build it, unless that was done; progress goes to stderr. Raises BuildError."""
        if problem := go_problem():
            raise BuildError(problem)
        path = self.path
        if path.exists():
            path.touch()
            return path
        CACHE.mkdir(parents=True, exist_ok=True)
        with _locked(CACHE / ".lock"):
            if not path.exists():
                self._build_to(path)
                self._forget_unused()
        return path

    def _forget_unused(self) -> None:
        """Remove what no checkout has asked for lately."""
        for old in CACHE.glob(f"{self.name}-*"):
            if time.time() - old.stat().st_mtime > KEPT_SECONDS:
                old.unlink()

    def _build_to(self, path: Path) -> None:
        _say(f"{self.name}: fetching Kubernetes {RELEASES[self.minor]} from the Go module proxy")
        with overlay(self.minor) as laid_over, tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            flags = [*self._flags, f"-overlay={laid_over}"]
            packages = len(_go("list", "-deps", *flags, self.package).splitlines())
            made = Path(scratch) / path.name
            command = ["nice", "-n", "10", "go", "build", "-v", *flags, "-o", str(made)]
            _say(f"{self.name}: compiling, {packages} packages less those that Go has cached")
            with subprocess.Popen(
                [*command, self.package],
                cwd=MODULE,
                env=os.environ | {"CGO_ENABLED": "0"},
                stderr=subprocess.PIPE,
                text=True,
            ) as compiler:
                said = []
                for count, line in enumerate(compiler.stderr or (), start=1):
                    said.append(line.rstrip())
                    if count % 100 == 0:
                        _say(f"{self.name}: {count} packages compiled")
            if compiler.returncode:
                told = "\n".join(said[-20:])
                raise BuildError(f"{self.name}: go build: exit {compiler.returncode}\n{told}")
            made.replace(path)
        _say(f"{self.name}: built")

    def vet(self) -> None:
        """Run go vet over its sources. Raises BuildError with what vet found."""
        with overlay(self.minor) as laid_over:
            # With the flags of the build, so that what it compiled is used again.
            _go("vet", *self._flags, f"-overlay={laid_over}", self.package)


@contextlib.contextmanager
def overlay(minor: str) -> Iterator[Path]:
    """The overlay file that completes go/plugin with the kubelet's files of this minor."""
    modfile = f"-modfile=minors/{minor}.mod"
    downloaded = json.loads(_go("mod", "download", "-json", modfile, KUBERNETES))
    if downloaded["Version"] != f"v{RELEASES[minor]}":
        raise BuildError(
            f"go/minors/{minor}.mod: requires {KUBERNETES} {downloaded['Version']}, "
            f"but pins.toml says {RELEASES[minor]}. Fix: python tests/kubelet/build.py pin"
        )
    kubelet = Path(downloaded["Dir"]) / CREDENTIAL_PLUGIN
    ours = MODULE / "plugin"
    with tempfile.TemporaryDirectory() as scratch:
        edited = Path(scratch) / "plugin.go"
        edited.write_text(settable_clock((kubelet / "plugin.go").read_text()))
        replace = {
            str(ours / source.name): str(source)
            for source in kubelet.glob("*.go")
            if not source.name.endswith("_test.go")
        }
        replace[str(ours / "plugin.go")] = str(edited)
        laid_over = Path(scratch) / "overlay.json"
        laid_over.write_text(json.dumps({"Replace": replace}))
        yield laid_over


def harness(minor: str) -> Program:
    """The kubelet's credential provider code, driven by a test."""
    return Program(minor=minor, package="./harness")


def tables() -> Program:
    """Prints what Kubernetes and Go make of generated inputs."""
    return Program(minor=NEWEST, package="./tables")


def kube_apiserver(minor: str = "") -> Program:
    """The API server, by default of the newest minor."""
    return kubernetes("kube-apiserver", minor or NEWEST)


def etcd() -> Program:
    """The etcd of the newest minor."""
    return Program(minor=NEWEST, package=ETCD)


def pause() -> Program:
    """The one program in the images of tests/cluster."""
    return Program(minor=NEWEST, package="./pause")


def kubernetes(component: str, minor: str = NEWEST) -> Program:
    """A program of Kubernetes itself, by its name: "kubelet", "kube-scheduler"."""
    return Program(minor=minor, package=f"{KUBERNETES}/cmd/{component}")


# The minor of the cluster's second node: the first with the tokens on by default.
OLDER = "1.34"


def cluster_programs() -> list[Program]:
    """What a whole cluster is made of, with nodes of the newest minor and of older ones.

    The harness comes first: it fills Go's cache with what the others share.
    """
    controllers = [kubernetes("kube-controller-manager"), kubernetes("kube-scheduler")]
    nodes = [kubernetes("kubelet", minor) for minor in (NEWEST, OLDER, MINORS[0])]
    return [harness(NEWEST), pause(), etcd(), kube_apiserver(), *controllers, *nodes]


def alpha_programs() -> list[Program]:
    """What the tests of the minor need in which the tokens are behind a gate everywhere."""
    return [harness(MINORS[0]), etcd(), kube_apiserver(MINORS[0])]


def programs(minors: str) -> list[Program]:
    """All programs that the tests of "newest" or "all" minors need, newest first."""
    first, *others = reversed(MINORS)
    chosen = [harness(first), tables(), etcd(), kube_apiserver()]
    return chosen + [harness(minor) for minor in others if minors == "all"]


def pin(minor: str) -> None:
    """Write go/minors/MINOR.mod and .sum for the pinned release.

    Kubernetes requires its staging modules at v0.0.0 and replaces them by folders of its own
    repository; outside it, each is replaced by the published module of the same release.
    """
    release = RELEASES[minor]
    published = f"v0.{release.removeprefix('1.')}"
    with tempfile.TemporaryDirectory() as scratch:
        # Outside the module, whose go.mod it would change.
        wanted = f"{KUBERNETES}@v{release}"
        downloaded = json.loads(_go("mod", "download", "-json", wanted, folder=Path(scratch)))
        theirs = Path(downloaded["GoMod"]).read_text()
        keep = re.findall(r"^(?:go|godebug) .*$", theirs, re.MULTILINE)
        staging = sorted(set(re.findall(r"^\s*(k8s\.io/\S+) v0\.0\.0(?!\S)", theirs, re.MULTILINE)))
        lines = [
            f"module {MODULE_PATH}",
            *keep,
            f"require {KUBERNETES} v{release}",
            "replace (",
            *(f"\t{name} => {name} {published}" for name in staging),
            ")",
        ]
        modfile = Path(scratch) / f"{minor}.mod"
        modfile.write_text("\n".join(lines) + "\n")
        minors = MODULE / "minors"
        (minors / modfile.name).write_text(modfile.read_text())
        (minors / modfile.name).with_suffix(".sum").unlink(missing_ok=True)
        with overlay(minor) as laid_over:
            every = {*programs("all"), *cluster_programs(), *alpha_programs()}
            packages = sorted(p.package for p in every if p.minor == minor)
            flags = ["-mod=mod", f"-modfile=minors/{minor}.mod", f"-overlay={laid_over}"]
            _go("list", "-deps", *flags, *packages)


def vet() -> None:
    """Run gofmt and go vet over our own Go sources, as the newest minor compiles them."""
    unformatted = subprocess.run(
        ["gofmt", "-l", "."], cwd=MODULE, capture_output=True, text=True, check=True
    ).stdout
    if unformatted:
        raise BuildError(
            f"gofmt: not formatted: {unformatted.split()}. Fix: gofmt -w tests/kubelet/go"
        )
    for program in (harness(NEWEST), tables(), pause()):
        program.vet()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two test runs at once build a program once."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="builds the Go programs of the kubelet tests")
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build what is not built yet")
    building.add_argument("--minors", choices=("newest", "all"), default="newest")
    commands.add_parser("cluster", help="build what tests/cluster needs")
    commands.add_parser("alpha", help="build what tests/kubelet/alpha.py needs")
    commands.add_parser("pin", help="write go/minors/ from pins.toml")
    commands.add_parser("vet", help="gofmt and go vet")
    chosen = parser.parse_args()
    try:
        if chosen.command in ("build", "cluster", "alpha"):
            wanted = {"cluster": cluster_programs, "alpha": alpha_programs}.get(chosen.command)
            for program in wanted() if wanted else programs(chosen.minors):
                print(program.build())
        elif chosen.command == "pin":
            for minor in MINORS:
                pin(minor)
        else:
            vet()
    except BuildError as problem:
        _say(f"build.py: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
