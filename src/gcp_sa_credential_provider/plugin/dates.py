"""Dates of HTTP headers (RFC 9110, 5.6.7) and of Google's answers (RFC 3339) as Unix seconds."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _unix(year: int, month: int, day: int, clock: str) -> "int | None":
    hour, minute, second = map(int, clock.split(":"))
    if not (1970 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= 31):
        return None
    if not (0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 60):
        return None
    # Days since 1970 in the proleptic Gregorian calendar, with years that begin in March.
    y = year - (month < 3)
    days = y * 365 + y // 4 - y // 100 + y // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day
    return (days - 719469) * 86400 + hour * 3600 + minute * 60 + second


def http_date(text: str) -> "int | None":
    """Read an IMF-fixdate, `Tue, 24 Nov 2026 16:00:00 GMT`; None for anything else."""
    try:
        _, day, month, year, clock, zone = text.split(" ")
        return (
            _unix(int(year), _MONTHS.index(month) + 1, int(day), clock) if zone == "GMT" else None
        )
    except ValueError:
        return None


def rfc3339(text: str) -> "int | None":
    """Read `2026-11-24T16:00:00Z`, fraction dropped (protobuf's Timestamp is always UTC)."""
    try:
        date, _, clock = text.partition("T")
        year, month, day = map(int, date.split("-"))
        if not clock.endswith("Z"):
            return None
        return _unix(year, month, day, clock[:-1].partition(".")[0])
    except ValueError:
        return None
