"""Names of retrieval metrics, and what is said of those that are none."""

from __future__ import annotations

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.plugin.session.options import OPTIONS
from rag_evals.evals.retrieval.metric_names import DEFAULT_METRICS, RetrievalMetric, parse_metric


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("retrieval.recall", RetrievalMetric("recall")),
        ("retrieval.recall@8", RetrievalMetric("recall", 8)),
        ("retrieval.precision", RetrievalMetric("precision")),
        ("retrieval.precision@5", RetrievalMetric("precision", 5)),
        ("retrieval.iou", RetrievalMetric("iou")),
        ("retrieval.hit@5", RetrievalMetric("hit", 5)),
        ("retrieval.mrr", RetrievalMetric("mrr")),
        ("retrieval.ndcg@10", RetrievalMetric("ndcg", 10)),
        ("retrieval.map", RetrievalMetric("map")),
        ("retrieval.unjudged@10", RetrievalMetric("unjudged", 10)),
    ],
)
def test_names(name, metric):
    """Each name is read and written alike."""
    assert parse_metric(name) == metric
    assert metric.name == name


def test_default_metrics_are_known():
    """The names of a run that names none."""
    assert [parse_metric(name).name for name in DEFAULT_METRICS] == list(DEFAULT_METRICS)
    (option,) = (option for option in OPTIONS if option.field == "retrieval_metrics")
    assert option.default == list(DEFAULT_METRICS)


KNOWN = (
    "known are retrieval.recall, retrieval.precision, retrieval.iou, retrieval.mrr, retrieval.map, "
    "retrieval.recall@K, retrieval.precision@K, retrieval.hit@K, retrieval.ndcg@K, retrieval.unjudged@K"
)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("retrieval.recall@0", '"retrieval.recall@0": k is 0, and passages are counted from 1'),
        ("retrieval.ndgc@10", 'unknown metric "retrieval.ndgc@10", did you mean "retrieval.ndcg@10"?'),
        ("retrieval.NDCG@5", 'unknown metric "retrieval.NDCG@5", did you mean "retrieval.ndcg@5"?'),
        ("retrieval.hits", 'unknown metric "retrieval.hits", did you mean "retrieval.hit@10"?'),
        ("retrieval.recal", 'unknown metric "retrieval.recal", did you mean "retrieval.recall"?'),
        ("retrieval.recal@4", 'unknown metric "retrieval.recal@4", did you mean "retrieval.recall@4"?'),
        ("retrieval.quality", f'unknown metric "retrieval.quality": {KNOWN}'),
        ("retrieval.", f'unknown metric "retrieval.": {KNOWN}'),
        ("ndcg@10", 'unknown metric "ndcg@10", did you mean "retrieval.ndcg@10"?'),
        ("retrieval.ndcg", "retrieval.ndcg needs a number of passages, such as retrieval.ndcg@10"),
        ("retrieval.hit", "retrieval.hit needs a number of passages, such as retrieval.hit@10"),
        ("retrieval.mrr@10", '"retrieval.mrr@10": retrieval.mrr is of all passages and takes no k'),
        ("retrieval.iou@3", '"retrieval.iou@3": retrieval.iou is of all passages and takes no k'),
        ("retrieval.hit@ten", '"retrieval.hit@ten": k is a whole number up to 999999, not "ten"'),
        ("retrieval.hit@-1", '"retrieval.hit@-1": k is a whole number up to 999999, not "-1"'),
        ("retrieval.hit@", '"retrieval.hit@": k is a whole number up to 999999, not ""'),
        ("retrieval.hit@5@6", '"retrieval.hit@5@6": k is a whole number up to 999999, not "5@6"'),
        ("retrieval.hit@٣", '"retrieval.hit@٣": k is a whole number up to 999999, not "٣"'),
        ("retrieval.hit@5\n", '"retrieval.hit@5\\n": k is a whole number up to 999999, not "5\\n"'),
    ],
)
def test_names_that_are_none(name, message):
    """One line says why, and what was perhaps meant."""
    with pytest.raises(UsageError) as caught:
        parse_metric(name)
    assert str(caught.value) == message
