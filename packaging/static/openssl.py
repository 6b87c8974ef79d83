"""Build libssl.a and libcrypto.a: what a TLS client needs, chosen by OpenSSL's own switches.

Left out are other protocols (DTLS, QUIC, CMS, CMP, TS, SRP), old and national ciphers, and
everything that would be loaded from outside (engines, modules, a configuration file). TLS with
every key and cipher suite that a server on the Web may have stays; tests/static proves it.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pins import epoch, pins
from sources import unpack
from steps import once, run
from toolchain import Toolchain

_WITHOUT = (
    # loaded at run time
    "shared dso module engine static-engine autoload-config apps tests docs legacy "
    # other protocols and formats
    "cmp cms comp ct dtls http ocsp quic rfc3779 srp srtp ssl3 ssl-trace tls1 tls1_1 ts "
    # algorithms that no server on the Web uses
    "argon2 aria bf blake2 camellia cast des dsa ec2m gost idea md4 mdc2 ml-dsa ocb rc2 rc4 "
    "rmd160 scrypt seed siphash siv slh-dsa sm2 sm3 sm4 whirlpool "
    # kinds of use
    "afalgeng async capieng default-thread-pool devcryptoeng ktls makedepend padlockeng pic "
    "thread-pool ui-console"
).split()


@dataclass(frozen=True, kw_only=True)
class Libssl:
    """The source tree, and one architecture's build folder."""

    source: Path
    build: Path

    @property
    def libraries(self) -> list[Path]:
        """What is linked in, in order."""
        return [self.build / "libssl.a", self.build / "libcrypto.a"]

    @property
    def includes(self) -> list[str]:
        """The flags to compile against it: generated headers first."""
        return [f"-I{path / 'include'}" for path in (self.build, self.source)]


def build(tools: Toolchain, work: Path, jobs: int) -> Libssl:
    """Build under work/ARCH/openssl."""
    source = unpack(pins()["openssl"], work / "openssl-source")
    folder = work / tools.arch / "openssl"
    log = work / tools.arch / "openssl.log"
    env = {**tools.env, "SOURCE_DATE_EPOCH": str(epoch())}

    def do() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        configure = ["perl", f"../../{source.relative_to(work)}/Configure"]
        options = [f"no-{name}" for name in _WITHOUT]
        run(
            [*configure, f"linux-{tools.machine}", "--openssldir=/etc/ssl", *options, "CC=cc"],
            cwd=folder,
            log=log,
            env=env,
        )
        run(["make", f"-j{jobs}", "build_libs"], cwd=folder, log=log, env=env)

    once(folder.with_suffix(".built"), f"{tools.arch}: OpenSSL {pins()['openssl'].version}", do)
    return Libssl(source=source, build=folder)
