"""Which image belongs to which registry: the kubelet's matching, and whom a token may be given to.

Rules: kubernetes pkg/credentialprovider/keyring.go, `URLsMatch`: host and port apart, as many
labels in the image's host as in the pattern's, each label matched by itself, the port equal, the
pattern's path a plain prefix of the image's.
"""

from gcp_sa_credential_provider.plugin.names import only
from gcp_sa_credential_provider.plugin.value import Value

# Under these a wildcard stays within names that Google alone hands out.
GOOGLE_DOMAINS = (("pkg", "dev"), ("gcr", "io"))

_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
_LABEL = _LOWER + "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
_PATH = _LABEL + "./"


class BadPattern(ValueError):  # noqa: N818 -- the pattern is bad, not the program
    """A pattern or an image that cannot be meant; `str()` says why."""


class Pattern(Value):
    """One image pattern, or an image, taken apart as the kubelet does."""

    text: str
    labels: "list[str]"
    port: str
    path: str

    @property
    def registry(self) -> str:
        """Host and port: the key of a credential for the whole registry."""
        return self.text.partition("/")[0]


def _take_apart(text: str, label_characters: str) -> Pattern:
    registry, slash, rest = text.partition("/")
    host, colon, port = registry.partition(":")
    labels = host.split(".")
    if not all(only(label_characters, label) for label in labels):
        raise BadPattern("its host is not a host name")
    if colon and not only("0123456789", port):
        raise BadPattern("its port is not a number")
    if rest and not only(_PATH, rest):
        raise BadPattern("its path has a character that no repository has")
    return Pattern(text=text, labels=labels, port=port, path=slash + rest)


def parse_image(text: str) -> Pattern:
    """Take apart an image name without tag or digest, as the kubelet sends it."""
    image = _take_apart(text, _LABEL)
    if len(image.path) < 2:
        raise BadPattern("it has no path behind the registry")
    return image


def parse_pattern(text: str) -> Pattern:
    """Check one pattern of GCP_REGISTRIES: it says who is given a Google token."""
    if "://" in text:
        raise BadPattern("a scheme never matches; leave it out")
    if "*" in text.partition("/")[2]:
        raise BadPattern("the kubelet knows no wildcard in a path; a path is a plain prefix")
    pattern = _take_apart(text, _LABEL + "*")
    if "*" in pattern.text:
        if "*" in "".join(pattern.labels[-2:]):
            raise BadPattern("a wildcard in the last two labels matches strangers' registries")
        if tuple(pattern.labels[-2:]) not in GOOGLE_DOMAINS:
            raise BadPattern("wildcards stand in *.pkg.dev and *.gcr.io only; name the host whole")
    elif len(pattern.labels) < 2 and not pattern.port:
        raise BadPattern("it is not a registry's host name")
    return pattern


def _label_matches(glob: str, label: str) -> bool:
    first, *rest = glob.split("*")
    if not rest:
        return glob == label
    last = rest.pop()
    if len(label) < len(first) + len(last) or not label.startswith(first):
        return False
    if not label.endswith(last):
        return False
    middle = label[len(first) : len(label) - len(last)]
    for part in rest:
        at = middle.find(part)
        if at < 0:
            return False
        middle = middle[at + len(part) :]
    return True


def matches(pattern: Pattern, image: Pattern) -> bool:
    """Whether the kubelet would say that `image` matches `pattern`."""
    return (
        pattern.port == image.port
        and len(pattern.labels) == len(image.labels)
        and image.path.startswith(pattern.path)
        and all(map(_label_matches, pattern.labels, image.labels))
    )
