r"""What other programs write, and which code each text stands for.

TEXTS is searched from top to bottom and the first match counts: a cause stands above the text
that merely wraps it. The named groups of a pattern are its evidence. `example` is a text as it
is seen in the field; docs/errors.md shows it. Patterns see one entry of a log in which `\"` has
become `"`.

Imports nothing of ours. Sources: see `messages.py`.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """One wording of one program."""

    code: str
    pattern: re.Pattern[str]
    example: str


def _text(code: str, pattern: str, example: str) -> Text:
    return Text(code, re.compile(pattern), example)


# The registries that tokens are for unless GCP_REGISTRIES says otherwise. What is said of another
# one is no concern of ours: mirror.gcr.io and k8s.gcr.io are others, too.
_GCR = r"(?:us\.|eu\.|asia\.)?gcr\.io"
_GOOGLE_HOST = r"(?:[a-z0-9-]{1,40}-docker\.pkg\.dev|" + _GCR + ")"
_GOOGLE_REGISTRY = r"(?<![a-z0-9.-])(?P<registry>" + _GOOGLE_HOST + ")/"
# The rest of a value: to the end of klog's quoted value, of klog's block, of the entry.
_REST = r'.{1,4000}?(?=(?:"| >) \w+="|$)'

TEXTS = (
    # API server, about the kubelet's TokenRequest.
    _text(
        "KUBELET-AUDIENCE",
        r'audience "(?P<audience>[^"]*)" not found in pod spec volume'
        r"(?:, (?:error authorizing )?(?P<node>system:node:[^\s:]+))?",
        'audience "AUDIENCE" not found in pod spec volume, system:node:NODE is not authorized to '
        "request tokens for this audience",
    ),
    _text(
        "KUBELET-AUDIENCE",
        r"(?P<node>system:node:\S{1,253}) (?:is not authorized )?to request tokens for audience "
        r'"(?P<audience>[^"]*)"',
        'system:node:NODE is not authorized to request tokens for audience "AUDIENCE"',
    ),
    # Google's Security Token Service.
    _text(
        "STS-AUDIENCE-FORMAT",
        r'Invalid value for "audience"',
        'Invalid value for "audience". This value should be the full resource name of the Identity '
        "Provider.",
    ),
    _text(
        "STS-TARGET",
        r'The target service indicated by the "audience" parameters is invalid'
        r'|"error":\s*"invalid_target"',
        'The target service indicated by the "audience" parameters is invalid. This might either '
        "be because the pool or provider is disabled or deleted or because it doesn't exist.",
    ),
    _text(
        "STS-AUDIENCE",
        r"The audience in ID Token \[?(?P<audience>[^\]\s]*)\]? does not match the expected "
        r"audience(?: (?P<expected>[^\s\"]+?))?\.?(?=[\s\"]|$)",
        "The audience in ID Token [AUDIENCE] does not match the expected audience.",
    ),
    _text(
        "STS-ISSUER",
        r"The issuer in ID Token (?P<issuer>\S+) does not match the expected ones?"
        r"(?:: (?P<expected>[^\s\"]+))?",
        "The issuer in ID Token ISSUER does not match the expected one in config",
    ),
    _text(
        "STS-STALE",
        r"ID Token issued at (?P<issued>\S+) is stale to sign-in",
        "ID Token issued at SECONDS is stale to sign-in.",
    ),
    _text(
        "STS-SIGNATURE",
        r"Unable to verify the ID Token signature",
        "Unable to verify the ID Token signature.",
    ),
    _text(
        "STS-ISSUER-KEYS",
        r"Error connecting to the given credential's issuer",
        "Error connecting to the given credential's issuer.",
    ),
    _text(
        "STS-CONDITION",
        r"The given credential is rejected by the attribute condition",
        "The given credential is rejected by the attribute condition.",
    ),
    _text(
        "STS-SUBJECT",
        r"Could not obtain a value for google\.subject",
        "Could not obtain a value for google.subject from the given credential.",
    ),
    _text(
        "STS-SUBJECT-SIZE",
        r"The size of mapped attribute (?P<attribute>\S+) exceeds the (?P<limit>\d+) bytes limit",
        "The size of mapped attribute google.subject exceeds the 127 bytes limit.",
    ),
    _text(
        "STS-QUOTA",
        r'The request was throttled due to rate limit: sts\.|"error":\s*"quota_exceeded"',
        "The request was throttled due to rate limit: sts.googleapis.com/requests. Please retry "
        "after a few seconds.",
    ),
    _text(
        "STS-DISABLED",
        r"Security Token Service API has not been used in project (?P<project>\S+)",
        "Security Token Service API has not been used in project NUMBER before or it is disabled.",
    ),
    # Google's IAM and IAM Credentials.
    _text(
        "IAM-DISABLED",
        r"IAM Service Account Credentials API has not been used in project (?P<project>\S+)",
        "IAM Service Account Credentials API has not been used in project NUMBER before or it is "
        "disabled.",
    ),
    _text(
        "IAM-DENIED",
        r"(?P<permission>iam\.serviceAccounts\.getAccessToken)['\"]? denied",
        "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
    ),
    _text(
        "IAM-LIFETIME",
        r"can not have lifetimes of more than 1 hour"
        r"|iam\.allowServiceAccountCredentialLifetimeExtension",
        "can not have lifetimes of more than 1 hour. Use the Org Policy Constraint "
        "constraints/iam.allowServiceAccountCredentialLifetimeExtension",
    ),
    _text("IAM-LIFETIME-ZERO", r"must be larger then zero", "must be larger then zero"),
    _text(
        "IAM-FEDERATED",
        r"Request had invalid authentication credentials\. Expected OAuth 2 access token",
        "Request had invalid authentication credentials. Expected OAuth 2 access token",
    ),
    _text(
        "PROVIDER-ORG-POLICY",
        r"Org Policy violated for value(?:: ['\"]?(?P<issuer>https?://[^\s'\"]+))?",
        "Org Policy violated for value",
    ),
    _text(
        "PROVIDER-JWK-JSON",
        r"Input JWK is not in a valid json format",
        "Input JWK is not in a valid json format",
    ),
    _text(
        "PROVIDER-ISSUER-SCHEME",
        r"Invalid OIDC issuer URI\. The scheme must be https",
        "Invalid OIDC issuer URI. The scheme must be https.",
    ),
    _text(
        "PROVIDER-KEY-TYPE",
        r"Only RSA, EC key types are supported",
        "Invalid JWKs … Only RSA, EC key types are supported.",
    ),
    _text(
        "PROVIDER-KEY-MATERIAL",
        r"Input jwks contains corrupted key material",
        "Input jwks contains corrupted key material.",
    ),
    _text(
        "PROVIDER-CONDITION",
        r"The attribute condition must reference one of the provider's claims",
        "The attribute condition must reference one of the provider's claims",
    ),
    # The kubelet, about its configuration: it ends with "Failed to register CRI auth plugins".
    _text(
        "KUBELET-CACHETYPE-UNKNOWN",
        r'unknown field "(?P<field>[^"]*\.cacheType)"',
        'error decoding config FILE: strict decoding error: unknown field "providers[0].'
        'tokenAttributes.cacheType"',
    ),
    _text(
        "KUBELET-CACHETYPE-REQUIRED",
        r"(?P<field>providers\S{0,80}\.cacheType): (?:Required|Unsupported) value",
        "failed to validate credential provider config: providers.tokenAttributes.cacheType: "
        "Required value: cacheType is required to be set when tokenAttributes is specified.",
    ),
    _text(
        "KUBELET-GATE",
        r"tokenAttributes is not supported when KubeletServiceAccountTokenForCredentialProviders"
        r'|unknown field "(?P<field>[^"]*\.tokenAttributes)"',
        "tokenAttributes is not supported when KubeletServiceAccountTokenForCredentialProviders "
        "feature gate is disabled",
    ),
    _text(
        "KUBELET-TOKEN-VERSION",
        r"tokenAttributes is only supported for (?P<supported>\S+) API version",
        "tokenAttributes is only supported for credentialprovider.kubelet.k8s.io/v1 API version",
    ),
    _text(
        "KUBELET-CONFIG-DUPLICATE",
        r'duplicate provider name "(?P<name>[^"]*)"'
        r'|providers\.name: Duplicate value: "(?P<value>[^"]*)"',
        'duplicate provider name "NAME" found in configuration file(s)',
    ),
    _text(
        "KUBELET-BINARY",
        # The kubelet leaves a blank where the executable's path should be.
        r"plugin binary (?:executable|directory) (?:(?P<path>\S+) )?did not exist"
        r"|error inspecting binary directory (?P<directory>[^\s:]+)"
        r'|error inspecting binary executable .{0,255}?: exec: "(?P<executable>[^"]*)"',
        "plugin binary executable PATH did not exist",
    ),
    _text(
        "KUBELET-CONFIG-INVALID",
        r"failed to validate credential provider config: (?P<fault>" + _REST + ")",
        "failed to validate credential provider config: providers.defaultCacheDuration: Required "
        "value",
    ),
    _text(
        "KUBELET-CONFIG-FILE",
        r"unable to access path \"(?P<path>[^\"]*)\""
        r"|unable to read external registry credential provider configuration from "
        r"\"(?P<file>[^\"]*)\""
        r"|no configuration files found in directory \"(?P<directory>[^\"]*)\""
        r"|credential provider config path is empty",
        'unable to access path "PATH"',
    ),
    _text(
        "KUBELET-CONFIG-DECODE",
        r'error decoding config "?(?P<file>[^\s":]+)"?: (?P<fault>'
        + _REST
        + r")|failed to decode (?:CredentialProviderConfig|\S+ \(wrong Kind\))",
        'error decoding config "FILE": strict decoding error: unknown field "providers[0].NAME"',
    ),
    _text(
        "KUBELET-CONFIG",
        r"Failed to register CRI auth plugins",
        "Failed to register CRI auth plugins",
    ),
    # The kubelet, about one pull. Up to 1.34 in one sentence, from 1.35 on as err="...".
    _text(
        "KUBELET-SERVICEACCOUNT-NONE",
        r"Service account name is empty(?: for pod (?P<pod>\S+))?",
        "Service account name is empty",
    ),
    _text(
        "KUBELET-ANNOTATION",
        r"Failed to get service account data(?: (?P<serviceAccount>\S+):)?"
        r"(?:.{0,9}required annotation (?P<annotation>\S+) not found)?",
        "Failed to get service account data",
    ),
    _text(
        "KUBELET-SERVICEACCOUNT",
        r"Failed to get service account (?P<serviceAccount>[^\s/]+/[^\s:]+): "
        r"|failed to get service account: ",
        "Failed to get service account NAMESPACE/NAME: ERROR",
    ),
    _text(
        "KUBELET-TOKEN",
        r"Error getting service account token (?P<serviceAccount>[^\s/]+/[^\s:]+): (?P<reason>"
        + _REST
        + r")|failed to get service account token: (?P<cause>"
        + _REST
        + ")",
        "Error getting service account token NAMESPACE/NAME: ERROR",
    ),
    _text(
        "KUBELET-CACHEKEY",
        r"did not return a valid cacheKeyType",
        "credential provider plugin did not return a valid cacheKeyType",
    ),
    _text(
        "KUBELET-RESPONSE",
        r"error decoding credential provider plugin response from stdout"
        r"|apiVersion from credential plugin response did not match expected apiVersion:"
        r"(?P<expected>[^\s,]+), actual apiVersion:(?P<actual>[^\s\"]*)"
        r"|error reading GVK from response",
        "error decoding credential provider plugin response from stdout",
    ),
    _text(
        "KUBELET-EXEC-TIMEOUT",
        r"error execing credential provider plugin (?P<plugin>\S+) for image \S+: "
        r"context deadline exceeded",
        "error execing credential provider plugin PLUGIN for image IMAGE: context deadline "
        "exceeded",
    ),
    _text(
        "KUBELET-EXEC-BINARY",
        r"error execing credential provider plugin (?P<plugin>\S+) for image \S+: "
        r"fork/exec (?P<path>[^\s:]+): (?P<reason>[a-z ]+)",
        "error execing credential provider plugin PLUGIN for image IMAGE: fork/exec PATH: no such "
        "file or directory",
    ),
    _text(
        "KUBELET-EXEC-ARGS",
        # Up to 1.34 the log is split behind the first line of the usage.
        r"error execing credential provider plugin (?P<plugin>\S+) for image \S+: "
        r"exit status 2: usage: gcp-sa-credential-provider\b"
        r"(?:.{1,4000}?: error: (?:argument COMMAND: invalid choice: '(?P<argument>[^']*)'"
        r"|unrecognized arguments: (?P<arguments>" + _REST + ")))?",
        "error execing credential provider plugin PLUGIN for image IMAGE: exit status 2: usage: "
        "gcp-sa-credential-provider [-h] [--version] COMMAND ...",
    ),
    _text(
        "KUBELET-EXEC",
        r"error execing credential provider plugin (?P<plugin>\S+) for image \S+: "
        r"(?P<status>exit status \d+|signal: [a-z ]+)?",
        "error execing credential provider plugin PLUGIN for image IMAGE: exit status 1: TEXT",
    ),
    _text(
        "KUBELET-ANONYMOUS",
        r'Pulling image without credentials(?!.{0,400}\bimage="(?!' + _GOOGLE_HOST + "/))",
        "Pulling image without credentials",
    ),
    # Artifact Registry, and containerd about it.
    _text(
        "REGISTRY-ANONYMOUS",
        r"Unauthenticated request(?:\. Unauthenticated requests do not have permission "
        r'"(?P<permission>[^"]*)" on resource "(?P<resource>[^"]*)")?',
        "Unauthenticated request. Unauthenticated requests do not have permission "
        '"artifactregistry.repositories.downloadArtifacts" on resource "RESOURCE" (or it may not '
        "exist)",
    ),
    _text(
        "REGISTRY-ANONYMOUS",
        r"failed to fetch anonymous token: unexpected status from [A-Z]+ request to https?://"
        + _GOOGLE_REGISTRY
        + r"\S*: (?P<status>40[13])",
        "failed to fetch anonymous token: unexpected status from GET request to "
        "https://us-docker.pkg.dev/v2/token?…: 403 Forbidden",
    ),
    _text(
        "REGISTRY-DENIED",
        r"Permission [\"'](?P<permission>artifactregistry\.[^\"']*)[\"'] denied on resource "
        r"[\"'](?P<resource>[^\"']*)[\"']",
        'Permission "artifactregistry.repositories.downloadArtifacts" denied on resource '
        '"RESOURCE" (or it may not exist)',
    ),
    _text(
        "REGISTRY-DENIED",
        r"failed to fetch oauth token: unexpected status from [A-Z]+ request to https?://"
        + _GOOGLE_REGISTRY
        + r"\S*: (?P<status>403)",
        "failed to fetch oauth token: unexpected status from GET request to "
        "https://us-docker.pkg.dev/v2/token?…: 403 Forbidden",
    ),
    _text(
        "REGISTRY-CREDENTIAL",
        r"failed to fetch oauth token: unexpected status from [A-Z]+ request to https?://"
        + _GOOGLE_REGISTRY
        + r"\S*: (?P<status>401)",
        "failed to fetch oauth token: unexpected status from GET request to "
        "https://us-docker.pkg.dev/v2/token?…: 401 Unauthorized",
    ),
    _text(
        "REGISTRY-NO-CREDENTIAL",
        r"not authenticated: No credential was supplied"
        r"|" + _GOOGLE_REGISTRY + r".{0,600}\bno basic auth credentials",
        "not authenticated: No credential was supplied.",
    ),
    _text(
        "REGISTRY-DISABLED",
        r"Artifact Registry API has not been used in project (?P<project>\S+)",
        "Artifact Registry API has not been used in project NUMBER before or it is disabled.",
    ),
    _text(
        "REGISTRY-CONTAINER-REGISTRY",
        r"(?<![a-z0-9.-])(?P<registry>" + _GCR + r")/.{0,400}\b412 Precondition Failed",
        "unexpected status from HEAD request to https://gcr.io/v2/…: 412 Precondition Failed",
    ),
    _text(
        "REGISTRY-FORBIDDEN",
        _GOOGLE_REGISTRY + r".{0,600}\b403 Forbidden",
        'Failed to pull image "IMAGE": … unexpected status from HEAD request to '
        "https://us-docker.pkg.dev/v2/…: 403 Forbidden",
    ),
    _text(
        "REGISTRY-IMAGE",
        r'failed to resolve reference "(?P<image>' + _GOOGLE_REGISTRY + r'[^"]*)": \S+: not found',
        'failed to resolve reference "us-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE:TAG": '
        "us-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE:TAG: not found",
    ),
)
