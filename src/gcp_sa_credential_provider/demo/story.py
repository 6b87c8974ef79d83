"""The demo from beginning to end: plays the scenes in order and reports each as a step."""

import tempfile
from collections.abc import Generator
from pathlib import Path

from gcp_sa_credential_provider.demo import chain, mistakes
from gcp_sa_credential_provider.demo.stage import opened
from gcp_sa_credential_provider.demo.step import Outcome, Step, UnexpectedError

SCENES = (*chain.SCENES, *mistakes.SCENES)

_START = "Fix: set TMPDIR to a directory that can be written, and allow sockets on 127.0.0.1"
_REPORT = "Fix: report it with this output and the version (--version)"


def tell() -> Generator[Step]:
    """Play in a temporary directory. Yields each step once done; the first not ok is the last.

    The emulator runs, and the directory is there, until the iterator ends or is closed.
    """
    try:
        with (
            tempfile.TemporaryDirectory(prefix="gcp-sa-credential-provider-") as directory,
            opened(Path(directory)) as stage,
        ):
            for scene in SCENES:
                try:
                    outcome, problem = scene.play(stage), ""
                except (UnexpectedError, OSError) as error:
                    outcome, problem = Outcome(), f"{error}. {_REPORT}"
                yield Step(scene.name, scene.title, scene.what, outcome, problem)
                if problem:
                    return
    except OSError as error:
        scene = SCENES[0]
        problem = f"emulator: cannot start ({error}). {_START}"
        yield Step(scene.name, scene.title, scene.what, Outcome(), problem)
