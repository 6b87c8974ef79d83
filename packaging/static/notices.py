"""What is linked in, told three ways: versions, licence texts, SBOM; all read from the sources."""

import json
import ssl
import uuid
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from libraries import libraries
from pins import Pin, epoch, pins
from sources import fetch, series
from toolchain import musl_version

BUNDLE = "Mozilla CA bundle"


@dataclass(frozen=True, kw_only=True)
class Component:
    """One thing that is in the file."""

    name: str
    version: str
    license: str  # SPDX
    purl: str
    cpe: str
    origin: str  # exact revision and where it is from
    text: str  # its licence
    patches: tuple[str, ...] = ()  # Debian's, that were applied

    def cyclonedx(self) -> dict[str, Any]:
        """As a component of CycloneDX 1.6."""
        properties = [{"name": "origin", "value": self.origin}]
        properties += [{"name": "patch", "value": name} for name in self.patches]
        return {
            "type": "data" if self.name == BUNDLE else "library",
            "bom-ref": self.name,
            "name": self.name,
            "version": self.version,
            "licenses": [{"license": {"id": self.license}}],
            **({"purl": self.purl} if self.purl else {}),
            **({"cpe": self.cpe} if self.cpe else {}),
            "properties": properties,
        }


@dataclass(frozen=True, kw_only=True)
class Notices:
    """All components, in the order in which they are shown."""

    components: tuple[Component, ...]

    def module(self, source_digest: str) -> str:
        """The source of the module `linked`, which --version and --licenses read."""
        versions = "".join(f"{c.name} {c.version} ({c.origin})\n" for c in self.components)
        versions += f"source sha256:{source_digest}\n"
        rule = "=" * 78
        texts = "\n".join(
            f"{rule}\n{c.name} {c.version} ({c.license})\n{rule}\n\n{c.text.strip()}\n"
            for c in self.components
        )
        return f"VERSIONS = {versions!r}\nLICENSES = {texts!r}\n"

    def sbom(self, name: str, version: str, license_text: str, sha256: str) -> str:
        """CycloneDX 1.6, of one file; the same file gives the same bytes."""
        made = datetime.fromtimestamp(epoch(), UTC)
        document = {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, sha256)}",
            "version": 1,
            "metadata": {
                "timestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "component": {
                    "type": "application",
                    "bom-ref": name,
                    "name": name,
                    "version": version,
                    "licenses": [{"license": {"id": license_text}}],
                    "hashes": [{"alg": "SHA-256", "content": sha256}],
                },
            },
            "components": [component.cyclonedx() for component in self.components],
            "dependencies": [
                {"ref": name, "dependsOn": [component.name for component in self.components]}
            ],
        }
        return json.dumps(document, indent=2) + "\n"


def bundle_module() -> str:
    """The source of the module plugin.bundle: Mozilla's authorities, for a node that has none."""
    pin = pins()["ca-bundle"]
    mark = "-----END CERTIFICATE-----"
    blocks = _in_wheel(pin, "certifi/cacert.pem").split(mark)[:-1]
    der = b"".join(
        ssl.PEM_cert_to_DER_cert(block[block.index("-----BEGIN") :] + mark) for block in blocks
    )
    return f"VERSION = {pin.version!r}\nDER = {der!r}\n"


def _of(pin: Pin, name: str, text: str, patches: list[str] | None = None) -> Component:
    origin = f"Debian {pin.revision}" if pin.revision else f"PyPI {pin.package} {pin.version}"
    return Component(
        name=name,
        version=pin.version,
        license=pin.license,
        purl=pin.purl,
        cpe=pin.cpe,
        origin=origin,
        text=text,
        patches=tuple(patches or ()),
    )


def _in_wheel(pin: Pin, ending: str) -> str:
    with zipfile.ZipFile(fetch(pin)[0]) as archive:
        name = next(name for name in archive.namelist() if name.endswith(ending))
        return archive.read(name).decode()


def read(python: Path, openssl: Path, zig: Path) -> Notices:
    """Read the licences from the unpacked sources."""
    known = pins()
    musl = musl_version(zig)
    lib = zig.parent / "lib"
    incorporated = (python / "Doc/license.rst").read_text()
    return Notices(
        components=(
            _of(
                known["cpython"],
                "CPython",
                f"{(python / 'LICENSE').read_text()}\n\n{incorporated}",
                series(known["cpython"], python.parent),
            ),
            _of(
                known["openssl"],
                "OpenSSL",
                (openssl / "LICENSE.txt").read_text(),
                series(known["openssl"], openssl.parent),
            ),
            Component(
                name="musl",
                version=musl,
                license="MIT",
                purl=f"pkg:generic/musl@{musl}",
                cpe=f"cpe:2.3:a:musl-libc:musl:{musl}:*:*:*:*:*:*:*",
                origin=f"with zig {known['zig'].version}",
                text=(lib / "libc/musl/COPYRIGHT").read_text(),
            ),
            _of(known["zig"], "zig compiler-rt", (zig.parent / "LICENSE").read_text()),
            _of(
                known["ca-bundle"],
                BUNDLE,
                _in_wheel(known["ca-bundle"], "licenses/LICENSE"),
            ),
            *(
                _of(pin, pin.package, _in_wheel(pin, "licenses/LICENSE"))
                for pin in libraries().values()
            ),
        )
    )
