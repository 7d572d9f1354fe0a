"""Documents, told by how well they fit a query."""

from __future__ import annotations

import pytest
from engine.bert import RANK, SEP, TEXTS, compute, tokens_of, write_bert
from engine.test_embedding import GELU
from support.serving import MODEL, serving, tiny_store

from modelpack import limits
from modelpack.ops.build import BuildOptions, build

pytestmark = pytest.mark.model

QUERY = "the cat"
DOCUMENTS = TEXTS[:5]


@pytest.fixture(scope="module")
def ranking(tmp_path_factory):
    """A server that has a model which compares texts, and the weights of that."""
    folder = tmp_path_factory.mktemp("ranking")
    path, weights = write_bert(folder / "rank.gguf", pooling=RANK)
    context = tiny_store(folder)
    source = f"FROM ./{path.name}\nPARAMETER num_thread 1\n".encode()
    build(context, source, BuildOptions(context=folder, tags=["ranker"]))
    with serving(context) as served:
        yield served, weights


def expected(weights: dict) -> list[float]:
    query = tokens_of(QUERY)[:-1]
    pairs = [[*query, SEP, *tokens_of(text)[1:]] for text in DOCUMENTS]
    return [float(compute(weights, pair, RANK)) for pair in pairs]


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
def test_documents_come_with_their_scores_the_best_first(ranking, path):
    served, weights = ranking
    said = served.post(path, model="ranker", query=QUERY, documents=list(DOCUMENTS))
    scores = expected(weights)
    best = sorted(range(len(scores)), key=lambda at: -scores[at])
    assert [one["index"] for one in said["results"]] == best
    for one in said["results"]:
        assert set(one) == {"index", "relevance_score"}
        assert one["relevance_score"] == pytest.approx(scores[one["index"]], abs=GELU)
    assert said["object"] == "list"
    assert said["model"] == "ranker"
    tokens = sum(len(tokens_of(QUERY)) + len(tokens_of(text)) - 1 for text in DOCUMENTS)
    assert said["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


def test_only_the_best_are_told_and_their_texts_where_that_is_asked_for(ranking):
    served, weights = ranking
    given = [{"text": text} for text in DOCUMENTS]
    body = {"model": "ranker", "query": QUERY, "documents": given}
    said = served.post("/v1/rerank", **body, top_n=2, return_documents=True)
    scores = expected(weights)
    best = sorted(range(len(scores)), key=lambda at: -scores[at])[:2]
    assert [one["document"] for one in said["results"]] == [given[at] for at in best]
    assert len(served.post("/v1/rerank", **body, top_n=99)["results"]) == len(DOCUMENTS)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": MODEL}, '"tiny" does not support reranking'),
        ({"model": None}, "model is required"),
        ({"query": ""}, "query is required"),
        ({"query": "sky " * 99}, "too long to compare"),
        ({"documents": []}, "documents must be"),
        ({"documents": "x"}, "documents must be a list"),
        ({"documents": ["a", ""]}, r"documents[1] must be a text"),
        ({"documents": ["a", {"text": 1}]}, r"documents[1] must be a text"),
        ({"documents": ["a"] * (limits.EMBED_TEXTS + 1)}, "more than 2,048 documents"),
        ({"top_n": 0}, "top_n must be between"),
    ],
)
def test_what_makes_no_sense_is_refused(ranking, change, error):
    served, _ = ranking
    body = {"model": "ranker", "query": QUERY, "documents": ["a"], **change}
    answer = served.ask("POST", "/v1/rerank", body)
    assert answer.status_code == 400, answer.text
    assert error in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/chat/completions"])
def test_a_model_that_compares_does_nothing_else(ranking, path):
    served, _ = ranking
    body = {"model": "ranker", "input": "x", "messages": [{"role": "user", "content": "x"}]}
    answer = served.ask("POST", path, body)
    assert answer.status_code == 400
    assert "does not support" in answer.json()["error"]["message"]
