"""The plugin's part of the catalogue: code -> link of the chain, what happened, meaning, fix.

Imported only when a line is to be written. A code is stable and never reused. `what` is filled
with evidence; meaning and fix are the same for every occurrence, so that they can be looked up
(`explain CODE`, docs/errors.md). How a text becomes a line is in `line.py`.
"""

from gcp_sa_credential_provider.plugin.value import Value

KUBELET = "kubelet to plugin"
SETTINGS = "configuration of the plugin"
NETWORK = "network to Google"
STS = "exchange at Google's Security Token Service"
IAM = "impersonation of a Google service account"
PROGRAM = "this program itself"

# The request, the environment or the configuration is wrong: exit 2. All else: 1.
_EXIT_2 = (KUBELET, SETTINGS)


class Message(Value):
    """One entry of the catalogue; `what` has placeholders for the evidence."""

    link: str
    what: str
    meaning: str
    fix: str

    @property
    def exit_code(self) -> int:
        """2 where nothing was asked of the network, or nothing could be; 1 otherwise."""
        return 2 if self.link in _EXIT_2 else 1


def _message(link: str, what: str, meaning: str, fix: str) -> Message:
    return Message(link=link, what=what, meaning=meaning, fix=fix)


_PROVIDER_FORM = (
    "//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL"
    "/providers/PROVIDER"
)
# The kubelet reads its CredentialProviderConfig, env included, at its start only.
_RESTART = "; then restart the kubelet"
_GAVE_UP = "This is how the last of up to four tries within GCP_TIMEOUT ended."
_ANSWERED = "This is the last answer to any of up to four tries within GCP_TIMEOUT."
_TO_GOOGLE = "sts.googleapis.com (and iamcredentials.googleapis.com for impersonation), port 443"

