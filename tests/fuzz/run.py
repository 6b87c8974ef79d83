"""Run the fuzz targets for a bounded time: `python tests/fuzz/run.py --seconds 60 [TARGET ...]`.

Each target runs in a process of its own, since libFuzzer ends the process it runs in. It starts
from tests/fuzz/corpus/TARGET, which it does not change; an input that breaks a promise is kept in
build/fuzz. Exit 0: nothing found; 1: something found; 2: it cannot run.
"""

import argparse
import importlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FOUND = HERE.parents[1] / "build" / "fuzz"
TARGETS = ("request", "answer")
ONE_INPUT_SECONDS = 10
MEBIBYTES = 1024
LARGEST_INPUT = 32768  # bytes


def atheris() -> Any:
    """The fuzzer, which has no types of its own."""
    try:
        return importlib.import_module("atheris")
    except ImportError:
        print(
            f"fuzz: atheris is not installed ({sys.executable}). "
            "Fix: make fuzz, or pip install --require-hashes -r requirements/fuzz.txt",
            file=sys.stderr,
        )
        sys.exit(2)


def fuzz(target: str, arguments: list[str]) -> None:
    """Fuzz in this process; never returns."""
    fuzzer = atheris()
    sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "src")]
    with fuzzer.instrument_imports(include=["gcp_sa_credential_provider"]):
        targets = importlib.import_module("fuzz.targets")
    fuzzer.Setup([target, *arguments], targets.TARGETS[target])
    fuzzer.Fuzz()


def run(target: str, seconds: int) -> bool:
    """Fuzz in a process of its own; whether nothing was found."""
    FOUND.mkdir(parents=True, exist_ok=True)
    log = FOUND / f"{target}.log"
    print(f"fuzz: {target}: {seconds} s, log in {_shown(log)}", flush=True)
    with tempfile.TemporaryDirectory() as learnt, log.open("wb") as out:
        child = subprocess.run(
            [
                sys.executable,
                __file__,
                "--here",
                target,
                learnt,
                str(HERE / "corpus" / target),
                f"-max_total_time={seconds}",
                f"-max_len={LARGEST_INPUT}",
                f"-timeout={ONE_INPUT_SECONDS}",
                f"-rss_limit_mb={MEBIBYTES}",
                f"-artifact_prefix={FOUND / target}-",
                "-print_final_stats=1",
            ],
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    text = log.read_text(errors="replace")
    if child.returncode:
        print(
            f"{text[-3000:]}\nfuzz: {target}: failed, exit {child.returncode} (see above). "
            f"Fix: python {_shown(Path(__file__))} --here {target} INPUT runs one input again; "
            "what is mended belongs into tests/fuzz/corpus",
            file=sys.stderr,
        )
        return False
    units = re.search(r"number_of_executed_units: (\d+)", text)
    if units is None:
        print(f"fuzz: {target}: the fuzzer ran no input. Fix: read the log", file=sys.stderr)
        return False
    print(f"fuzz: {target}: nothing found in {units[1]} inputs")
    return True


def _shown(path: Path) -> str:
    return str(path.relative_to(HERE.parents[1]))


def main() -> int:
    """Every target that is named, or all."""
    if sys.argv[1:2] == ["--here"]:
        fuzz(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description="bounded fuzzing of the plugin")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("target", nargs="*", metavar="TARGET", help="default: all")
    options = parser.parse_args()
    if unknown := set(options.target) - set(TARGETS):
        parser.error(f"unknown target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    atheris()
    found = [not run(target, options.seconds) for target in options.target or TARGETS]
    return 1 if any(found) else 0


if __name__ == "__main__":
    sys.exit(main())
