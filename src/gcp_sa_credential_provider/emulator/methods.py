"""All JSON methods, in the order in which paths are tried.

Imports the services.
"""

from gcp_sa_credential_provider.emulator import (
    accounts,
    iam_credentials,
    iam_policies,
    iam_pools,
    projects,
    repositories,
    services,
    sts,
)

# A literal suffix (`:undelete`) comes before the parameter that would swallow it.
METHODS = tuple(
    sorted(
        (
            *sts.METHODS,
            *iam_credentials.METHODS,
            *iam_pools.METHODS,
            *iam_policies.METHODS,
            *accounts.METHODS,
            *repositories.METHODS,
            *projects.METHODS,
            *services.METHODS,
        ),
        key=lambda method: ":" not in method.path,
    )
)
