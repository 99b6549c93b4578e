"""Metrics whose cells are counters stay within their bounds over all processes."""

from __future__ import annotations

import pytest
from counting_workers import new_metrics

from flaskprof.metrics import table
from flaskprof.metrics.folding import fold, read
from flaskprof.metrics.layout import OVERFLOW
from flaskprof.metrics.series import Declaration, bucket_of, grouped
from flaskprof.metrics.table import Kind


def test_the_cell_of_a_bucket_is_its_bound():
    assert [bucket_of(value, (10, 20)) for value in (0, 10, 11, 20, 21)] == [
        *("10", "10", "20", "20", "inf")
    ]


def test_a_declaration_is_read_as_it_was_written():
    declared = Declaration("a_seconds", Kind.histogram, 'say "é"', ("x", "y"), (1, 2))
    assert Declaration.from_labels(declared.to_labels()) == declared


@pytest.mark.parametrize(
    "labels",
    [
        ("_declared_", "a"),
        ("_declared_", "a", "counter", "", "{"),
        ("_declared_", "a", "no kind", "", "[[],[]]"),
        ("_declared_", "a", "counter", "", "7"),
        ("_declared_", "a", "counter", "", '[["x"],["y"]]'),
    ],
)
def test_a_damaged_declaration_is_a_value_error(labels):
    with pytest.raises(ValueError):
        Declaration.from_labels(labels)


def test_cells_of_another_number_of_labels_are_passed_over():
    rows = [(("a", "sum"), 5), (("a", "10"), 2), (("a", "b", "sum"), 7)]
    (group,) = grouped(rows, 1)
    assert (group.values, group.sum, group.count) == (("a",), 5, 2)
    assert list(group.buckets((5, 10))) == [(5, 0), (10, 2), (None, 2)]


def test_label_sets_of_many_processes_are_bounded_together(tmp_path):
    directory = tmp_path / "metrics"
    most = table.TEMPLATES.most
    for process in range(3):
        metrics = new_metrics(directory)
        for number in range(most - 1):
            metrics.observe_template(f"{process}/{number}.html", 10)
        metrics.close()
    for _ in range(2):
        rows = [
            (row.labels[1:], row.cells[0])
            for row in read(directory).totals.counters.values()
            if row.labels[0] == table.TEMPLATES.name
        ]
        groups = {group.values[0]: group for group in grouped(rows, 1)}
        # The oldest stay what they are; nothing is lost.
        assert len(groups) == most + 1
        assert {f"0/{number}.html" for number in range(most - 1)} <= set(groups)
        assert groups[OVERFLOW].count == 3 * (most - 1) - most
        assert sum(group.sum for group in groups.values()) == 3 * (most - 1) * 10
        fold(directory)
    metrics = new_metrics(directory)
    refused = metrics.registry.get_sample_value(
        "flaskprof_label_sets_refused_total", {"metric": table.TEMPLATES.name}
    )
    assert refused == 3 * (most - 1) - most
    metrics.close()
