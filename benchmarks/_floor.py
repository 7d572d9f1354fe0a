"""What no client can do without: curl and sha256, in shell pipelines.

Where a model has several blobs, curl moves four at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from _model import MANIFEST_TYPE, NAME, TAG, Model

PARALLEL = 4

_LOCATE = """paste -d' ' - {table} | awk -v base=http://{host} '{{
  url = $1; if (url ~ /^\\//) url = base url
  mark = (url ~ /\\?/) ? "&" : "?"
  printf "url=\\"%s%sdigest=%s\\"\\nupload-file=\\"%s\\"\\n", url, mark, $2, $3
}}'"""


def pull(model: Model, host: str, to: Path) -> list[str]:
    """Fetch the layers into the folder *to*, then check their digests."""
    blobs = to / "blobs"
    blobs.mkdir()
    lines = []
    for blob in model.layers:
        target = blobs / blob.path.name
        lines += [f'url="http://{host}/v2/{NAME}/blobs/{blob.digest}"', f'output="{target}"']
    wanted = _write(to / "curl.cfg", lines)
    sums = sorted(f"{blob.path.name} *{blob.path.name}" for blob in model.layers)
    listed = _write(to / "sums", sums)
    verify = f"cd {quote(str(blobs))} && openssl dgst -sha256 -r * | cmp - {listed}"
    return _shell(f"{_curl(model)} -K {wanted} && {verify}")


def ask(host: str) -> list[str]:
    """Fetch the manifest, which says that there is nothing to do."""
    accept = quote(f"Accept: {MANIFEST_TYPE}")
    return _shell(f"curl -sSf -H {accept} http://{host}/v2/{NAME}/manifests/{TAG}")


def push(model: Model, host: str, notes: Path) -> list[str]:
    """Begin an upload for each blob with POST, then send them with PUT, then the manifest."""
    posts = [f'url="http://{host}/v2/{NAME}/blobs/uploads/"' for _ in model.blobs]
    table = _write(notes / "table", [f"{blob.digest} {blob.path}" for blob in model.blobs])
    begin = (
        f"{_curl(model)} -X POST -H 'Content-Length: 0' -w '%header{{location}}\\n' "
        f"-K {_write(notes / 'posts.cfg', posts)}"
    )
    send = f"{_curl(model)} -H Expect: -K - >/dev/null"
    locate = _LOCATE.format(table=table, host=host)
    return _shell(f"{begin} | {locate} | {send} && {_name(model, host)}")


def copy(model: Model, source: str, host: str) -> list[str]:
    """Let one curl read each blob and another one write it, all blobs at once."""
    start = "curl -sSf -X POST -H 'Content-Length: 0' -w '%header{location}' "
    start += f"http://{host}/v2/{NAME}/blobs/uploads/"
    lines = ["move() {", f"  url=$({start})"]
    lines += [f'  case "$url" in /*) url="http://{host}$url";; esac']
    lines += ["  case \"$url\" in *\\?*) mark='&';; *) mark='?';; esac"]
    lines += [f"  curl -sSf http://{source}/v2/{NAME}/blobs/$1 |"]
    lines += ['    curl -sSf -T - -H Expect: -H Transfer-Encoding: -H "Content-Length: $2" \\']
    lines += ['    "$url${mark}digest=$1"', "}"]
    lines += [f"move {blob.digest} {blob.size} &" for blob in model.blobs]
    lines += ["wait", _name(model, host)]
    return _shell("\n".join(lines))


def _name(model: Model, host: str) -> str:
    kind = quote(f"Content-Type: {MANIFEST_TYPE}")
    target = f"http://{host}/v2/{NAME}/manifests/{TAG}"
    return f"curl -sSf -T {quote(str(model.manifest.path))} -H {kind} {target}"


def _curl(model: Model) -> str:
    if len(model.layers) == 1:
        return "curl -sSf"
    return f"curl -sSf --fail-early -Z --parallel-immediate --parallel-max {PARALLEL}"


def _write(path: Path, lines: Sequence[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines))
    return quote(str(path))


def _shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]