MESSAGES = {
    # The request on stdin, the response on stdout.
    "REQUEST-EMPTY": _message(
        KUBELET,
        "nothing on stdin",
        "The kubelet writes a CredentialProviderRequest to stdin; here stdin was closed or empty.",
        "let the kubelet run this program; by hand: pipe a CredentialProviderRequest into it",
    ),
    "REQUEST-READ": _message(
        KUBELET,
        "cannot read stdin: {error}",
        "Reading the request failed in the operating system.",
        "run it with stdin open for reading, as the kubelet does",
    ),
    "REQUEST-TIMEOUT": _message(
        KUBELET,
        "stdin did not end within GCP_TIMEOUT",
        "The request is read to its end; whoever started this program kept stdin open.",
        "close stdin after the request",
    ),
    "REQUEST-LARGE": _message(
        KUBELET,
        "the request is larger than {limit} bytes",
        "No kubelet sends so much: an image name, a token and some annotations.",
        "look for what writes to stdin; with many annotations, list only the needed keys in "
        "tokenAttributes",
    ),
    "REQUEST-JSON": _message(
        KUBELET,
        "the request is not a JSON object: {reason}",
        "stdin must hold one CredentialProviderRequest in JSON and UTF-8.",
        "let the kubelet run this program; by hand: check the document",
    ),
    "REQUEST-KIND": _message(
        KUBELET,
        "the request's kind is {kind}, not CredentialProviderRequest",
        "The document on stdin is not what a kubelet sends.",
        "send a CredentialProviderRequest",
    ),
    "REQUEST-VERSION": _message(
        KUBELET,
        "the request's apiVersion is {version}, not credentialprovider.kubelet.k8s.io/v1",
        "ServiceAccount tokens come with v1 only; the kubelet sends the version that its "
        "CredentialProviderConfig names for this provider.",
        "set apiVersion: credentialprovider.kubelet.k8s.io/v1 at this provider in the kubelet's "
        "CredentialProviderConfig" + _RESTART,
    ),
    "REQUEST-FIELD": _message(
        KUBELET,
        "the request's {field} is not {expected}",
        "The document has the right kind and version but a field of another type.",
        "send a CredentialProviderRequest as the kubelet does",
    ),
    "REQUEST-IMAGE": _message(
        KUBELET,
        "the image {image} cannot be read: {reason}",
        "The kubelet sends registry and repository without tag or digest.",
        "check the image name in the pod",
    ),
    "REQUEST-NO-TOKEN": _message(
        KUBELET,
        "no ServiceAccount token came with the request for {image}",
        "The kubelet sends a token only where the provider's entry has tokenAttributes; with "
        "requireServiceAccount: false it runs this program without one for pods that have no "
        "ServiceAccount, such as static pods. The node's own identity is never used instead.",
        "give this provider tokenAttributes with serviceAccountTokenAudience and "
        "requireServiceAccount: true and restart the kubelet; pull images of static pods in "
        "another way",
    ),
    "REQUEST-TOKEN": _message(
        KUBELET,
        "what came as ServiceAccount token is no JWT: {reason}",
        "The API server issues signed JWTs; this text has not even the shape of one.",
        "check what issues the tokens (kube-apiserver or an external signer)",
    ),
    "IMAGE-OUTSIDE": _message(
        KUBELET,
        "{image} is outside GCP_REGISTRIES ({registries}); no Google token is given for it",
        "The kubelet asked for a registry that the configuration does not name as Google's: "
        "matchImages is wider than GCP_REGISTRIES.",
        "narrow matchImages to Google's registries, or add the registry's host to GCP_REGISTRIES "
        "if it may see tokens of this pool" + _RESTART,
    ),
    "ACCOUNT-NAME": _message(
        SETTINGS,
        "{where} names no Google service account: {value} ({slip})",
        "The account to impersonate is given by e-mail or numeric id. From an annotation it is "
        "text of whoever may edit the ServiceAccount, so it is checked strictly.",
        "set it to NAME@PROJECT_ID.iam.gserviceaccount.com (for a variable restart the kubelet)",
    ),
    "STDOUT-CLOSED": _message(
        KUBELET,
        "cannot write the response to stdout: {error}",
        "The kubelet reads the response from a pipe; it is closed.",
        "run it with stdout open, as the kubelet does; if the kubelet did: look why it stopped",
    ),
    "STDOUT-TIMEOUT": _message(
        KUBELET,
        "nobody read the response from stdout within GCP_TIMEOUT",
        "The pipe is full and its reader does not read.",
        "look what the process that started this program is doing",
    ),
    # The start, and environment variables.
    "STARTUP-PYTHON": _message(
        SETTINGS,
        "{python} is Python {version}",
        "The Python that runs this is older than 3.11.",
        "use Python 3.11 or newer, or the static file",
    ),
    "STARTUP-THREAD": _message(
        SETTINGS,
        "no thread could be started",
        "The thread that keeps the budget cannot start: the node, or the kubelet's cgroup, has "
        "reached its limit of processes.",
        "look for what uses up the processes (pids.max of the cgroup, ulimit -u)",
    ),
    "STARTUP-MODULE": _message(
        SETTINGS,
        "this Python ({version}) lacks the C module {module}",
        "The plugin stands on C modules of CPython (_ssl, _socket, _json, ...); a stripped or "
        "different Python has not all of them.",
        "use the static file, or a CPython 3.11 or newer with OpenSSL",
    ),
    "SETTINGS-AUDIENCE-MISSING": _message(
        SETTINGS,
        "GCP_AUDIENCE is not set",
        "It names the workload identity provider that takes this cluster's tokens.",
        f"set it under env of this provider in the CredentialProviderConfig: {_PROVIDER_FORM}"
        + _RESTART,
    ),
    "SETTINGS-AUDIENCE": _message(
        SETTINGS,
        "GCP_AUDIENCE is not a provider's full resource name: {slip} ({value})",
        "Google knows a provider by one exact name; a project ID, a pool, a left-over "
        "placeholder or another prefix name nothing.",
        f"use {_PROVIDER_FORM} (gcloud iam workload-identity-pools providers describe prints "
        "what follows //iam.googleapis.com/)" + _RESTART,
    ),
    "SETTINGS-REGISTRIES": _message(
        SETTINGS,
        "GCP_REGISTRIES has a pattern that cannot be used: {pattern} ({reason})",
        "Its patterns say which registries may be given a Google token. They follow the "
        "kubelet's rules for matchImages, and wildcards stand in Google's own names only.",
        "write hosts such as *-docker.pkg.dev or europe-docker.pkg.dev, separated by commas"
        + _RESTART,
    ),
    "SETTINGS-REGISTRIES-MISSING": _message(
        SETTINGS,
        "GCP_REGISTRIES is not set for the universe {universe}",
        "Only googleapis.com has known registries; another universe has its own.",
        "set GCP_REGISTRIES to the registry's host, such as docker.s3nsregistry.fr" + _RESTART,
    ),
    "SETTINGS-ENDPOINT": _message(
        SETTINGS,
        "{variable} is not a usable base URL: {reason}",
        "It replaces the address of a Google API: regional, private, or the emulator.",
        "use https://HOST or https://HOST:PORT, without a path" + _RESTART,
    ),
    "SETTINGS-PROXY": _message(
        SETTINGS,
        "{variable} names no usable proxy: {reason}",
        "Only plain http proxies can be used. The value is not shown: it may hold a password.",
        "set it to http://[USER:PASSWORD@]HOST:PORT, unset it for this provider, or name Google's "
        "hosts in NO_PROXY" + _RESTART,
    ),
    "SETTINGS-VALUE": _message(
        SETTINGS,
        "{variable} is {value}, not {expected}",
        "A variable of this provider has a value that cannot be meant.",
        "correct it under env of this provider in the CredentialProviderConfig" + _RESTART,
    ),
    "TLS-STORE": _message(
        SETTINGS,
        "no certificates to trust could be loaded from {store}: {error}",
        "Google's certificate is checked against the node's trust store; there is none, or "
        "SSL_CERT_FILE or SSL_CERT_DIR points elsewhere.",
        "install the ca-certificates package on the node, or correct SSL_CERT_FILE and restart the "
        "kubelet",
    ),
    # Network.
    "DNS-FAILED": _message(
        NETWORK,
        "{host} cannot be resolved: {error}",
        "The node's resolver answered that there is no such name.",
        "check /etc/resolv.conf on the node, GCP_STS_ENDPOINT and GCP_IAM_CREDENTIALS_ENDPOINT; "
        "behind a proxy set HTTPS_PROXY" + _RESTART,
    ),
    "DNS-AGAIN": _message(
        NETWORK,
        "{host} cannot be resolved for now: {error}",
        "No name server of the node answered, or the node did not let the resolver ask one. "
        + _GAVE_UP,
        "check /etc/resolv.conf on the node and whether its name servers answer",
    ),
    "DNS-TIMEOUT": _message(
        NETWORK,
        "resolving {host} took longer than GCP_TIMEOUT",
        "The node's name servers do not answer: mostly packets to port 53 are lost.",
        "check /etc/resolv.conf on the node and whether its name servers answer",
    ),
    "CONNECT-REFUSED": _message(
        NETWORK,
        "{address} refused the connection",
        "A host is there and nothing listens on that port, or a firewall rejects. " + _GAVE_UP,
        f"let the node reach {_TO_GOOGLE}, or set HTTPS_PROXY or correct GCP_STS_ENDPOINT and "
        "restart the kubelet",
    ),
    "CONNECT-TIMEOUT": _message(
        NETWORK,
        "{address} did not answer the connection ({addresses} addresses tried)",
        "Packets are dropped on the way, by a firewall or a missing route. " + _GAVE_UP,
        f"let the node reach {_TO_GOOGLE}, or set HTTPS_PROXY and restart the kubelet",
    ),
    "CONNECT-FAILED": _message(
        NETWORK,
        "no connection to {address}: {error}",
        "The operating system could not connect: no route, or no such network. " + _GAVE_UP,
        f"let the node reach {_TO_GOOGLE}, or set HTTPS_PROXY and restart the kubelet",
    ),
    "PROXY-UNREACHABLE": _message(
        NETWORK,
        "the proxy {proxy} cannot be reached: {error}",
        "HTTPS_PROXY is set, so the way to Google leads through this proxy. " + _GAVE_UP,
        "start the proxy, or correct HTTPS_PROXY (for a direct way name the host in NO_PROXY) and "
        "restart the kubelet",
    ),
    "PROXY-TIMEOUT": _message(
        NETWORK,
        "the proxy {proxy} gave no answer to CONNECT {target}",
        "The proxy took the connection and did not open the tunnel in time.",
        "look at the proxy's own log: can it reach the target?",
    ),
    "PROXY-AUTH": _message(
        NETWORK,
        "the proxy {proxy} wants a user and password (407; {sent})",
        "The proxy asks for authentication, or refused what HTTPS_PROXY holds.",
        "set HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, special characters as %XX" + _RESTART,
    ),
    "PROXY-DENIED": _message(
        NETWORK,
        "the proxy {proxy} refused the tunnel to {target}: {status}",
        "The proxy's rules do not allow this host.",
        f"allow {_TO_GOOGLE} on the proxy",
    ),
    "PROXY-UNAVAILABLE": _message(
        NETWORK,
        "the proxy {proxy} could not open the tunnel to {target}: {error}",
        "The proxy broke the connection off, or answered that it cannot reach the host itself "
        "(5xx). " + _GAVE_UP,
        f"look at the proxy's own log: it must resolve and reach {_TO_GOOGLE}; if it knows nothing "
        "of this, correct host and port of HTTPS_PROXY and restart the kubelet",
    ),
    "PROXY-ANSWER": _message(
        NETWORK,
        "what {proxy} answered to CONNECT is no proxy's answer: {answer}",
        "HTTPS_PROXY points to something that is not an http proxy.",
        "correct host and port of HTTPS_PROXY" + _RESTART,
    ),
    "TLS-UNTRUSTED": _message(
        NETWORK,
        "the certificate of {address} is not trusted: {error} (trust store: {store})",
        "The server's certificate was signed by an authority that the node does not trust: a "
        "proxy that opens TLS, an old trust store, or not Google at all.",
        "if a company proxy opens TLS, point SSL_CERT_FILE to a bundle with its authority and "
        "restart the kubelet; otherwise renew the node's ca-certificates",
    ),
    "TLS-HOSTNAME": _message(
        NETWORK,
        "the certificate of {address} is for another name: {error}",
        "A server answered that is not the one asked for.",
        "check GCP_STS_ENDPOINT and GCP_IAM_CREDENTIALS_ENDPOINT, DNS and /etc/hosts on the node",
    ),
    "TLS-EXPIRED": _message(
        NETWORK,
        "the certificate of {address} has expired by this node's clock ({now})",
        "Google's certificates do not expire in use: mostly the node's clock is ahead.",
        "check the node's clock (timedatectl); if it is right, look what answers at that address",
    ),
    "TLS-NOT-YET": _message(
        NETWORK,
        "the certificate of {address} is not valid yet by this node's clock ({now})",
        "Mostly the node's clock is behind, as after a boot without time synchronisation.",
        "set the node's clock (timedatectl)",
    ),
    "TLS-FAILED": _message(
        NETWORK,
        "no TLS connection to {address}: {error}",
        "The handshake broke off: no TLS on that port, a version below 1.2, or something on the "
        "way that cuts TLS. " + _GAVE_UP,
        "check what listens at that address and whether a firewall inspects TLS",
    ),
    "TLS-TIMEOUT": _message(
        NETWORK,
        "the TLS handshake with {address} did not end in time",
        "The connection was taken, then nothing came: often a firewall, or too large packets "
        "(MTU) on the way. " + _GAVE_UP,
        "check firewalls and the MTU between the node and Google",
    ),
    "ANSWER-TIMEOUT": _message(
        NETWORK,
        "{address} did not answer in time",
        "The request was sent and no complete answer came. " + _GAVE_UP,
        "try again; if it stays, check the way to Google, or raise GCP_TIMEOUT (at most 55) and "
        "restart the kubelet",
    ),
    "ANSWER-CUT": _message(
        NETWORK,
        "the answer of {address} broke off: {error}",
        "The connection ended before the answer was complete. " + _GAVE_UP,
        "try again; if it stays, look for what closes connections on the way (proxy, firewall)",
    ),
    "ANSWER-LARGE": _message(
        NETWORK,
        "the answer of {address} is larger than {limit} bytes",
        "Google's answers are small; something else answers.",
        "check what listens at that address (proxy, captive portal, GCP_STS_ENDPOINT)",
    ),
    "ANSWER-MALFORMED": _message(
        NETWORK,
        "what {address} answered is not HTTP: {answer}",
        "Something other than a web server answers there.",
        "check what listens at that address (GCP_STS_ENDPOINT, proxy)",
    ),
    "ANSWER-REDIRECT": _message(
        NETWORK,
        "{address} answered with a redirect ({status}), which is not followed",
        "Google's APIs do not redirect; a captive portal or proxy does. A token is never sent "
        "after a redirect.",
        "log the node's network in, or go around the portal; check GCP_STS_ENDPOINT",
    ),
    "ANSWER-HTML": _message(
        NETWORK,
        "{address} answered with a web page ({status}): {answer}",
        "A proxy or captive portal answers in Google's place, or the address is wrong.",
        "let the proxy pass this host without interception; check GCP_STS_ENDPOINT",
    ),
    "ANSWER-NOT-JSON": _message(
        NETWORK,
        "{address} answered ({status}) with something that is not JSON ({reason}): {answer}",
        "Google answers in JSON; something else answers in its place.",
        "check GCP_STS_ENDPOINT, GCP_IAM_CREDENTIALS_ENDPOINT and proxies on the way",
    ),
    "ANSWER-FIELD": _message(
        NETWORK,
        "the answer of {address} has no usable {field}",
        "It is JSON with status 200 and yet not what Google answers.",
        "check GCP_STS_ENDPOINT and GCP_IAM_CREDENTIALS_ENDPOINT",
    ),
    "TIMEOUT": _message(
        NETWORK,
        "GCP_TIMEOUT ran out while {doing}",
        "The whole exchange has this many seconds, so that the kubelet's 60 never end it mutely.",
        "try again; if it stays, check the way to Google, or raise GCP_TIMEOUT (at most 55) and "
        "restart the kubelet",
    ),
    # Refusals of the Security Token Service.
    "STS-AUDIENCE-FORMAT": _message(
        STS,
        "Google takes {provider} for no provider's name: {text}",
        "The name has a form that Google does not know.",
        f"use {_PROVIDER_FORM}, with the project's number" + _RESTART,
    ),
    "STS-TARGET": _message(
        STS,
        "Google knows no active provider {provider}",
        "Pool or provider does not exist under this name, is disabled, or was deleted (a deleted "
        "one holds its id for 30 days and can be undeleted). A wrong project number looks the "
        "same.",
        "compare GCP_AUDIENCE with: gcloud iam workload-identity-pools providers list "
        "--location=global --workload-identity-pool=POOL --show-deleted",
    ),
    "STS-AUDIENCE": _message(
        STS,
        "the token is for the audience {audience}; the provider {provider} allows another",
        "The kubelet asks for a token with serviceAccountTokenAudience; that text must be one of "
        "the provider's allowed audiences. With none listed there, the provider's own name "
        "counts, with or without https:. A list turns that default off.",
        "make serviceAccountTokenAudience equal to GCP_AUDIENCE (then restart the kubelet) and add "
        "it to the provider's allowed audiences, or empty that list; the nodes' RBAC rule "
        "(request-serviceaccounts-token-audience) must name the same text",
    ),
    "STS-ISSUER": _message(
        STS,
        "the token's issuer is {issuer}; the provider {provider} has another issuer URI",
        "Both must be equal byte for byte, a trailing slash included.",
        "set the provider's issuer URI to the token's issuer: gcloud iam workload-identity-pools "
        "providers update-oidc --issuer-uri",
    ),
    "STS-STALE": _message(
        STS,
        "Google finds the token out of date: issued {issued}, expires {expires}, Google's clock "
        "{google}, this node's {skew}",
        "The token has expired, or was issued in the future by Google's clock (60 seconds are "
        "forgiven), or has no iat or exp. Kubelets renew tokens at 80 % of their life, so mostly "
        "a clock is wrong: the API server's decides iat and exp.",
        "synchronise the clocks of control plane and nodes (chrony, timedatectl)",
    ),
    "STS-SIGNATURE": _message(
        STS,
        "the token's signature fits no key of the provider: kid {kid}, issuer {issuer}",
        "The uploaded JWKS has a key with this kid and yet another key signed: a cluster that "
        "was rebuilt, or two clusters behind one provider.",
        "upload the keys of this cluster: kubectl get --raw /openid/v1/jwks > jwks.json, then "
        "gcloud iam workload-identity-pools providers update-oidc --jwk-json-path=jwks.json "
        "(it replaces all keys; two clusters need a pool each)",
    ),
    "STS-ISSUER-KEYS": _message(
        STS,
        "Google has no key for the token: kid {kid} ({alg}), issuer {issuer}",
        'Google words it "Error connecting to the given credential\'s issuer". With an uploaded '
        "JWKS it means: no key with this kid is in it, or the JWKS is malformed, or alg and key "
        "type differ (Google takes RS256 and ES256 only); a rotated or rebuilt signing key looks "
        "like this. Without one it means: Google could not fetch the issuer's keys over public "
        "TLS.",
        "where Google fetches the keys (EKS, AKS, any public issuer): make the issuer answer over "
        "public TLS, never upload; otherwise upload: kubectl get --raw /openid/v1/jwks > "
        "jwks.json, then gcloud iam workload-identity-pools providers update-oidc "
        "--jwk-json-path=jwks.json (it replaces all keys: keep those of other clusters)",
    ),
    "STS-CONDITION": _message(
        STS,
        "the attribute condition of {provider} refuses {subject}",
        "The token is genuine; the provider's condition is false for it.",
        "add this ServiceAccount or namespace to the provider's attribute condition, if it may "
        "pull",
    ),
    "STS-SUBJECT": _message(
        STS,
        "the provider {provider} maps nothing to google.subject for {subject}",
        "google.subject is unmapped, or mapped from a claim that this token lacks.",
        "map google.subject=assertion.sub at the provider",
    ),
    "STS-SUBJECT-SIZE": _message(
        STS,
        "a mapped attribute of {subject} is too long: {text}",
        "google.subject may have 127 bytes; system:serviceaccount:NAMESPACE:NAME may be longer.",
        "shorten the names, or map google.subject with extract() in a shorter form; "
        "grants then name the new subject",
    ),
    "STS-QUOTA": _message(
        STS,
        "Google throttles exchanges of this project: {text}",
        "A project has 6000 exchanges a minute. " + _ANSWERED,
        "wait: the kubelet tries again; use cacheType: ServiceAccount (from Kubernetes 1.34 on)",
    ),
    "STS-DISABLED": _message(
        STS,
        "the Security Token Service API is off: {text}",
        "The project that Google names has not enabled the API.",
        "gcloud services enable sts.googleapis.com iamcredentials.googleapis.com "
        "--project=PROJECT_ID",
    ),
    "STS-UNAVAILABLE": _message(
        STS,
        "Google's token service failed ({status} {error}): {text}",
        "A failure on Google's side. A token in its last seconds gets a 500 as well. " + _ANSWERED,
        "wait: the kubelet tries again; see status.cloud.google.com",
    ),
    "STS-REFUSED": _message(
        STS,
        "Google's token service refused {subject} at {provider} ({status} {error}): {text}",
        "A refusal that this version does not know.",
        "read Google's words; compare the provider with the token's claims",
    ),
    # Impersonation.
    "IAM-DENIED": _message(
        IAM,
        "{subject} may not impersonate {account}: {text}",
        "The exchange worked; the federated identity lacks roles/iam.workloadIdentityUser on "
        "the account, or there is no such account: Google does not tell them apart.",
        "grant roles/iam.workloadIdentityUser on the account to "
        "principal://iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/"
        "POOL/subject/system:serviceaccount:NAMESPACE:NAME; a grant takes a minute or more",
    ),
    "IAM-ACCOUNT": _message(
        IAM,
        "Google knows no service account {account}: {text}",
        "The e-mail or id names no account, or a deleted one.",
        "correct the ServiceAccount's annotation, or GCP_SERVICE_ACCOUNT and restart the kubelet",
    ),
    "IAM-LIFETIME": _message(
        IAM,
        "{account} gives no tokens for {seconds} seconds: {text}",
        "More than an hour needs the organisation policy "
        "constraints/iam.allowServiceAccountCredentialLifetimeExtension for the account.",
        "set GCP_SERVICE_ACCOUNT_LIFETIME to 3600 or less and restart the kubelet, or extend the "
        "policy",
    ),
    "IAM-TOKEN": _message(
        IAM,
        "the IAM Credentials API did not take the federated token: {text}",
        "Google itself issued that token moments ago; the endpoint may belong to another universe.",
        "check GCP_IAM_CREDENTIALS_ENDPOINT and GOOGLE_CLOUD_UNIVERSE_DOMAIN",
    ),
    "IAM-QUOTA": _message(
        IAM,
        "Google throttles impersonation: {text}",
        "A project has 60000 generateAccessToken calls a minute. " + _ANSWERED,
        "wait: the kubelet tries again; use cacheType: ServiceAccount (from Kubernetes 1.34 on)",
    ),
    "IAM-DISABLED": _message(
        IAM,
        "the IAM Service Account Credentials API is off: {text}",
        "The project that Google names has not enabled the API.",
        "gcloud services enable iamcredentials.googleapis.com --project=PROJECT_ID",
    ),
    "IAM-UNAVAILABLE": _message(
        IAM,
        "Google's IAM Credentials API failed ({status} {error}): {text}",
        "A failure on Google's side. " + _ANSWERED,
        "wait: the kubelet tries again; see status.cloud.google.com",
    ),
    "IAM-REFUSED": _message(
        IAM,
        "Google's IAM Credentials API refused {account} ({status} {error}): {text}",
        "A refusal that this version does not know, or one of many causes: a policy of the "
        "organisation, a perimeter of VPC Service Controls, billing that is off.",
        "read Google's words; look up the account, its project and the organisation's policies",
    ),
    "INTERNAL": _message(
        PROGRAM,
        "unexpected {error} in {place}",
        "A fault of this program. Nothing but its place is shown: its text might hold a secret.",
        "report it with this line and the version (--version)",
    ),
}
