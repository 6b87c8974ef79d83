"""What the kubelet's URLsMatch and Go's ParseDuration make of generated texts, kept as tables.

    PYTHONPATH=tests python -m kubelet.tables      ask the newest minor and write tables/ anew

Unit tests compare our own matching and our durations with the tables and so need no Go; a test of
this tier proves that the tables are what the pinned Kubernetes answers.
"""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from kubelet import build

TABLES = Path(__file__).parent / "tables"

_PATTERN_HOSTS = (
    "gcr.io",
    "GCR.io",
    "*.gcr.io",
    "*.io",
    "g*r.io",
    "*gcr.io",
    "*-docker.pkg.dev",
    "*.pkg.dev",
    "**.pkg.dev",
    "us-docker.pkg.dev",
    "us-*.pkg.dev",
    "*-*-docker.pkg.dev",
    "*us*docker*.pkg.dev",
    "*d*d*.pkg.dev",
    "us-docker.*.dev",
    "us-docker.pkg.*",
    "?s-docker.pkg.dev",
    "[a-z]s-docker.pkg.dev",
    "[us-docker.pkg.dev",
    "registry.example.com",
    "*.example.com",
    "*.*.*",
    "*",
    "localhost",
    "127.0.0.1",
    "us-docker.pkg.dev.",
    "https://us-docker.pkg.dev",
)
_IMAGE_HOSTS = (
    "gcr.io",
    "us.gcr.io",
    "US.gcr.io",
    "us-docker.pkg.dev",
    "us-central1-docker.pkg.dev",
    "-docker.pkg.dev",
    "docker.pkg.dev",
    "us-dockerd.pkg.dev",
    "us-docker.pkg.dev.",
    "us-docker.pkg.dev.example.com",
    "a.us-docker.pkg.dev",
    "registry.example.com",
    "registry_1.example.com",
    "localhost",
    "127.0.0.1",
    "*-docker.pkg.dev",
)
_PORTS = ("", ":", ":443", ":5000", ":port")
_PATTERN_PATHS = ("", "/", "/p", "/p/r", "/p/r/", "/p/*", "/P", "/p//r")
_IMAGE_PATHS = ("", "/", "/p", "/p/r", "/p/r/app", "/p/r2/app", "/p2/r/app", "/q/app", "/p//r/app")

_DURATIONS = (
    *("0s", "0", "1s", "60s", "600s", "2998s", "3300s", "43200s", "55m0s", "1h", "1h0m0s", "12h"),
    *("3000.5s", ".5s", "1.s", "1.5h", "1ms", "1us", "1µs", "1ns", "+5s", "-1s", "1h-1m", "00s"),
    *("", "s", "3300", "3300 s", "3300S", " 3300s", "3300s ", "1d", "1e3s", "0x10s", "1_000s"),
    *("nan", "inf", "9223372036s", "9223372037s", "99999999999999999999s", "\u0661s", "3300s\n"),
)


def _pairs() -> list[tuple[str, str]]:
    """Each rule of the matching by itself: host by host, port by port, path by path."""
    hosts = [(p, i + "/p/r/app") for p, i in itertools.product(_PATTERN_HOSTS, _IMAGE_HOSTS)]
    ports = [
        (host + p, "us-docker.pkg.dev" + i + "/p/r/app")
        for host in ("us-docker.pkg.dev", "*.pkg.dev")
        for p, i in itertools.product(_PORTS, _PORTS)
    ]
    paths = [
        ("us-docker.pkg.dev" + p, "us-docker.pkg.dev" + i)
        for p, i in itertools.product(_PATTERN_PATHS, _IMAGE_PATHS)
    ]
    return list(dict.fromkeys(hosts + ports + paths))


def current() -> dict[str, str]:
    """File name and text of each table, as the pinned Kubernetes answers now."""
    pairs = _pairs()
    asked = json.dumps({"images": pairs, "durations": _DURATIONS})
    answer = subprocess.run(
        [build.tables().build()], input=asked, capture_output=True, text=True, check=True
    )
    told = json.loads(answer.stdout)
    images = [[*pair, verdict] for pair, verdict in zip(pairs, told["images"], strict=True)]
    durations = [list(row) for row in zip(_DURATIONS, told["durations"], strict=True)]
    version = told["kubernetes"]
    return {
        "images.json": _table(
            version, "pattern, image, whether URLsMatchStr matches them (null: an error)", images
        ),
        "durations.json": _table(
            version, "text, nanoseconds by time.ParseDuration (null: an error)", durations
        ),
    }


def _table(kubernetes: str, columns: str, rows: list[list[Any]]) -> str:
    lines = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in rows)
    head = f'"kubernetes": {json.dumps(kubernetes)},\n "columns": {json.dumps(columns)}'
    return f'{{{head},\n "rows": [\n  {lines}\n ]}}\n'


def main() -> int:
    """Write the tables."""
    TABLES.mkdir(exist_ok=True)
    for name, text in current().items():
        (TABLES / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
