"""The CredentialProviderResponse on stdout, for the kubelet (kubelet config/v1/types.go)."""

from gcp_sa_credential_provider.plugin import jsonc
from gcp_sa_credential_provider.plugin.request import API_VERSION

USER = "oauth2accesstoken"  # Artifact Registry: "configure authentication for Docker"
_LEAST_MARGIN, _MOST_MARGIN = 60, 600  # seconds


def cache_seconds(lifetime: "int | None") -> int:
    """How long the kubelet may keep a credential that lives for `lifetime` seconds.

    The margin lets a long pull authenticate once more in its middle. 0, never cached, where the
    lifetime is unknown or no longer than the least margin.
    """
    if lifetime is None or lifetime <= _LEAST_MARGIN:
        return 0
    return lifetime - min(_MOST_MARGIN, max(_LEAST_MARGIN, lifetime // 4))


def document(registries: "list[str]", token: str, cache_key_type: str, seconds: int) -> bytes:
    """Encode the response: one credential for every pattern of `registries`."""
    credential = {"username": USER, "password": token}
    return jsonc.dumps(
        {
            "kind": "CredentialProviderResponse",
            "apiVersion": API_VERSION,
            "cacheKeyType": cache_key_type,
            "cacheDuration": f"{seconds}s",
            "auth": dict.fromkeys(registries, credential),
        }
    ).encode("ascii")
