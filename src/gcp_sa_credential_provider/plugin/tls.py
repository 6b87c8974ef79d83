"""The trust store, and TLS 1.2 or newer on a connected socket; verification is always on.

Where the store comes from: SSL_CERT_FILE and SSL_CERT_DIR as in OpenSSL and Go; otherwise a hashed
directory, which OpenSSL searches only for the one authority it needs; otherwise the first bundle
file that a distribution is known to have (the list of Go's crypto/x509/root_linux.go).

A bundle of 145 certificates takes OpenSSL some 50 million instructions to load, more than all else
that this program does. So for Google's hosts only those certificates are loaded first that name an
authority Google uses (pki.goog/repository). This only ever narrows the node's own store, and
where verification fails with it, the connection is made again with the whole bundle.
"""

import _ssl
import binascii
import posix

from gcp_sa_credential_provider.plugin.connect import Address, Socket, Stream
from gcp_sa_credential_provider.plugin.deadline import Deadline
from gcp_sa_credential_provider.plugin.failure import Failure

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Gentoo, Arch, Talos
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL, Amazon Linux
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/pki/tls/cacert.pem",  # OpenELEC
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # CentOS 7
    "/etc/ssl/cert.pem",  # Alpine, macOS
)
DIRECTORIES = ("/etc/ssl/certs", "/etc/pki/tls/certs")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class _Tls(Protocol):
        """What `_wrap_socket` makes; public stubs do not tell."""

        def do_handshake(self) -> None: ...
        def read(self, size: int, /) -> bytes: ...
        def write(self, data: bytes, /) -> int: ...

    class Context(_ssl._SSLContext):
        """The base of ssl.SSLContext, without the enums of `ssl`."""

        def _wrap_socket(self, sock: Socket, server_side: int, server_hostname: str, /) -> _Tls: ...

else:
    Context = _ssl._SSLContext

_AUTHORITIES = (b"Google Trust Services", b"GlobalSign")
_GOOGLE = ".googleapis.com"
_FEW = 8  # certificates that are loaded whole without thinking
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
# Five lines of 64 characters: version, serial number, algorithm and issuer of a certificate.
_HEAD = 326
_LARGEST_BUNDLE = 16 * 1024 * 1024  # bytes

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_CODES = {9: "TLS-NOT-YET", 10: "TLS-EXPIRED", 62: "TLS-HOSTNAME", 64: "TLS-HOSTNAME"}


def _read(path: str) -> bytes:
    """A bundle; empty where it cannot be read, which loading it whole then reports."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError:
        return b""
    try:
        data = b""
        while len(data) <= _LARGEST_BUNDLE and (more := posix.read(fd, 1 << 18)):
            data += more
    finally:
        posix.close(fd)
    return data


def _is_hashed(directory: str) -> bool:
    """Whether `openssl rehash` was there: names of 8 hex digits, a dot and a number."""
    try:
        names = posix.listdir(directory)
    except OSError:
        return False
    return any(name[8:9] == "." and name[9:].isdigit() for name in names)


def _named(bundle: bytes) -> bytes:
    """DER of the certificates that name an authority of Google's; empty: take all."""
    blocks = bundle.split(_BEGIN)[1:]
    if len(blocks) < _FEW:
        return b""
    found = []
    try:
        for block in blocks:
            head = binascii.a2b_base64(block[:_HEAD])
            if any(authority in head for authority in _AUTHORITIES):
                found.append(binascii.a2b_base64(block[: block.index(_END)]))
    except ValueError:  # binascii.Error too: not the layout that all bundles have
        return b""
    return b"".join(found)


class TrustStore:
    """The certificates to trust. Read at the first use and kept for the next connection."""

    def __init__(self, cert_file: str, cert_dir: str) -> None:
        self._file = cert_file
        self._dirs = [directory for directory in cert_dir.split(":") if directory]
        self._whole: Context | None = None
        self._narrow: Context | None = None
        self._untold = True
        self.source = ""

    def _find(self) -> None:
        """Choose by what the system has, once."""
        self._untold = False
        looked = self._dirs or BUNDLES
        if not (self._file or self._dirs):
            self._dirs = [path for path in DIRECTORIES if _is_hashed(path)][:1]
            if not self._dirs:
                self._file = next((path for path in BUNDLES if _exists(path)), "")
        # A directory that is not there is passed over, as in OpenSSL and Go.
        self._dirs = [path for path in self._dirs if _exists(path)]
        self.source = ", ".join(filter(None, (self._file, *self._dirs)))
        if not self.source:
            raise Failure("TLS-STORE", store=", ".join(looked), error="nothing is there")

    def _context(self, der: bytes) -> Context:
        context = Context(_ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = True
        context.verify_mode = _ssl.CERT_REQUIRED
        context.minimum_version = _ssl.PROTO_TLSv1_2
        # An intermediate authority in the store is trust enough, as it is for Go.
        context.verify_flags |= _ssl.VERIFY_X509_PARTIAL_CHAIN
        path = self.source
        try:
            if der:
                context.load_verify_locations(None, None, der)
            elif self._file:
                path = self._file
                context.load_verify_locations(path, None, None)
            for path in self._dirs:
                if _is_hashed(path):
                    context.load_verify_locations(None, path, None)
                else:
                    for name in sorted(posix.listdir(path)):
                        if name.endswith((".pem", ".crt")):
                            context.load_verify_locations(f"{path}/{name}", None, None)
        except OSError as error:  # _ssl.SSLError is one
            reason = getattr(error, "reason", None) or error.strerror
            raise Failure("TLS-STORE", store=path, error=reason) from None
        return context

    def context(self, host: str, *, whole: bool) -> Context:
        """The context for a connection to `host`; narrowed for Google's hosts unless `whole`."""
        if self._untold:
            self._find()
        if host.endswith(_GOOGLE) and self._file and not whole:
            if self._narrow is None and (der := _named(_read(self._file))):
                self._narrow = self._context(der)
            if self._narrow is not None:
                return self._narrow
        if self._whole is None:
            self._whole = self._context(b"")
        return self._whole

    def can_widen(self, context: "Context | None") -> bool:
        """Whether a failed verification is worth a second try with the whole bundle."""
        return context is not None and context is self._narrow


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


class TlsStream(Stream):
    """A byte stream inside TLS."""

    def __init__(self, sock: Socket, until: Deadline, tls: "_Tls") -> None:
        super().__init__(sock, until)
        self._tls = tls

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        while data:
            self._sock.end_by(self._until)
            data = data[self._tls.write(data) :]

    def receive(self) -> bytes:
        """Receive some bytes; none when the peer has closed, in order or not."""
        self._sock.end_by(self._until)
        try:
            return self._tls.read(16384)
        except (_ssl.SSLZeroReturnError, _ssl.SSLEOFError):
            return b""


def secure(
    sock: Socket, address: Address, context: Context, until: Deadline, store: str
) -> TlsStream:
    """Shake hands. Raises Failure TLS-*; TLS-UNTRUSTED and its kin are final, TLS-FAILED is not."""
    tls = context._wrap_socket(sock, 0, address.host)
    sock.end_by(until)
    try:
        tls.do_handshake()
    except _ssl.SSLCertVerificationError as error:
        code = _CODES.get(error.verify_code, "TLS-UNTRUSTED")
        raise Failure(code, address=address, error=error.verify_message, store=store) from None
    except TimeoutError:
        raise Failure("TLS-TIMEOUT", address=address) from None
    except OSError as error:  # _ssl.SSLError is one
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise Failure("TLS-FAILED", address=address, error=reason) from None
    return TlsStream(sock, until, tls)
