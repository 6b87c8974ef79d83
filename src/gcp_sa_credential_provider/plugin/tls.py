"""The trust store, and TLS 1.2 or newer on a connected socket; verification is always on.

Where the store comes from: SSL_CERT_FILE and SSL_CERT_DIR as in OpenSSL and Go; otherwise a hashed
directory, which OpenSSL searches only for the one authority it needs; otherwise the first bundle
file that a distribution is known to have (the list of Go's crypto/x509/root_linux.go); otherwise,
in the static file, Mozilla's authorities as they were when it was built. A place that is named or
known and holds nothing is an error, not a reason to look further. Only where verification fails
with the system's hashed directory, its bundle is taken as well: an authority of the company's own
may have been added to that alone, and Go, which reads both, would trust it.

A bundle of 145 certificates takes OpenSSL some 50 million instructions to load, twice as much as
all else that this program does. So for Google's hosts only those certificates are loaded first that
name Google's own authority (pki.goog/repository). This only ever narrows the node's own store, and
where verification fails with it, the connection is made again with the whole bundle.
"""

import _ssl
import binascii
import posix

from gcp_sa_credential_provider.plugin.connect import Address, Socket, Stream
from gcp_sa_credential_provider.plugin.deadline import Deadline
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.names import only

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

_AUTHORITY = b"Google Trust Services"
_GOOGLE = ".googleapis.com"
_FEW = 8  # certificates that are loaded whole without thinking
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_LARGEST_BUNDLE = 16 * 1024 * 1024  # bytes

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_CODES = {9: "TLS-NOT-YET", 10: "TLS-EXPIRED", 62: "TLS-HOSTNAME", 64: "TLS-HOSTNAME"}


def _read(path: str) -> bytes:
    """A bundle; empty where it cannot be read, which loading it whole then reports."""
    data = b""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
        try:
            while len(data) <= _LARGEST_BUNDLE and (more := posix.read(fd, 1 << 18)):
                data += more
        finally:
            posix.close(fd)
    except OSError:  # a directory can be opened, too
        return b""
    return data


def _is_hashed(directory: str) -> bool:
    """Whether `openssl rehash` was there: names of 8 hex digits, a dot and a number."""
    try:
        names = posix.listdir(directory)
    except OSError:
        return False
    return any(
        name[8:9] == "." and only("0123456789abcdef", name[:8]) and only("0123456789", name[9:])
        for name in names
    )


