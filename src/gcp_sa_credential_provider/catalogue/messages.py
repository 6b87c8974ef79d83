"""The whole catalogue: the plugin's own codes, and those for what other programs say.

ALL maps every code to its Message, in the order of the chain from the kubelet's configuration to
the pull. OWN are the codes that this program writes itself; a FOREIGN code stands for a text of
the kubelet, the API server, Google's IAM, the container runtime or the registry, which
`recognise.py` knows by its words. A code is stable and never reused.

Imports the plugin's messages only: it lives in the node's static file too.
Sources: Kubernetes 1.33 to 1.37 (pkg/credentialprovider/plugin, plugin/pkg/admission/
noderestriction, plugin/pkg/auth/authorizer/node); containerd 2.1 (core/remotes/docker); Google,
"Troubleshoot Workload Identity Federation"; third-party measurements of 2026-09-28.
"""

from gcp_sa_credential_provider.plugin.messages import (
    IAM,
    KUBELET,
    MESSAGES,
    NETWORK,
    PROGRAM,
    SETTINGS,
    STS,
    Message,
)

KUBELET_CONFIG = "configuration of the kubelet"
TOKEN = "ServiceAccount token from the API server"  # noqa: S105 -- a link's name
PROVIDER = "set-up of the workload identity provider"
REGISTRY = "pull from the registry"

# The order in which a pull passes them; the provider is set up before the first exchange.
LINKS = (KUBELET_CONFIG, TOKEN, KUBELET, SETTINGS, NETWORK, PROVIDER, STS, IAM, REGISTRY, PROGRAM)

_CONFIG_FATAL = "The kubelet ends at its start, so that the node goes NotReady. "
_RESTART = ", then restart the kubelet (it reads the file at its start only)"
_GRANT_FORM = (
    "principal://iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL"
    "/subject/system:serviceaccount:NAMESPACE:NAME"
)


def _message(link: str, what: str, meaning: str, fix: str) -> Message:
    return Message(link=link, what=what, meaning=meaning, fix=fix)


