"""`modelpack doctor`."""

import textwrap

import typer

from modelpack.cli import _console
from modelpack.cli._options import PlainJson
from modelpack.ops.context import Context
from modelpack.ops.doctor import Section, examine, is_broken

_WIDTH = 100


def main(as_json: PlainJson = False) -> None:
    """Look at this machine and the store, and say what could be better."""
    sections = examine(Context.create())
    if as_json:
        _console.json_out(_as_json(sections))
    else:
        _console.out("\n".join(_lines(sections)))
    if is_broken(sections):
        raise typer.Exit(1)


def _lines(sections: list[Section]) -> list[str]:
    lines: list[str] = []
    for section in sections:
        rows = [(_label(fact.name), _text(fact.name, fact.value)) for fact in section.facts]
        width = max((len(name) for name, _ in rows), default=0)
        lines.append(section.title)
        for name, value in rows:
            first, *rest = textwrap.wrap(value, _WIDTH - width - 4) or [""]
            lines.append(f"  {name.ljust(width)}  {first}".rstrip())
            lines += [" " * (width + 4) + line for line in rest]
        for advice in section.advice:
            lines.append(f"  {advice.kind}: {_console.printable(advice.what)}")
            if advice.do:
                lines.append(f"    {_console.printable(advice.do)}")
        lines.append("")
    count = sum(len(section.advice) for section in sections)
    lines.append(_ending(count))
    return lines


def _ending(count: int) -> str:
    if not count:
        return "Everything is as it should be."
    return "1 thing could be better." if count == 1 else f"{count} things could be better."


def _label(name: str) -> str:
    return name.removesuffix(" bytes")


def _text(name: str, value: object) -> str:
    if name.endswith(" bytes") and isinstance(value, int):
        return _console.format_size(value)
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return _console.printable(str(value))


def _as_json(sections: list[Section]) -> dict[str, object]:
    return {
        "broken": is_broken(sections),
        "sections": [
            {
                "title": section.title,
                "facts": {fact.name.replace(" ", "_"): fact.value for fact in section.facts},
                "advice": [
                    {"kind": advice.kind, "what": advice.what, "do": advice.do}
                    for advice in section.advice
                ],
            }
            for section in sections
        ],
    }
