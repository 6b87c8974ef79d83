"""Get the pinned files, prove that they are those, unpack and patch them.

A file comes from the folder GCP_SA_SOURCES, or by the ordinary client of the archive that holds
it. Debian's archive is asked with a source list, state and cache of our own, all in the build's
cache: nothing of the machine's own apt is read or changed but its keyring.
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

_CHUNK = 1 << 20


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
    return BuildError(
        f"{file.file}: not to be had from {pin.origin} ({why}). Fix: put the file (SHA-256 "
        f"{file.sha256}; {pin.upstream}) into a folder and set GCP_SA_SOURCES to it"
    )


def _archive() -> str | None:
    """Where this machine gets Debian's packages; the security archive stands beside it."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    return next((uri.rstrip("/") for uri in listed if uri.rstrip("/").endswith("/debian")), None)


def _debian(pin: Pin, file: File) -> Path:
    if shutil.which("apt-get") is None:
        raise _missing(pin, file, "there is no apt-get here")
    root = cache() / "apt"
    for folder in ("etc/apt/apt.conf.d", "state/lists/partial", "cache/archives/partial", "got"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    settings = manifest()["debian"]
    stanza = "Types: deb-src\nURIs: {}\nSuites: {}\nComponents: main\nSigned-By: {}\n"
    archive = _archive()
    if archive is None:
        raise _missing(pin, file, "no archive of Debian is among this machine's package sources")
    (root / "etc/apt/sources.list.d").mkdir(exist_ok=True)
    (root / "etc/apt/sources.list.d/pinned.sources").write_text(
        stanza.format(archive, " ".join(settings["suites"]), settings["keyring"])
        + "\n"
        + stanza.format(f"{archive}-security", " ".join(settings["security"]), settings["keyring"])
    )
    configuration = root / "apt.conf"
    configuration.write_text(
        f'Dir "{root}";\nDir::Etc "etc/apt";\nDir::State "state";\nDir::Cache "cache";\n'
        'Dir::State::status "/dev/null";\nAPT::Sandbox::User "";\n'
    )
    env = {"APT_CONFIG": str(configuration)}
    log = root / "log"
    try:
        run(["apt-get", "update"], log=log, env=env)
        # No dpkg-source: what is downloaded is unpacked here, patch by patch.
        wanted = f"{pin.package}={pin.revision}"
        run(["apt-get", "source", "--download-only", wanted], log=log, cwd=root / "got", env=env)
    except BuildError as error:
        raise _missing(pin, file, f"{wanted} failed") from error
    return root / "got" / file.file


def _pypi(pin: Pin, file: File) -> Path:
    into = cache() / "pypi"
    into.mkdir(parents=True, exist_ok=True)
    requirement = into / f"{pin.package}.txt"
    requirement.write_text(f"{pin.package}=={pin.version} --hash=sha256:{file.sha256}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(into)]
    try:
        run([*pip, *options, "--requirement", requirement], log=into / "log")
    except BuildError as error:
        raise _missing(pin, file, "pip download failed") from error
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
