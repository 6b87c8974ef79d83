"""dates: Python's datetime is the judge."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcp_sa_credential_provider.plugin.dates import http_date, rfc3339

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 -- as st.datetimes wants them


@given(MOMENTS)
def test_a_date_header_is_read_as_datetime_wrote_it(moment: datetime) -> None:
    """IMF-fixdate, to the second."""
    whole = moment.replace(microsecond=0)
    assert http_date(format_datetime(moment, usegmt=True)) == int(whole.timestamp())


def test_a_leap_second() -> None:
    """Is the next minute's first: servers have sent it (RFC 9110, 5.6.7 allows it)."""
    assert http_date("Sat, 31 Dec 2016 23:59:60 GMT") == http_date("Sun, 01 Jan 2017 00:00:00 GMT")


@given(MOMENTS)
def test_an_expire_time_is_read_as_datetime_wrote_it(moment: datetime) -> None:
    """RFC 3339 in UTC, the fraction dropped."""
    text = moment.replace(tzinfo=None).isoformat() + "Z"
    assert rfc3339(text) == int(moment.replace(microsecond=0).timestamp())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "Tue, 24 Nov 2026 16:00:00 CET",
        "Tue, 24 Nox 2026 16:00:00 GMT",
        "Tue, 32 Nov 2026 16:00:00 GMT",
        "Tue, 24 Nov 2026 25:00:00 GMT",
        "Tue, 24 Nov 2026 16:00 GMT",
        "Tue, 24 Nov 1969 16:00:00 GMT",
    ],
)
def test_any_other_date_header_is_none(text: str) -> None:
    """An unreadable clock is no clock."""
    assert http_date(text) is None


@pytest.mark.parametrize(
    "text", ["", "2026-11-24", "2026-11-24T16:00:00+01:00", "2026-13-24T16:00:00Z", "x-y-zTZ"]
)
def test_any_other_expire_time_is_none(text: str) -> None:
    """Google's timestamps are in UTC with a Z."""
    assert rfc3339(text) is None
