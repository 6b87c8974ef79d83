#!/bin/sh
# One universal resolution with hashes (all.txt), and the part of it that `make demo` installs (run.txt).
set -eu
cd "$(dirname "$0")/.."
lock() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
        --no-emit-index-url --custom-compile-command 'make lock' "$@" pyproject.toml
}
lock --extra emulator --extra setup --group test --group lint --group build --output-file requirements/all.txt
lock --group fuzz --output-file requirements/fuzz.txt
lock --extra emulator --group build --constraints requirements/all.txt --output-file requirements/run.txt
