#!/usr/bin/env bash
# The whole way: build the example model, push it to a registry of its own, remove it, pull it
# back, verify it, and ask it something. Everything happens below .demo/.
set -euo pipefail
cd "$(dirname "$0")/.."

rm -rf .demo
mkdir -p .demo
export MODELPACK_MODELS="$PWD/.demo/models" DOCKER_CONFIG="$PWD/.demo/docker"
unset MODELPACK_REGISTRY OLLAMA_MODELS

step() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

modelpack registry serve --listen 127.0.0.1:0 --root .demo/registry 2>.demo/registry.log &
registry=$!
trap 'kill "$registry" 2>/dev/null; wait "$registry" 2>/dev/null || true' EXIT
for _ in $(seq 100); do
    url=$(sed -n 's|.* is at http://||p' .demo/registry.log)
    [ -n "$url" ] && break
    kill -0 "$registry" 2>/dev/null || { cat .demo/registry.log >&2; exit 1; }
    sleep 0.1
done
[ -n "$url" ] || { cat .demo/registry.log >&2; exit 1; }
echo "A registry listens on $url."
model="$url/demo/tiny:1"

step modelpack build -f Modelfile.examples/tiny/Modelfile -t "$model"
step modelpack push "$model"
step modelpack rm "$model"
step modelpack list
step modelpack pull "$model"
step modelpack list
step modelpack export "$model" .demo/tiny.gguf
step cmp .demo/tiny.gguf Modelfile.examples/tiny/tiny.gguf
echo "The weights came back byte for byte."

question="What is the capital of France?"
printf '\n\033[1m$ modelpack run %s "%s"\033[0m\n' "$model" "$question"
answer=$(modelpack run "$model" "$question")
printf '%s\n' "$answer"
case $answer in
    *Paris*) printf '\nThat is right: the whole way works.\n' ;;
    *) printf '\nThat is not right.\n' >&2; exit 1 ;;
esac
