"""What is made of measured numbers: ratios, verdicts, tables."""

from __future__ import annotations

import doctest
import json
from types import ModuleType

import pytest

from benchmarks import exchange, installed, ratios, spans, table
from benchmarks.chart import Bar, bars
from benchmarks.ratios import agree, block_steps, ratio
from benchmarks.report import conclusion, for_document, for_terminal
from benchmarks.rows import STEP, Row, cells, from_json, missed, sections, to_json
from benchmarks.table import as_markdown, as_text


def row(ours: list[float], theirs: list[float], **goals: float) -> Row:
    return Row(section="steps", name="net", unit="ms", ours=ours, theirs=theirs, **goals)


@pytest.mark.parametrize("module", [ratios, table, exchange, installed, spans])
def test_the_examples_in_the_docstrings_are_so(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_a_ratio_is_taken_between_neighbours_so_a_slow_round_does_not_count() -> None:
    found = ratio([1.0, 10.0, 1.0], [2.0, 20.0, 2.0])
    assert (found.low, found.median, found.high) == (2.0, 2.0, 2.0)


def test_a_single_round_has_no_spread() -> None:
    found = ratio([2.0], [3.0])
    assert found.low == found.median == found.high == 1.5


@pytest.mark.parametrize(
    ("theirs", "reached"), [(3.0, "aim"), (2.5, "must"), (2.0, "must"), (1.9, "MISSED")]
)
def test_a_goal_is_reached_from_its_number_on(theirs: float, reached: str) -> None:
    assert row([1.0], [theirs], must=2, aim=3).reached == reached


def test_a_limit_holds_whatever_the_ratio() -> None:
    assert row([0.8], [4.0], must=1, at_most=0.7).reached == "MISSED"
    assert row([0.6], [4.0], must=1, at_most=0.7).reached == "must"


def test_without_the_other_side_only_a_limit_is_judged() -> None:
    assert row([1.0], [], must=2).reached == ""
    assert row([1.0], [], must=2, at_most=2).reached == "must"
    assert row([3.0], [], must=2, at_most=2).reached == "MISSED"


def test_what_is_missed_is_named() -> None:
    assert missed([row([1.0], [1.0], must=2), row([1.0], [9.0], must=2)]) == ["net"]


def test_a_row_is_the_same_after_a_results_file() -> None:
    before = row([1.0, 2.0], [3.0, 4.0], must=1.5)
    assert from_json(json.loads(json.dumps(to_json(before)))) == before


def test_a_row_without_the_other_side_has_empty_cells() -> None:
    assert cells(row([1.0], [])) == ("net", "1.00", "", "ms", "", "", "", "", "")


def test_sections_keep_their_order() -> None:
    rows = [
        Row(section=section, name="", unit="ms", ours=[1.0]) for section in ("b", "a", "b", "c")
    ]
    assert [(name, len(inside)) for name, inside in sections(rows)] == [
        ("b", 2),
        ("a", 1),
        ("c", 1),
    ]


def test_losses_agree_within_a_tolerance_and_never_when_they_are_not_finite() -> None:
    assert agree([1.0, 2.0], [1.00001, 2.0], 1e-4)
    assert not agree([1.0], [1.001], 1e-4)
    assert not agree([float("nan")], [float("nan")], 1e-4)
    assert not agree([float("inf")], [float("inf")], 1e-4)
    assert not agree([1.0], [1.0, 1.0], 1e-4)


def test_a_block_has_at_least_one_step() -> None:
    assert block_steps(2.0, 0.3) == 1
    assert block_steps(0.01, 0.3) == 30


def test_a_table_is_aligned() -> None:
    text = as_text(("what", "ms"), [("a", "1.00"), ("longer", "20.0")])
    assert text.splitlines() == ["what      ms", "------------", "a       1.00", "longer  20.0"]


def test_a_table_for_a_document_has_a_line_of_marks() -> None:
    assert as_markdown(("what", "ms"), [("a", "1")]).splitlines() == [
        "| what | ms |",
        "| --- | ---: |",
        "| a | 1 |",
    ]


def test_the_chart_shows_the_training_steps_that_have_a_rival() -> None:
    step = {"section": STEP, "unit": "ms", "ours": [1.0]}
    rows = [
        Row(name="gpt-128, 2", theirs=[2.0], must=1.1, **step),
        Row(name="gpt-128, 1", must=1.1, **step),
        Row(section="all-reduce", name="1 KiB", unit="ms", ours=[1.0], theirs=[2.0], must=20),
    ]
    assert bars(rows) == [Bar("gpt-128", 2, False, height=2.0, low=2.0, high=2.0, must=1.1)]


def test_a_report_has_a_table_per_section_and_says_what_was_missed() -> None:
    rows = [
        Row(section="steps", name="a", unit="ms", ours=[1.0], theirs=[1.0], must=2),
        Row(section="size", name="b", unit="MB", ours=[1.0], beside={"other": [3.0]}),
    ]
    steps, size, beside, short = for_terminal(rows).split("\n\n")
    assert steps.startswith("steps")
    assert size.startswith("size")
    assert beside.splitlines()[-1].split() == ["b", "other", "3.00", "MB"]
    assert short == "missed: a"
    assert conclusion(rows[1:]) == "no goal missed"
    assert conclusion([row([1.0], [], must=2)]).endswith("1 not judged, for want of PyTorch")
    assert for_document(rows).count("| --- |") == 2
