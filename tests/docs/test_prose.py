"""The documents: links lead somewhere, and lines are not too long."""

from __future__ import annotations

import re

import pytest

from docs import examples

DOCUMENTS = [
    examples.ROOT / "README.md",
    *sorted((examples.ROOT / "docs").rglob("*.md")),
    examples.ROOT / "Modelfile.examples" / "README.md",
]
WRAPPED = [
    examples.ROOT / name
    for name in (
        "docs/format.md",
        "docs/modelfile.md",
        "docs/registries.md",
        "docs/ci/README.md",
        "Modelfile.examples/README.md",
    )
]
_LONGEST = 120


def named(path):
    return str(path.relative_to(examples.ROOT))


def anchors(path):
    """Return the anchors that GitHub gives the headings of *path*."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_within_the_repository_lead_somewhere(document):
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("document", WRAPPED, ids=named)
def test_lines_of_prose_are_not_too_long(document):
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    long = [line for line in text.splitlines() if len(line) > _LONGEST and line[:1] != "|"]
    assert long == []
