"""How the emulator says no: one exception per family of Google's error bodies.

Imports nothing. Shapes: RFC 6749 section 5.2 for STS; google.rpc.Status over JSON
(cloud.google.com/apis/design/errors) for the IAM APIs.
"""

from typing import Any

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
}


class ConfigError(Exception):
    """The configuration cannot be loaded: where (file and path in it), what, and the fix."""

    def __init__(self, where: str, what: str, fix: str) -> None:
        super().__init__(f"{where}: {what}. Fix: {fix}")
        self.where = where
        self.what = what
        self.fix = fix


class Invalid(Exception):  # noqa: N818  the IAM API's own word (INVALID_ARGUMENT)
    """Google's IAM API would refuse this resource: field (dotted path), Google's text, a fix."""

    def __init__(self, field: str, text: str, fix: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field
        self.text = text
        self.fix = fix


class OAuthError(Exception):
    """STS refuses. `reason` is the true cause: for the log only, never on the wire."""

    def __init__(self, error: str, description: str, reason: str = "", status: int = 400) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description
        self.reason = reason or description

    def body(self) -> dict[str, Any]:
        """`{"error", "error_description"}`."""
        return {"error": self.error, "error_description": self.description}


class ApiError(Exception):
    """A Google API refuses with `{"error": {"code", "message", "status", "details"?}}`."""

    def __init__(
        self,
        code: int,
        message: str,
        reason: str = "",
        details: list[dict[str, Any]] | None = None,
        status: str = "",
    ) -> None:
        """`status`: the canonical code's name, where it does not follow from `code`."""
        super().__init__(message)
        self.code = code
        self.status = status or _STATUS[code]
        self.message = message
        self.reason = reason or message
        self.details = details or []

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "status": self.status,
        }
        if self.details:
            error["details"] = self.details
        return {"error": error}


def error_info(reason: str, service: str, **metadata: str) -> dict[str, Any]:
    """A google.rpc.ErrorInfo detail."""
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": service, **metadata},
    }


def service_disabled(title: str, service: str, project: str) -> ApiError:
    """403 SERVICE_DISABLED: the API is off in the project of the pool or the account."""
    return ApiError(
        403,
        f"{title} has not been used in project {project} before or it is disabled. Enable it by"
        f" visiting https://console.developers.google.com/apis/api/{service}/overview"
        f"?project={project} then retry. If you enabled this API recently, wait a few minutes for"
        " the action to propagate to our systems and retry.",
        details=[error_info("SERVICE_DISABLED", service, consumer=f"projects/{project}")],
    )


def not_found(name: str) -> ApiError:
    """404 for a resource that is not there."""
    return ApiError(404, "Requested entity was not found.", f"no {name}")


def failed_precondition(message: str) -> ApiError:
    """400 for a resource whose state does not allow it."""
    return ApiError(400, message, status="FAILED_PRECONDITION")


def field_violation(invalid: Invalid) -> ApiError:
    """400 for a resource that the IAM API refuses, with the field (google.rpc.BadRequest)."""
    violation = {"field": invalid.field, "description": invalid.text}
    return ApiError(
        400,
        invalid.text,
        f"{invalid}. {invalid.fix}",
        [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [violation],
            }
        ],
    )


def quota_exceeded(metric: str, service: str, project: str) -> ApiError:
    """429 of an API's rate quota (google.rpc.ErrorInfo RATE_LIMIT_EXCEEDED)."""
    return ApiError(
        429,
        f"Quota exceeded for quota metric '{metric}' and limit '{metric} per minute' of service"
        f" '{service}' for consumer 'project_number:{project}'.",
        details=[
            error_info("RATE_LIMIT_EXCEEDED", service, consumer=f"projects/{project}"),
        ],
    )
