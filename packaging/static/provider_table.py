"""OpenSSL's table of algorithms, cut down to what a TLS client asks for.

OpenSSL makes objects of a whole kind of algorithm (all ciphers, all digests, ...) at the first
request for one of the kind, so rows that nobody asks for cost as much as those that are used.
The table is written anew from OpenSSL's own source, and linked before libcrypto.a, in which it is
then not looked for. No other file of OpenSSL is touched, and every row that stays is as it was;
tests/static shows that no kind of server was lost.
"""

import re
from pathlib import Path

from steps import BuildError

# By the names of the functions, which are the same in every table: ossl_NAME_functions.
KEEP = set(
    """
    sha1 sha256 sha384 sha512
    sha3_256 sha3_512 shake_128 shake_256
    aes128gcm aes256gcm chacha20_ossl_poly1305 aes128cbc aes256cbc
    aes128cbc_hmac_sha256 aes256cbc_hmac_sha256
    aes256ctr aes256ecb
    hmac
    kdf_hkdf kdf_tls1_3_kdf kdf_tls1_prf
    drbg_ctr seed_src
    dh_keyexch ecdh_keyexch x25519_keyexch x448_keyexch
    rsa_signature ecdsa_signature ed25519_signature
    mac_legacy_hmac_signature mac_legacy_keymgmt
    ml_kem_asym_kem mlx_kem_asym_kem
    dh_keymgmt rsa_keymgmt rsapss_keymgmt ec_keymgmt x25519_keymgmt x448_keymgmt ed25519_keymgmt
    ml_kem_768_keymgmt ml_kem_1024_keymgmt
    mlx_x25519_kem_kmgmt mlx_p256_kem_kmgmt mlx_p384_kem_kmgmt
    """.split()
)
# Keys are read from certificates alone.
KEYS = ("DER", "EC", "RSA", "RSA-PSS", "ED25519")

_ROW = re.compile(
    r"^    (?:\{ (?!NULL|\{)|ALGC?\()[^;]*?\bossl_(\w+)_functions\b[^;]*?[)}],\n", re.MULTILINE
)
_DECODER = re.compile(
    r'^DECODER(?:_w_structure)?\( *"([^"]+)", (\w+), (\w+)[^)]*\),\n', re.MULTILINE
)


def write(providers: Path, folder: Path) -> Path:
    """Write the shorter defltprov.c of OpenSSL's `providers` into `folder`. Raises BuildError."""
    kept: set[str] = set()

    def row(found: re.Match[str]) -> str:
        if found[1] not in KEEP:
            return ""
        kept.add(found[1])
        return found[0]

    def decoder(found: re.Match[str]) -> str:
        return found[0] if found[1] in KEYS and found[3] == "SubjectPublicKeyInfo" else ""

    table = _ROW.sub(row, (providers / "defltprov.c").read_text())
    if lost := sorted(KEEP - kept):
        raise BuildError(f"defltprov.c: no row of {', '.join(lost)}. Fix: see what OpenSSL renamed")
    # Included with quotes: what stands beside the file comes before OpenSSL's own.
    decoders = _DECODER.sub(decoder, (providers / "decoders.inc").read_text())
    (folder / "decoders.inc").write_text(decoders)
    (folder / "encoders.inc").write_text("/* nothing is written */\n")
    path = folder / "defltprov.c"
    path.write_text(table)
    return path
