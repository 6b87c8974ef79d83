"""Resources over time: what a change made a moment ago means to a request now.

Imports resources. Delays: third-party measurements against real Google, 2026-09-28.
"""

from gcp_sa_credential_provider.emulator.resources import Resources

DISABLING_SECONDS = 1
KEYS_SECONDS = 5
GRANT_SECONDS = 70
REMOVAL_SECONDS = 90


class History:
    """The versions of the last 90 seconds, oldest first."""

    def __init__(self) -> None:
        self._versions: list[tuple[float, Resources]] = []

    def restart(self, resources: Resources) -> None:
        """Forget all before; these are in force at once."""
        self._versions = [(float("-inf"), resources)]

    def add(self, resources: Resources, now: float) -> None:
        """Note a new version, made now (seconds since the epoch)."""
        kept = self._versions
        while len(kept) > 1 and kept[1][0] <= now - REMOVAL_SECONDS:
            kept = kept[1:]
        self._versions = [*kept, (now, resources)]

    def at(self, instant: float) -> Resources:
        """The version that was in force then."""
        settled = [resources for made, resources in self._versions if made <= instant]
        return settled[-1] if settled else self._versions[0][1]