FOREIGN = {
    # The kubelet's CredentialProviderConfig.
    "KUBELET-GATE": _message(
        KUBELET_CONFIG,
        "this kubelet does not know tokenAttributes, or their feature gate is off",
        _CONFIG_FATAL + "tokenAttributes need the gate "
        "KubeletServiceAccountTokenForCredentialProviders: absent up to 1.32, alpha and off in "
        "1.33, on by default from 1.34.",
        "on 1.33 set feature-gates=KubeletServiceAccountTokenForCredentialProviders=true at the "
        "kubelet and at kube-apiserver; before 1.33 upgrade; on newer ones look where the gate is "
        "turned off" + _RESTART,
    ),
    "KUBELET-TOKEN-VERSION": _message(
        KUBELET_CONFIG,
        "tokenAttributes stand at a provider whose apiVersion is not v1",
        _CONFIG_FATAL + "Only credentialprovider.kubelet.k8s.io/v1 carries ServiceAccount tokens.",
        "set apiVersion: credentialprovider.kubelet.k8s.io/v1 at this provider" + _RESTART,
    ),
    "KUBELET-CACHETYPE-UNKNOWN": _message(
        KUBELET_CONFIG,
        "this kubelet does not know tokenAttributes.cacheType",
        _CONFIG_FATAL + "The field came with 1.34, which requires it; 1.33 refuses it.",
        "take cacheType out for kubelets of 1.33" + _RESTART,
    ),
    "KUBELET-CACHETYPE-REQUIRED": _message(
        KUBELET_CONFIG,
        "tokenAttributes.cacheType is missing, or has another value than Token or ServiceAccount",
        _CONFIG_FATAL + "From 1.34 on the field is required.",
        "set cacheType: ServiceAccount, or Token where the provider maps claims of pod or node"
        + _RESTART,
    ),
    "KUBELET-CONFIG-FILE": _message(
        KUBELET_CONFIG,
        "the kubelet cannot read its credential provider configuration",
        _CONFIG_FATAL + "The path of --image-credential-provider-config does not exist, cannot be "
        "read, or is a directory: one with *.json, *.yaml or *.yml files works from 1.34 on.",
        "correct --image-credential-provider-config or put the file there" + _RESTART,
    ),
    "KUBELET-CONFIG-DECODE": _message(
        KUBELET_CONFIG,
        "the kubelet cannot decode its credential provider configuration",
        _CONFIG_FATAL + "Decoding is strict: an unknown or repeated field, a wrong kind or broken "
        "YAML is refused.",
        "correct the file: kind CredentialProviderConfig of kubelet.config.k8s.io/v1, with fields "
        "that this minor version knows" + _RESTART,
    ),
    "KUBELET-CONFIG-DUPLICATE": _message(
        KUBELET_CONFIG,
        "two providers have the same name",
        _CONFIG_FATAL + "A provider's name is its binary's name too and stands once, over all "
        "files of a configuration directory.",
        "remove one of them; for several audiences use several names (symbolic links to one "
        "binary)" + _RESTART,
    ),
    "KUBELET-CONFIG-INVALID": _message(
        KUBELET_CONFIG,
        "the kubelet refuses its credential provider configuration",
        _CONFIG_FATAL + "The text after providers. names the field. Required are name, apiVersion, "
        "matchImages and defaultCacheDuration, and in tokenAttributes "
        "serviceAccountTokenAudience and requireServiceAccount.",
        "correct the field that is named" + _RESTART,
    ),
    "KUBELET-BINARY": _message(
        KUBELET_CONFIG,
        "the kubelet does not find the plugin's binary",
        _CONFIG_FATAL + "Each provider's name must be an executable file in "
        "--image-credential-provider-bin-dir. The kubelet leaves out which one it misses.",
        "put the executable there under the provider's name, or correct "
        "--image-credential-provider-bin-dir" + _RESTART,
    ),
    "KUBELET-CONFIG": _message(
        KUBELET_CONFIG,
        "the kubelet could not set up its credential providers",
        _CONFIG_FATAL + "What follows err= in its log says why.",
        "correct what err= names" + _RESTART,
    ),
    # Before the kubelet runs the plugin.
    "KUBELET-SERVICEACCOUNT-NONE": _message(
        TOKEN,
        "the pod has no ServiceAccount, so the provider is skipped",
        "With requireServiceAccount: true the kubelet passes such pods by; static pods have no "
        "ServiceAccount. It says so at verbosity 5 only and then pulls anonymously.",
        "pull images of static pods in another way: preloaded, public, or with credentials in the "
        "container runtime",
    ),
    "KUBELET-ANNOTATION": _message(
        TOKEN,
        "the ServiceAccount lacks a required annotation, so the provider is skipped",
        "requiredServiceAccountAnnotationKeys choose which ServiceAccounts a provider serves. The "
        "kubelet says so at verbosity 5 only and then pulls anonymously.",
        "annotate the ServiceAccount, or move the key to optionalServiceAccountAnnotationKeys",
    ),
    "KUBELET-SERVICEACCOUNT": _message(
        TOKEN,
        "the kubelet could not read the pod's ServiceAccount",
        "The plugin was not run. Nodes may get ServiceAccounts only where kube-apiserver has the "
        "gate KubeletServiceAccountTokenForCredentialProviders too: off in 1.33, on from 1.34. "
        "Or the ServiceAccount does not exist.",
        "on 1.33 turn the gate on at kube-apiserver, or let the group system:nodes get "
        "serviceaccounts by a ClusterRole; otherwise create the ServiceAccount",
    ),
    "KUBELET-AUDIENCE": _message(
        TOKEN,
        "the API server gives this node no token for the audience",
        "The plugin was not run. A node needs the verb request-serviceaccounts-token-audience on "
        "the audience as resource. The pod need not have a volume for it, although kubelets up to "
        "1.36 are told so.",
        "grant the group system:nodes in the ServiceAccount's namespace: apiGroups [''], resources "
        "[the whole audience, byte for byte], verbs [request-serviceaccounts-token-audience]; "
        "check with a SubjectAccessReview (kubectl auth can-i cannot ask for such a resource)",
    ),
    "KUBELET-TOKEN": _message(
        TOKEN,
        "the kubelet got no ServiceAccount token from the API server",
        "The plugin was not run. What follows in the log is the API server's reason.",
        "read that reason: permission of the node, a deleted ServiceAccount, or an API server that "
        "cannot be reached",
    ),
    # Running the plugin.
    "KUBELET-EXEC-TIMEOUT": _message(
        KUBELET,
        "the kubelet killed the plugin after 60 seconds",
        "This plugin ends by itself within GCP_TIMEOUT (55 seconds at most): the node did not let "
        "it run, or another plugin is meant.",
        "look for load, memory pressure or a hanging file system on the node",
    ),
    "KUBELET-EXEC-BINARY": _message(
        KUBELET,
        "the node cannot execute the plugin's file",
        "No such file: the file, or the interpreter or loader that it names, is not there (a "
        "Python or dynamically linked program on a host without it). Exec format error: another "
        "architecture. Permission denied: no execute bit, or a file system mounted noexec.",
        "install the static file of the node's architecture with mode 0755",
    ),
    "KUBELET-EXEC-ARGS": _message(
        KUBELET,
        "the kubelet runs this program with arguments",
        "It is the plugin only where it has none; with arguments it is the operator's tool, which "
        "wrote its usage. Other providers have args, such as get-credentials or --v=3; this one's "
        "settings are all in env.",
        "take args out of this program's entry in the CredentialProviderConfig" + _RESTART,
    ),
    "KUBELET-EXEC": _message(
        KUBELET,
        "the plugin ended with an error",
        "What follows the exit status is what the plugin wrote to stderr; this program's own lines "
        "begin with gcp-sa-credential-provider: [CODE].",
        "look up the code of that line; without one, check which program stands under the "
        "provider's name",
    ),
    "KUBELET-RESPONSE": _message(
        KUBELET,
        "the kubelet cannot read what the plugin wrote to stdout",
        "stdout must hold one CredentialProviderResponse in the provider's apiVersion. Something "
        "else wrote there, or another program stands under the provider's name.",
        "check the binary under the provider's name and the provider's apiVersion "
        "(credentialprovider.kubelet.k8s.io/v1)",
    ),
    "KUBELET-CACHEKEY": _message(
        KUBELET,
        "the plugin's response has no valid cacheKeyType",
        "The kubelet takes Image, Registry or Global. This plugin always gives one of them.",
        "check which program stands under the provider's name",
    ),
    # IAM, when pool and provider are created or changed.
    "PROVIDER-ORG-POLICY": _message(
        PROVIDER,
        "an organisation policy does not allow this issuer",
        "constraints/iam.workloadIdentityPoolProviders lists the issuers that providers may have.",
        "let an administrator add the cluster's issuer to the policy, or create the provider in a "
        "project that the policy does not cover",
    ),
    "PROVIDER-JWK-JSON": _message(
        PROVIDER,
        "Google cannot read the uploaded JWKS",
        "A key may have the members kty, alg, use, kid, n, e, x, y and crv only; x5c or x5t, for "
        "example, are refused.",
        "strip all other members from the keys and upload again",
    ),
    "PROVIDER-ISSUER-SCHEME": _message(
        PROVIDER,
        "the issuer URI does not begin with https",
        "Google takes https issuers only, even where the keys are uploaded and nothing is fetched.",
        "give kube-apiserver an https issuer (--service-account-issuer); the former one may stay "
        "as a second, accepted issuer",
    ),
    "PROVIDER-KEY-TYPE": _message(
        PROVIDER,
        "the uploaded JWKS has a key of a type that Google does not take",
        "Taken are RSA keys and keys on the curve P-256; P-384 and P-521 are refused.",
        "let kube-apiserver sign with an RSA or P-256 key (--service-account-signing-key-file) and "
        "upload without the others",
    ),
    "PROVIDER-KEY-MATERIAL": _message(
        PROVIDER,
        "the uploaded JWKS has a key that Google cannot use",
        "Seen with Ed25519 keys; a truncated or edited key may give it as well.",
        "upload what the cluster publishes: kubectl get --raw /openid/v1/jwks, with RSA and P-256 "
        "keys alone",
    ),
    "PROVIDER-CONDITION": _message(
        PROVIDER,
        "this issuer needs an attribute condition",
        "Issuers that serve many customers, such as GitHub's, are taken only with a condition on "
        "their claims; a cluster's own issuer is not known to be one.",
        "check the issuer URI; for a shared issuer add an attribute condition that names your "
        "claims",
    ),
    # Google's APIs, met with a federated token.
    "IAM-FEDERATED": _message(
        IAM,
        "a Google API did not take the access token",
        "It has expired or is no access token, or that API takes no federated tokens. Artifact "
        "Registry takes them.",
        "get a new token; for an API that takes no federated tokens impersonate a service account "
        "(GCP_SERVICE_ACCOUNT)",
    ),
    "IAM-LIFETIME-ZERO": _message(
        IAM,
        "a token with a lifetime of zero was asked for",
        "generateAccessToken wants a lifetime of at least one second. This plugin asks for 600 or "
        "more.",
        "correct the lifetime in whatever program asked",
    ),
    # The pull.
    "KUBELET-ANONYMOUS": _message(
        REGISTRY,
        "the kubelet pulls without credentials",
        "No imagePullSecret, no node configuration and no provider gave a credential: no provider "
        "matches the image, it was skipped, or it failed.",
        "look in the kubelet's log just before this line; compare matchImages with the image "
        "(no scheme, no wildcard in the path, *.gcr.io does not match gcr.io)",
    ),
    "REGISTRY-ANONYMOUS": _message(
        REGISTRY,
        "no credential reached the registry",
        "The pull was anonymous: the kubelet did not run the plugin for this image, or the plugin "
        "failed and the kubelet went on without it. The IAM grant does not matter yet.",
        "look in the kubelet's log of that node for gcp-sa-credential-provider, and give that "
        "text to explain; nothing there: check matchImages, requireServiceAccount and required "
        "annotations",
    ),
    "REGISTRY-DENIED": _message(
        REGISTRY,
        "the registry took the credential and denies the permission",
        "The exchange worked. The grant is missing or names another principal, or there is no such "
        "repository: the registry does not tell these apart. A new grant takes a minute or more.",
        "grant roles/artifactregistry.reader on the repository to " + _GRANT_FORM + " (to the "
        "service account, where one is impersonated), and check location, project and repository "
        "in the image's name",
    ),
    "REGISTRY-NO-CREDENTIAL": _message(
        REGISTRY,
        "the registry asks for a credential and got none",
        "Every registry answers so to a first request. As the end of a pull it means that the "
        "container runtime had nothing to send.",
        "as for an anonymous pull: look in the kubelet's log of that node for "
        "gcp-sa-credential-provider",
    ),
    "REGISTRY-CREDENTIAL": _message(
        REGISTRY,
        "the registry refuses the credential itself",
        "A credential was sent and not accepted: an expired access token, one of a disabled pool, "
        "or another credential that was tried first, such as a stale imagePullSecret.",
        "remove stale imagePullSecrets from pod and ServiceAccount; where there are none, see that "
        "the pool is not disabled: gcloud iam workload-identity-pools describe POOL "
        "--location=global",
    ),
    "REGISTRY-FORBIDDEN": _message(
        REGISTRY,
        "the registry answered 403 without saying why",
        "Either no credential reached it or the grant is missing. containerd asks with HEAD, whose "
        "answer has no words.",
        "look on that node with journalctl -t gcp-sa-credential-provider: a record with a code "
        "names the cause; one with OK means that the grant is missing "
        "(roles/artifactregistry.reader on the repository); without any, the kubelet's log says "
        "why it had no credential to give",
    ),
    "REGISTRY-DISABLED": _message(
        REGISTRY,
        "the Artifact Registry API is off in the project",
        "The project that the image's name or the caller names has not enabled the API.",
        "gcloud services enable artifactregistry.googleapis.com --project=PROJECT_ID",
    ),
    "REGISTRY-CONTAINER-REGISTRY": _message(
        REGISTRY,
        "gcr.io does not serve this project any more",
        "Container Registry was shut down on 2025-03-18; gcr.io names work for projects that moved "
        "them to Artifact Registry.",
        "move the project's gcr.io repositories to Artifact Registry, or use a docker.pkg.dev name",
    ),
    "REGISTRY-IMAGE": _message(
        REGISTRY,
        "the registry has no such image or tag",
        "Credential and grant are good: without them the answer would have been 401 or 403.",
        "check image name, tag and digest",
    ),
}

OWN = MESSAGES
ALL = dict(sorted((OWN | FOREIGN).items(), key=lambda item: LINKS.index(item[1].link)))
