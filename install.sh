#!/bin/sh
# Makes .venv/ in this checkout: hash-checked packages from requirements/, then Tidemill itself, editable.
#
#   sh install.sh        what a user needs (requirements/demo.txt)
#   sh install.sh dev    that, the test suite's needs and the developers' tools (requirements/dev.txt)
#
# Running it again brings .venv/ up to date. PYTHON=... names the interpreter to use.
set -eu
cd "$(dirname "$0")"

lock=requirements/${1:-demo}.txt
if [ ! -f "$lock" ]; then
    echo "install.sh: there is no $lock; type 'sh install.sh' or 'sh install.sh dev'." >&2
    exit 2
fi

fits() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

if ! { fits .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
    python=
    for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        if fits "$candidate"; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "install.sh: Tidemill needs Python 3.11 to 3.14; none is on the PATH." >&2
        exit 2
    fi
    # Debian and Ubuntu keep the part of Python that makes virtual environments in a package of its own.
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        as_root=
        [ "$(id -u)" = 0 ] || as_root=sudo
        echo "Installing Debian's $package ..."
        if ! { $as_root apt-get update -qq && $as_root apt-get install -y -qq "$package" >/dev/null; }; then
            echo "install.sh: install the package $package, then type the same command again." >&2
            exit 2
        fi
    fi
    "$python" -m venv --clear .venv
fi

echo "Installing what $lock lists into .venv/ (a minute or two, the first time) ..."
PIP_DISABLE_PIP_VERSION_CHECK=1
PIP_ROOT_USER_ACTION=ignore
export PIP_DISABLE_PIP_VERSION_CHECK PIP_ROOT_USER_ACTION
.venv/bin/python -m pip install --quiet --only-binary :all: --require-hashes -r "$lock"
# The test suite wants a real PostgreSQL server and a real browser; without one, its tests are skipped and say so.
if [ "$lock" = requirements/dev.txt ] && command -v apt-get >/dev/null; then
    wanted=
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || wanted=postgresql
    command -v chromium >/dev/null || wanted="$wanted chromium"
    as_root=
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    for package in $wanted; do
        echo "Installing Debian's $package, for the tests ..."
        if ! { $as_root apt-get update -qq && $as_root apt-get install -y -qq "$package" >/dev/null; }; then
            echo "install.sh: $package could not be installed; the tests that need it will be skipped." >&2
        fi
    done
fi
# No network for this one: what builds it is in the lock.
.venv/bin/python -m pip install --quiet --no-deps --no-index --no-build-isolation --editable .
# What is installed elsewhere is compiled by pip; where Python may write no bytecode, each start would compile this anew.
.venv/bin/python -m compileall -q src
