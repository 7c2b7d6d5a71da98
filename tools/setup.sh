#!/usr/bin/env bash
# Makes .venv with poselift and everything its checks need; called by make when pyproject.toml or
# constraints.txt is newer than the stamp. Needs Python 3.11 or newer; uses uv where it can be had.
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=${1:-.venv/.installed}
say() { printf 'poselift set-up: %s\n' "$*" >&2; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "needs Python 3.11 or newer, found none (set PYTHON=/path/to/python3)"
    return 1
}

python=$(find_python)
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    if ! "$python" -m venv .venv 2>/dev/null; then
        rm -rf .venv
        if command -v uv >/dev/null; then
            uv venv --quiet --seed --python "$python" .venv
        else
            say "'$python -m venv' does not work: install the venv module (Debian, Ubuntu: apt install python3-venv) or uv"
            exit 1
        fi
    fi
fi

uv=$(command -v .venv/bin/uv || command -v uv || true)
if [ -z "$uv" ] && .venv/bin/python -m pip install --quiet --disable-pip-version-check uv; then
    uv=.venv/bin/uv
fi

# uv does not read pip's configuration: hand over where pip is told to look for wheels.
links=$("$python" -m pip config get global.find-links 2>/dev/null | tr '\n' ' ' | sed 's/ *$//' || true)
if [ -n "$links" ]; then export UV_FIND_LINKS=${UV_FIND_LINKS:-$links}; fi

say "installing the pinned packages"
if [ -z "$uv" ] || ! VIRTUAL_ENV=$PWD/.venv "$uv" pip install --quiet --python .venv/bin/python -c constraints.txt -e '.[all]'; then
    say "uv could not do it, trying pip (slower)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
fi
.venv/bin/python -c 'import poselift'
touch "$stamp"
say "done"
