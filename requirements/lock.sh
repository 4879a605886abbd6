#!/usr/bin/env bash
# Resolves requirements/dev.txt and requirements/demo.txt anew from pyproject.toml: exact versions with
# the hashes of every file, one version for every platform and each Python from 3.11 on ("fewest" forks),
# and no addresses, so that they work behind any mirror.
set -euo pipefail
cd "$(dirname "$0")/.."

resolve() {
    # No configuration of the user's (another index, say) may show in the result.
    uv pip compile pyproject.toml --quiet --no-config --universal --python-version 3.11 \
        --fork-strategy fewest --generate-hashes --no-annotate --no-header \
        --exclude-newer "${RELEASED_BEFORE:-14 days}" --no-emit-index-url --no-emit-find-links \
        --extra keras --extra sklearn --extra tune --extra checks --extra images --group build "$@"
}

resolve --extra pandas --extra excel --extra team --group dev --output-file requirements/dev.txt
# The runtime lock is a part of the development lock, not a second resolution.
resolve --constraint requirements/dev.txt --output-file requirements/demo.txt
