"""Single values of a description: what each may be, and what is said of the usual slips.

Imports pydantic and public functions of the plugin, which judges some of them again on the node.
Rules of names: RFC 1123 (Kubernetes namespaces and ServiceAccounts); Google: project ids, service
accounts, locations and repository names of Artifact Registry; IAM v1 API messages
WorkloadIdentityPool and WorkloadIdentityPoolProvider.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from gcp_sa_credential_provider.fleet.problem import shown
from gcp_sa_credential_provider.plugin.images import BadPattern, parse_pattern
from gcp_sa_credential_provider.plugin.names import BadName, account_name

SLIP = "slip"
"""The type of errors whose context has a message and a fix of ours."""

GCR = {"gcr.io": "us", "us.gcr.io": "us", "eu.gcr.io": "europe", "asia.gcr.io": "asia"}
"""Repositories that are named like their hosts, to their locations (Artifact Registry, "gcr.io
repositories")."""


def refuse(message: str, fix: str) -> NoReturn:
    """Raise pydantic's error for a value, with a message and a fix."""
    raise PydanticCustomError(SLIP, "{message}", {"message": message, "fix": fix})


@dataclass(frozen=True)
class Slip:
    """A mistake that is often made: what it looks like, and what to say."""

    pattern: str
    message: str
    fix: str


@dataclass(frozen=True)
class Rule:
    """What a text may be. `pattern` matches it whole, here and in the JSON Schema."""

    pattern: str
    message: str
    """Said of anything else, behind the value."""
    fix: str
    longest: int
    """Characters."""
    slips: tuple[Slip, ...] = ()
    """Looked for first, in this order."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) | {"pattern": f"^({self.pattern})$", "maxLength": self.longest}

    def check(self, text: str) -> str:
        """Return it. Raises pydantic's error."""
        for slip in self.slips:
            if re.fullmatch(slip.pattern, text):
                refuse(f"{shown(text)} {slip.message}", slip.fix)
        if len(text) > self.longest:
            refuse(
                f"{shown(text)} has {len(text)} characters, at most {self.longest} are taken",
                "shorten it",
            )
        if not (re.fullmatch(self.pattern, text) and text.isprintable()):
            refuse(f"{shown(text)} {self.message}", self.fix)
        return text


_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_UPPER = Slip("[a-zA-Z0-9.-]*[A-Z][a-zA-Z0-9.-]*", "has capital letters", "write small ones")
_LABEL_FIX = "use a-z, 0-9 and dashes, with a letter or digit at both ends"


def _version(value: object) -> object:
    """Pydantic takes true and 1.0 for 1, and no number of 64 bits or more."""
    if isinstance(value, int | float) and (type(value) is not int or value != 1):
        refuse(f"{shown(value).lower()} is no version of this format", "write 1")
    return value


Version = Annotated[Literal[1], BeforeValidator(_version, json_schema_input_type=Literal[1])]
ClusterName = Annotated[
    str,
    Rule(
        _LABEL,
        "is not a name",
        _LABEL_FIX,
        63,
        (
            Slip(
                "google",
                "is the folder of Google's side in what `render` writes",
                "choose another name",
            ),
            Slip(r"\*", "is not one cluster", "write an entry for each cluster"),
            _UPPER,
        ),
    ),
]
GroupName = Annotated[str, Rule(_LABEL, "is not a name", _LABEL_FIX, 63, (_UPPER,))]
Namespace = Annotated[
    str,
    Rule(
        _LABEL,
        "is not the name of a namespace (RFC 1123 label)",
        _LABEL_FIX,
        63,
        (
            Slip(
                r".*\*.*",
                "is a wildcard, and IAM has none for namespaces",
                "leave `namespace` out for the whole cluster, or write an entry for each namespace",
            ),
            _UPPER,
        ),
    ),
]
ServiceAccountName = Annotated[
    str,
    Rule(
        rf"{_LABEL}(\.{_LABEL})*",
        "is not the name of a ServiceAccount (RFC 1123 subdomain)",
        f"{_LABEL_FIX}; dots may stand between",
        253,
        (
            Slip(
                r".*\*.*",
                "is a wildcard, and IAM has none for ServiceAccounts",
                "leave `serviceAccount` out for the whole namespace, or write an entry for each",
            ),
            Slip(
                "system:serviceaccount:.*",
                "is a subject, not a name",
                "write the namespace into `namespace` and the last part here",
            ),
            Slip(
                "[^/]+/[^/]+",
                "has a slash",
                "write the namespace into `namespace` and the name here",
            ),
            _UPPER,
        ),
    ),
]
ProjectId = Annotated[
    str,
    Rule(
        "([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]",
        "is not a project id",
        "write the id, as in my-project: 6 to 30 of a-z, 0-9 and dashes, a letter first",
        94,
        (
            Slip(
                "[0-9]+",
                "is a project number, and the id belongs here",
                "write the id, as in my-project; `gcloud projects describe NUMBER"
                " --format='value(projectId)'` prints it",
            ),
        ),
    ),
]


def number_text(value: object) -> object:
    """A number without quotes is meant as well, where none has a zero in front."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


ProjectNumber = Annotated[
    str,
    BeforeValidator(number_text, json_schema_input_type=str | int),
    Rule(
        "[1-9][0-9]*",
        "is not a project number",
        "write the number; `gcloud projects describe PROJECT_ID --format='value(projectNumber)'`"
        " prints it",
        20,
        (
            Slip(
                "([a-z0-9.-]+:)?[a-z][a-z0-9-]*",
                "is a project id, and the number belongs here: Google knows pools by it",
                "write the number; `gcloud projects describe PROJECT_ID"
                " --format='value(projectNumber)'` prints it",
            ),
        ),
    ),
]
FederationId = Annotated[
    str,
    Rule(
        "(?!gcp-)[a-z0-9-]{4,32}",
        "is not an id of a pool or provider",
        "use 4 to 32 of a-z, 0-9 and dashes",
        32,
        (
            Slip("gcp-.*", "begins with gcp-, which Google keeps for itself", "drop the gcp-"),
            Slip("[a-z0-9-]{1,3}", "is too short", "use 4 to 32 characters"),
            Slip(
                ".*/.*",
                "is a path, not an id",
                "write the last part alone",
            ),
            _UPPER,
        ),
    ),
]


def _minor_text(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        refuse(
            "it is a number without quotes, and YAML reads 1.30 as 1.3",
            'put it in quotes, as in "1.34"',
        )
    return value


Minor = Annotated[
    str,
    BeforeValidator(_minor_text, json_schema_input_type=str),
    Rule(
        r"1\.(0|[1-9][0-9]*)",
        "is not a minor version of Kubernetes",
        'write it as in "1.34"',
        5,
        (
            Slip(
                r"v1\.[0-9]+(\..*)?|1\.[0-9]+\..*",
                "is more than a minor version",
                'write it as in "1.34", without v and patch level',
            ),
        ),
    ),
]
"""Checked on its own before it is compared."""


def _account(text: str) -> str:
    try:
        account_name(text)
    except BadName as error:
        refuse(f"{shown(text)} is no service account: {error}", _ACCOUNT_FIX)
    if "@" not in text:
        refuse(f"{shown(text)} is a numeric id, and IAM members have e-mails", _ACCOUNT_FIX)
    if not text.endswith(".gserviceaccount.com"):
        refuse(f"{shown(text)} is no service account's e-mail", _ACCOUNT_FIX)
    return text


_ACCOUNT_FIX = "write its e-mail, as in puller@my-project.iam.gserviceaccount.com"
AccountEmail = Annotated[str, AfterValidator(_account)]
Location = Annotated[
    str,
    Rule(
        # Other universes put a word in front: u-france-east1.
        "[a-z]+|([a-z]+-)+[a-z]+[0-9]+",
        "is not a location of Artifact Registry",
        "write a region as in europe-west4, or us, europe, asia",
        63,
        (
            Slip(
                "([a-z]+-)+[a-z]+[0-9]+-[a-z]",
                "is a zone",
                "write its region, without the last letter",
            ),
            Slip(
                r".*docker(\.pkg\.dev)?(/.*)?",
                "is a host",
                "write what stands before -docker.pkg.dev",
            ),
        ),
    ),
]
RepositoryId = Annotated[
    str,
    Rule(
        r"[a-z]([a-z0-9-]*[a-z0-9])?|((us|eu|asia)\.)?gcr\.io",
        "is not a repository's id",
        "use a-z, 0-9 and dashes, a letter first; or gcr.io, us.gcr.io, eu.gcr.io, asia.gcr.io",
        63,
        (
            Slip(r".*\*.*", "is a wildcard", "leave `repositories` out for all"),
            Slip(
                ".*/.*",
                "is a path, not an id",
                "write the last part here; the rest belongs into `location` and `project`",
            ),
        ),
    ),
]


def _image_prefix(text: str) -> str:
    try:
        pattern = parse_pattern(text)
    except BadPattern as error:
        refuse(f"{shown(text)} is no image prefix: {error}", _PREFIX_FIX)
    if "*" in text:
        refuse(f"{shown(text)} has a wildcard, and a repository has one host", _PREFIX_FIX)
    if text.partition("/")[0] != text.partition("/")[0].lower():
        refuse(f"{shown(text)}: the kubelet tells capitals apart in hosts", "write small letters")
    if not pattern.path.strip("/"):
        refuse(
            f"{shown(text)} is a whole registry, of which others have repositories too",
            _PREFIX_FIX,
        )
    if "//" in text or ".." in text:
        refuse(f"{shown(text)} has an empty or a climbing path", _PREFIX_FIX)
    return text


_PREFIX_FIX = "write host and path, as in europe-docker.pkg.dev/my-project/images"
ImagePrefix = Annotated[str, AfterValidator(_image_prefix)]
Domain = Annotated[
    str,
    Rule(
        rf"{_LABEL}(\.{_LABEL})+",
        "is not a domain",
        "write it as in googleapis.com, or leave it out",
        253,
        (Slip(".*://.*", "has a scheme", "write the domain alone, as in googleapis.com"),),
    ),
]
FileName = Annotated[
    str,
    Rule(
        "[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]*",
        "is not a file beside this one",
        "write a path that begins at this file's folder",
        1024,
    ),
]
