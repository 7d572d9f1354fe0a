#!/usr/bin/env bash
# Install what the tests talk to: Debian's docker-registry and skopeo where apt and root are
# there, and the oras client and the OCI conformance suite where Go is. Tests whose counterpart
# is missing are skipped, and say so.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

missing=()
command -v docker-registry >/dev/null || missing+=(docker-registry)
command -v skopeo >/dev/null || missing+=(skopeo)
command -v openssl >/dev/null || missing+=(openssl)
command -v htpasswd >/dev/null || missing+=(apache2-utils)
if ((${#missing[@]})); then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        say "Installing ${missing[*]} …"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
    else
        say "Not installed, and their tests are skipped: ${missing[*]}"
    fi
fi

go_tool() {
    local name=$1 package=$2
    command -v "$name" >/dev/null && return
    if ! command -v go >/dev/null; then
        say "Go is not installed: the tests that use $name are skipped"
        return
    fi
    say "Building $name …"
    GOBIN="$PWD/.tools/bin" go install "$package" ||
        say "$name could not be built: the tests that use it are skipped"
}

go_tool oras oras.land/oras/cmd/oras@v1.3.6
go_tool conformance github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111

if command -v npm >/dev/null; then
    if ! cmp -s tests/support/node/package.json .tools/node/package.json; then
        say "Installing the clients for Node …"
        mkdir -p .tools/node
        cp tests/support/node/package.json .tools/node/
        (cd .tools/node && npm install --no-audit --no-fund --silent >/dev/null) || {
            rm -f .tools/node/package.json
            say "They could not be installed: their test is skipped"
        }
    fi
else
    say "Node is not installed: the test of its clients is skipped"
fi
