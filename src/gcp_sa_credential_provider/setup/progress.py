"""How far a long list is, on stderr, where that is a terminal."""

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gcp_sa_credential_provider.cluster.api import Progress as Seen
from gcp_sa_credential_provider.cluster.observe import Watch


@contextlib.contextmanager
def shown() -> Iterator[Watch]:
    """Bars for as long as the block lasts; nothing at all without a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: lambda _seen, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def watch(what: str) -> Seen:
            task = bars.add_task(what, total=None)
            return lambda seen, total: bars.update(task, completed=seen, total=total)

        yield watch
