"""`modelpack bench`."""

from dataclasses import asdict
from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import Json
from modelpack.cli._progress import mode_of, progress
from modelpack.errors import InputError
from modelpack.ops.bench import BenchOptions, Measured, bench
from modelpack.ops.context import Context
from modelpack.ops.run import stored_model


def main(
    model: Annotated[str, typer.Argument(help="The model; fetched if it is not in the store.")],
    streams: Annotated[
        str, typer.Option("--streams", metavar="N,…", help="Answers at the same time.")
    ] = "1,4,8",
    prompt: Annotated[int, typer.Option("--prompt", min=1, help="Tokens of each prompt.")] = 512,
    tokens: Annotated[int, typer.Option("--tokens", min=2, help="Tokens of each answer.")] = 128,
    ctx: Annotated[
        int, typer.Option("--ctx", min=0, help="Tokens of context of each; 0: what is needed.")
    ] = 0,
    threads: Annotated[
        int, typer.Option("--threads", min=0, help="Threads; 0: one per physical core.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Measure how fast a model reads and writes."""
    options = BenchOptions(
        streams=_counts(streams), prompt=prompt, tokens=tokens, n_ctx=ctx, threads=threads
    )
    options.check()
    with progress(mode_of(quiet=False, as_json=as_json)) as report:
        measured = bench(stored_model(Context.create(), model, report), options, report)
    if as_json:
        _console.json_out(_as_json(measured, options))
    else:
        _show(measured, options)


def _counts(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdecimal() for word in words):
        raise InputError(f"--streams: not a list of numbers: {text[:50]!r}", hint="such as 1,4,8")
    return tuple(dict.fromkeys(int(word[:9]) for word in words))


def _show(measured: Measured, options: BenchOptions) -> None:
    _console.out(
        f"{measured.model}: loaded in {measured.load_s:.2f} s, {measured.threads} threads; "
        f"{options.prompt} tokens of prompt, {options.tokens} of answer"
    )
    _console.out("")
    _console.table(
        ("STREAMS", "FIRST TOKEN", "LAST FIRST", "PROMPT TOK/S", "TOK/S EACH", "TOK/S ALL"),
        [
            (
                str(speed.streams),
                _seconds(speed.first_token_s),
                _seconds(speed.last_first_token_s),
                f"{speed.prompt_rate:,.1f}",
                f"{speed.stream_rate:,.1f}",
                f"{speed.decode_rate:,.1f}",
            )
            for speed in measured.speeds
        ],
    )


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _as_json(measured: Measured, options: BenchOptions) -> dict[str, object]:
    return {
        "model": measured.model,
        "load_s": measured.load_s,
        "n_ctx": measured.context,
        "threads": measured.threads,
        "prompt_tokens": options.prompt,
        "answer_tokens": options.tokens,
        "speeds": [
            {**asdict(speed), "stream_rate": speed.stream_rate} for speed in measured.speeds
        ],
    }
