"""The JSON Schema of fleet.yaml, for editors and for pipelines that write descriptions.

    python -m gcp_sa_credential_provider.fleet.schema

prints docs/fleet.schema.json. It knows shapes and single values; what must hold between values is
in `check`, and no schema can say that.
"""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from gcp_sa_credential_provider.fleet.model import Fleet

ID = "urn:gcp-sa-credential-provider:fleet:1"
"""Names the schema, at no address; the number is the description's `version`."""


class _Untitled(GenerateJsonSchema):
    """Without titles of fields: they would only say the names again."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 -- pydantic's
        return False


def schema() -> dict[str, Any]:
    """The schema, by JSON Schema 2020-12; the same for the same model."""
    made = Fleet.model_json_schema(by_alias=True, schema_generator=_Untitled)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        **made,
        "title": "fleet.yaml",
        "description": "Kubernetes clusters, and who pulls what of Google's registries.",
    }


def text() -> str:
    """As it is published."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(text(), end="")
