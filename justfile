# The project's verbs. `just check` and `just test` are what CI runs.
# The tools come from .venv (see CONTRIBUTING.md).

export PATH := justfile_directory() / ".venv/bin" + ":" + env("PATH")

# List the verbs.
default:
    @just --list --unsorted

# Lint, format, types, imports, dead code.
check:
    ruff check .
    ruff format --check .
    basedpyright
    lint-imports
    vulture

# The whole default test suite, or what is named: just test tests/core -x
test *arguments:
    pytest {{ arguments }}

# The tests that take minutes each, which `just test` leaves out. Without arguments it writes docs/slow-tests.md.
test-slow *arguments:
    python docs/slow_tests.py {{ arguments }}

# Each script of bench/: prints a table, writes JSON to bench/results/.
bench *names:
    #!/usr/bin/env bash
    set -euo pipefail
    for script in bench/*.py; do
        name=$(basename "$script" .py)
        if [ -z "{{ names }}" ] || [[ " {{ names }} " == *" $name "* ]]; then python "$script"; fi
    done

# What a reader of src/ has to hold, counted: sizes, imports, ignores, comments, names, circles.
house *arguments:
    python bench/house.py {{ arguments }}

# Writes what is generated in docs/, then tests all of the documentation.
docs:
    python docs/generate.py
    pytest tests/docs

# The loop, once, in ./tidemill-demo.
demo *arguments:
    tidemill demo {{ arguments }}

# Resolve the locks anew; `just lock --upgrade` takes newer releases.
lock *arguments:
    ./requirements/lock.sh {{ arguments }}
