#!/usr/bin/env bash
# Make the virtual environment $VENV with ModelPack, all its extras and the development tools.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${PYTHON:=python3}" "${VENV:=.venv}" "${LLAMA_WHEELS:=}"

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    say "Python 3.11 or later is needed; say which with: make PYTHON=python3.12 …"
    exit 1
}

missing=()
{ command -v cc && command -v c++; } >/dev/null || missing+=(build-essential)
"$PYTHON" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if ((${#missing[@]})); then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        say "Installing ${missing[*]} …"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
    else
        say "Please install first: ${missing[*]}"
        exit 1
    fi
fi

[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
pip=("$VENV/bin/python" -m pip --disable-pip-version-check -q)
"${pip[@]}" install --upgrade 'pip>=24'

options=()
if [ -n "$LLAMA_WHEELS" ]; then
    options+=(--extra-index-url "$LLAMA_WHEELS" --prefer-binary)
fi
if ! "$VENV/bin/python" -c 'import importlib.util, sys; sys.exit(not importlib.util.find_spec("llama_cpp"))'; then
    if [ -n "$LLAMA_WHEELS" ]; then
        say "Installing llama-cpp-python from $LLAMA_WHEELS …"
    else
        say "Installing llama-cpp-python: the first time on a machine it is compiled, which takes"
        say "five to nine minutes on two cores (a wheel instead: make LLAMA_WHEELS=URL, see Makefile) …"
    fi
fi
CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" \
    "${pip[@]}" install "${options[@]}" -e '.[runtime,registry,dev]'
