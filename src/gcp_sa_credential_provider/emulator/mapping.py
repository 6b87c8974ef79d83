"""Attribute mapping and condition: verified claims to a federated principal.

Imports cel and principals. Rules and texts: Google, "Workload Identity Federation" and
"troubleshooting-workload-identity-federation"; limits from the IAM v1 API messages. What an
absent claim does to a custom attribute is not measured anywhere: `strict` decides.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gcp_sa_credential_provider.emulator.cel import Expression, ExpressionError
from gcp_sa_credential_provider.emulator.rejection import Invalid, OAuthError

SUBJECT_MAX_BYTES = 127
MAPPED_MAX_BYTES = 8192
MAX_CUSTOM_ATTRIBUTES = 50
EXPRESSION_MAX_CHARS = 2048
CONDITION_MAX_CHARS = 4096

_KEY = re.compile(r"google\.(subject|groups)|attribute\.[a-z0-9_]{1,100}")


@dataclass(frozen=True)
class Mapped:
    """The outcome of a mapping."""

    subject: str
    attributes: dict[str, str]
    groups: tuple[str, ...]


@dataclass(frozen=True)
class AttributeMapping:
    """A provider's compiled `attributeMapping` and `attributeCondition`."""

    expressions: Mapping[str, Expression]
    """Target (`google.subject`, `attribute.NAME`, …) to expression."""
    condition: Expression | None
    strict: bool
    """Whether a custom attribute that cannot be computed refuses the exchange."""

    def apply(self, claims: Mapping[str, Any]) -> Mapped:
        """Map verified claims. Raises OAuthError."""
        values: dict[str, Any] = {}
        for target, expression in self.expressions.items():
            try:
                value = expression.evaluate({"assertion": claims})
            except ExpressionError as error:
                value, why = None, str(error)
            else:
                why = f"{expression.source} gave {type(value).__name__}"
            if _fits(target, value):
                values[target] = value
            elif target == "google.subject" or self.strict:
                raise _no_value(target, why)
        if "google.subject" not in values:
            raise _no_value("google.subject", "attributeMapping has no google.subject")
        subject = values.pop("google.subject")
        groups = values.pop("google.groups", [])
        mapped = Mapped(
            subject,
            {name.removeprefix("attribute."): value for name, value in values.items()},
            tuple(groups),
        )
        self._check_sizes(mapped)
        self._check_condition(claims, mapped)
        return mapped

    def _check_sizes(self, mapped: Mapped) -> None:
        if (size := len(mapped.subject.encode())) > SUBJECT_MAX_BYTES:
            raise OAuthError(
                "invalid_request",
                "The size of mapped attribute google.subject exceeds the 127 bytes limit. Either"
                " modify your attribute mapping or the incoming assertion to produce a mapped"
                " attribute that is less than 127 bytes.",
                f"google.subject has {size} bytes",
            )
        total = sum(
            len(text.encode())
            for text in (
                mapped.subject,
                *mapped.groups,
                *mapped.attributes,
                *mapped.attributes.values(),
            )
        )
        if total > MAPPED_MAX_BYTES:
            raise OAuthError(
                "invalid_request",
                "The total size of mapped attributes exceeds the 8 KB limit.",
                f"mapped attributes have {total} bytes",
            )

    def _check_condition(self, claims: Mapping[str, Any], mapped: Mapped) -> None:
        if self.condition is None:
            return
        try:
            verdict = self.condition.evaluate(
                {
                    "assertion": claims,
                    "google": {"subject": mapped.subject, "groups": list(mapped.groups)},
                    "attribute": mapped.attributes,
                }
            )
        except ExpressionError as error:
            verdict = str(error)
        if verdict is not True:
            raise OAuthError(
                "unauthorized_client",
                "The given credential is rejected by the attribute condition.",
                f"{self.condition.source} gave {verdict}",
            )


def compile_mapping(
    mapping: Mapping[str, str], condition: str, *, strict: bool
) -> AttributeMapping:
    """Check against the IAM API's limits and compile. Raises Invalid."""
    custom = [key for key in mapping if key.startswith("attribute.")]
    if len(custom) > MAX_CUSTOM_ATTRIBUTES:
        raise Invalid(
            "attributeMapping",
            f"At most {MAX_CUSTOM_ATTRIBUTES} custom attributes can be mapped.",
            f"map fewer than the {len(custom)} here",
        )
    expressions = {}
    for key, source in mapping.items():
        field = f"attributeMapping[{key}]"
        if not _KEY.fullmatch(key):
            raise Invalid(
                field,
                "Invalid attribute mapping key.",
                "use google.subject, google.groups or attribute.NAME (NAME: 1-100 of a-z 0-9 _)",
            )
        wanted = "LIST" if key == "google.groups" else "STRING"
        expressions[key] = _compiled(field, source, EXPRESSION_MAX_CHARS, wanted)
    compiled = (
        _compiled("attributeCondition", condition, CONDITION_MAX_CHARS, "BOOL")
        if condition
        else None
    )
    return AttributeMapping(expressions, compiled, strict)


def _compiled(field: str, source: str, limit: int, wanted: str) -> Expression:
    if len(source) > limit:
        raise Invalid(
            field, f"The expression exceeds {limit} characters.", f"shorten it ({len(source)} now)"
        )
    try:
        expression = Expression(source)
    except ExpressionError as error:
        raise Invalid(
            field,
            f"Error in CEL expression: {error}",
            "see the CEL specification; the only"
            " variables are assertion, and in a condition google and attribute",
        ) from error
    if not expression.may_be(wanted):
        raise Invalid(field, f"The expression must evaluate to {wanted}.", f"rewrite `{source}`")
    return expression


def _fits(target: str, value: Any) -> bool:
    if target == "google.groups":
        return isinstance(value, list) and all(isinstance(group, str) for group in value)
    if target == "google.subject":
        return isinstance(value, str) and value != ""
    return isinstance(value, str)


def _no_value(target: str, reason: str) -> OAuthError:
    return OAuthError(
        "unauthorized_client",
        f"Could not obtain a value for {target} from the given credential.",
        reason,
    )
