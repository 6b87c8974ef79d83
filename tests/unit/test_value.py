"""value: records that cannot change and do not tell."""

import pytest

from gcp_sa_credential_provider.plugin.exchange import Grant


def test_a_record_cannot_be_changed() -> None:
    """Neither a field nor a new one."""
    grant = Grant(token="secret", lifetime=1)
    with pytest.raises(AttributeError, match="Grant is immutable"):
        grant.token = "other"  # type: ignore[misc]  # mypy knows that too
    assert grant.token == "secret"


def test_a_record_shows_its_fields_names_only() -> None:
    """A traceback or a debugger's print must not show a token."""
    assert repr(Grant(token="secret", lifetime=1)) == "Grant(token, lifetime)"
