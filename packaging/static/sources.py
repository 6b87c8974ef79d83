"""Get the pinned files, prove that they are those, unpack and patch them.

A file comes from the folder GCP_SA_SOURCES, or by the ordinary client of the archive that holds
it, as the machine has it set up: its mirrors, proxies and logins. apt-get has a source list, state
and cache of its own in the build's cache, so that nothing of the machine's is changed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from pins import File, Pin, cache, manifest
from steps import BuildError, once, run, say

_STANZA = "Types: deb-src\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {keyring}\n"
# Read after the machine's own configuration. Hooks of the machine have no business with our lists.
_APT = """\
Dir::Etc::sourcelist "{root}/pinned.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::State "{root}/state";
Dir::State::lists "lists";
Dir::State::status "/dev/null";
Dir::Cache "{root}/cache";
APT::Sandbox::User "";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""
# For the static file's CPython, which is not the one that this runs under.
_WHEEL = "--python-version=3.13 --implementation=cp --platform=manylinux2014_x86_64".split()


def sha256(path: Path) -> str:
    """The SHA-256 of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch(pin: Pin) -> list[Path]:
    """The pin's files, verified, in the order of `pin.files`. Raises BuildError."""
    return [_one(pin, file) for file in pin.files]


def _one(pin: Pin, file: File) -> Path:
    kept = cache() / "sources" / file.sha256 / file.file
    if kept.exists() and sha256(kept) == file.sha256:
        return kept
    folder = os.environ.get("GCP_SA_SOURCES", "")
    if folder and (candidate := Path(folder) / file.file).exists():
        found = candidate
    else:
        say(f"fetching {file.file} ({pin.origin})")
        found = (_debian if pin.origin == "debian" else _pypi)(pin, file)
    actual = sha256(found)
    if actual != file.sha256:
        raise BuildError(
            f"{found}: SHA-256 is {actual}, pinned is {file.sha256}. Fix: see whose file it is "
            "before changing packaging/sources.toml"
        )
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_name(kept.name + ".partial")
    shutil.copyfile(found, partial)
    partial.replace(kept)
    return kept


def _missing(pin: Pin, file: File, why: str) -> BuildError:
    place = f"It is {pin.upstream}"
    if pin.origin == "debian":
        place = f"Debian's snapshot archive has it, under {pin.package} {pin.revision}"
        if file == pin.source:
            place += f"; it is {pin.upstream} too"
    return BuildError(
        f"{file.file}: not to be had from {pin.origin}: {why}\n"
        f"Fix: put it under this name (SHA-256 {file.sha256}) into a folder, and set"
        f" GCP_SA_SOURCES to that. {place}"
    )


def _archive(label: str, end: str) -> str | None:
    """Where this machine gets packages of an archive of Debian's; None: from nowhere."""
    known = ("indextargets", "--format", "$(REPO_URI)", "Origin: Debian", f"Label: {label}")
    would_be_read = (line.partition("/dists/")[0] for line in _said("update", "--print-uris"))
    named = (uri.strip("'") for uri in would_be_read if uri.endswith(end))
    return next(iter((*_said(*known), *named)), None)


def _said(*words: str) -> list[str]:
    done = subprocess.run(["apt-get", *words], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def _debian(pin: Pin, file: File) -> Path:
    if shutil.which("apt-get") is None:
        raise _missing(pin, file, "no apt-get on PATH")
    root = cache() / "apt"
    for folder in ("state/lists/partial", "cache/archives/partial", "got"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    settings = manifest()["debian"]
    stanzas = []
    for archive in settings["archives"]:
        uri = _archive(archive["label"], archive["end"])
        if uri is None:
            raise _missing(pin, file, f"apt-get has no archive of {archive['label']} here")
        suites = " ".join(archive["suites"])
        stanzas.append(_STANZA.format(uri=uri, suites=suites, keyring=settings["keyring"]))
    (root / "pinned.sources").write_text("\n".join(stanzas))
    configuration = root / "apt.conf"
    configuration.write_text(_APT.format(root=root))
    apt: list[str | Path] = ["apt-get", "--config-file", configuration]
    # No dpkg-source: what is downloaded is unpacked here, patch by patch.
    source = ["source", "--download-only", f"{pin.package}={pin.revision}"]
    try:
        run([*apt, "update"], log=root / "log", env=os.environ)
        run([*apt, *source], log=root / "log", cwd=root / "got", env=os.environ)
    except BuildError as error:
        raise _missing(pin, file, str(error)) from error
    return root / "got" / file.file


def _pypi(pin: Pin, file: File) -> Path:
    into = cache() / "pypi"
    into.mkdir(parents=True, exist_ok=True)
    requirement = into / f"{pin.package}.txt"
    requirement.write_text(f"{pin.package}=={pin.version} --hash=sha256:{file.sha256}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
    options = [*_WHEEL, "--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(into)]
    try:
        run([*pip, *options, "--requirement", requirement], log=into / "log", env=os.environ)
    except BuildError as error:
        raise _missing(pin, file, str(error)) from error
    return into / file.file


def unpack(pin: Pin, into: Path) -> Path:
    """The pin's source tree, patched, in `into`; returns its top folder."""
    source, *patches = fetch(pin)

    def do() -> None:
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        if source.suffix == ".whl":
            with zipfile.ZipFile(source) as wheel:
                wheel.extractall(into)
        else:
            with tarfile.open(source) as archive:
                archive.extractall(into, filter="data")
        if patches:
            _patch(pin, patches[0], into)

    once(into.with_suffix(".unpacked"), f"unpacking {pin.name} {pin.revision or pin.version}", do)
    if source.suffix == ".whl":
        return into
    return next(path for path in into.iterdir() if path.is_dir() and path.name != "debian")


def series(pin: Pin, into: Path) -> list[str]:
    """The patches of Debian's that are applied, in order. Raises BuildError for a stale `skip`."""
    listed = (into / "debian/patches/series").read_text().splitlines()
    names = [line.split("#")[0].strip() for line in listed]
    stale = sorted(set(pin.skip) - set(names))
    if stale:
        raise BuildError(f"sources.toml: {pin.name}.skip names no patch of the series: {stale}")
    return [name for name in names if name and name not in pin.skip]


def _patch(pin: Pin, archive: Path, into: Path) -> None:
    with tarfile.open(archive) as debian:
        debian.extractall(into, filter="data")
    top = next(path for path in into.iterdir() if path.is_dir() and path.name != "debian")
    for name in series(pin, into):
        patch = into / "debian/patches" / name
        run(
            ["patch", "--strip=1", "--batch", "--forward", "--no-backup-if-mismatch", "-i", patch],
            cwd=top,
            log=into.with_suffix(".patch.log"),
        )