def _forms(name: bytes) -> "list[bytes]":
    """What of `name` stands in base64, whichever byte of three it begins at, cut in halves.

    A line may end within one of the halves, but not in both.
    """
    forms = []
    for skipped in range(3):
        inner = name[skipped : skipped + (len(name) - skipped) // 6 * 6]
        text = binascii.b2a_base64(inner, newline=False)
        forms += [text[: len(text) // 2], text[len(text) // 2 :]]
    return forms


def _named(bundle: bytes) -> bytes:
    """DER of the certificates that name Google's authority; empty: take all.

    The names are looked for as they stand: to decode all of a bundle costs as much as a handshake.
    """
    if bundle.count(_BEGIN) < _FEW:
        return b""
    found = {}
    for form in _forms(_AUTHORITY):
        at = bundle.find(form)
        while at >= 0:
            begin, end = bundle.rfind(_BEGIN, 0, at) + len(_BEGIN), bundle.find(_END, at)
            block = bundle[begin:end]
            if end < 0 or b"-" in block:  # not the layout that all bundles have
                return b""
            try:
                found[begin] = binascii.a2b_base64(block)
            except ValueError:  # binascii.Error
                return b""
            at = bundle.find(form, end)
    return b"".join(found.values())


def _built_in() -> "tuple[str, bytes]":
    """What the built-in bundle is called and its certificates in DER; empty where there is none."""
    try:  # the static build makes this module
        from gcp_sa_credential_provider.plugin import bundle  # type: ignore[attr-defined]  # see above
    except ImportError:
        return "", b""
    return f"built-in bundle of {bundle.VERSION}", bundle.DER


def _named_in(der: bytes) -> bytes:
    """What `_named` finds, in certificates one after the other (X.690: two bytes of length)."""
    found, at = [], 0
    while at < len(der):
        size = 4 + int.from_bytes(der[at + 2 : at + 4], "big")
        if der.find(_AUTHORITY, at, at + size) >= 0:
            found.append(der[at : at + size])
        at += size
    return b"".join(found)


class TrustStore:
    """The certificates to trust. Read at the first use and kept for the next connection."""

    def __init__(self, cert_file: str, cert_dir: str) -> None:
        self._file = cert_file
        self._dirs = [directory for directory in cert_dir.split(":") if directory]
        self._built_in = b""
        self._has_more = False
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
            self._has_more = bool(self._dirs)
            if not self._dirs:
                self._file = _system_bundle()
                if not self._file:
                    self.source, self._built_in = _built_in()
        # A directory that is not there is passed over, as in OpenSSL and Go.
        self._dirs = [path for path in self._dirs if _exists(path)]
        self.source = self.source or ", ".join(filter(None, (self._file, *self._dirs)))
        if not self.source:
            raise Failure("TLS-STORE", store=", ".join(looked), error="nothing is there")

    def _context(self, der: bytes) -> Context:
        context = Context(_ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = True
        context.verify_mode = _ssl.CERT_REQUIRED
        context.minimum_version = _ssl.PROTO_TLSv1_2
        # An intermediate authority in the store is trust enough, as it is for Go.
        context.verify_flags |= _ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            if der:
                context.load_verify_locations(None, None, der)
            elif self._file:
                context.load_verify_locations(self._file, None, None)
        except OSError as error:
            raise _useless(self._file or self.source, error) from None
        loaded, problem = bool(der or self._file), None
        for directory in self._dirs:
            problem = _load_directory(context, directory)
            loaded = loaded or problem is None
        if problem and not loaded:
            raise problem
        return context

    def context(self, host: str, *, whole: bool) -> Context:
        """The context for a connection to `host`; narrowed for Google's hosts unless `whole`."""
        if self._untold:
            self._find()
        if host.endswith(_GOOGLE) and not whole:
            if self._narrow is None and (der := self._narrowed()):
                self._narrow = self._context(der)
            if self._narrow is not None:
                return self._narrow
        if self._whole is None:
            self._whole = self._context(self._built_in)
        return self._whole

    def _narrowed(self) -> bytes:
        if self._built_in:
            return _named_in(self._built_in)
        return _named(_read(self._file)) if self._file else b""

    def widen(self, context: "Context | None") -> bool:
        """Whether a failed verification is worth a second try, with the whole store.

        The bundle beside the system's hashed directory is added to that, once.
        """
        if context is None or context is self._narrow:
            return context is not None
        path = _system_bundle() if self._has_more else ""
        self._has_more = False
        if not path:
            return False
        try:
            context.load_verify_locations(path, None, None)
        except OSError:
            return False  # nothing is in it: the directory is all there is
        self.source = f"{self.source}, {path}"
        return True


def _useless(path: str, error: OSError) -> Failure:
    reason = getattr(error, "reason", None) or error.strerror  # _ssl.SSLError is an OSError
    return Failure("TLS-STORE", store=path, error=reason)


def _load_directory(context: Context, directory: str) -> "Failure | None":
    """Trust what is in a directory. Returns what is wrong where nothing in it is of use.

    What is no certificate is passed over, as in OpenSSL and Go: a key, a link that leads nowhere.
    """
    if _is_hashed(directory):
        context.load_verify_locations(None, directory, None)
        return None
    try:
        names = sorted(posix.listdir(directory))
    except OSError as error:
        return _useless(directory, error)
    loaded, problem = False, Failure("TLS-STORE", store=directory, error="no certificate is in it")
    for name in names:
        if name.endswith((".pem", ".crt")):
            path = f"{directory}/{name}"
            try:
                context.load_verify_locations(path, None, None)
                loaded = True
            except OSError as error:
                problem = _useless(path, error)
    return None if loaded else problem


def _system_bundle() -> str:
    """The first known bundle that is there, or empty."""
    return next((path for path in BUNDLES if _exists(path)), "")


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
