import random

import numpy as np
import pytest
from gennape_plugin.core.builder import GraphBuilder
from hypothesis import given, settings
from small_models import chain, dags, graphs_of

from gennape_plugin.report.drawing import drawings
from gennape_plugin.report.layout import layered
from gennape_plugin.report.structure import element_of, elements, parts_of


def resnet(blocks: int, *, scopes: bool):
    b = GraphBuilder()

    def at(scope: str) -> None:
        b.set_scope(scope if scopes else "")

    at("stem")
    x = b.relu(b.conv(b.input((1, 3, 8, 8)), 4, kernel=3))
    for i in range(blocks):
        at(f"layer.{i}")
        y = b.relu(b.conv(x, 4, kernel=3))
        y = b.relu(b.conv(y, 4, kernel=3))
        y = b.relu(b.conv(y, 4, kernel=3))
        x = b.relu(b.join("add", y, x))
    at("head")
    return b.build(b.linear(b.mean(x, (2, 3)), 10))


def covers(part) -> None:
    """Children of a part follow each other and fill its first copy."""
    if part.children:
        assert part.children[0].start == part.start
        assert part.children[-1].stop == part.first_stop
        assert part.size % part.copies == 0
        for a, b in zip(part.children, part.children[1:], strict=False):
            assert a.stop == b.start
        for child in part.children:
            covers(child)
    else:
        assert part.size == part.copies


@given(dags())
@settings(max_examples=25)
def test_parts_hold_every_operation_once(graph) -> None:
    root = parts_of(graph)
    covers(root)
    shown = elements(root, 10)
    assert sum(p.size for p in shown) == len(graph)
    assert [element_of(shown, p.start) for p in shown] == list(range(len(shown)))


@pytest.mark.parametrize("family", ["nasbench101", "nasbench301", "inception", "two_path"])
def test_parts_of_families_hold_every_operation_once(family) -> None:
    covers(parts_of(graphs_of(family, 1)[0]))


@pytest.mark.parametrize("scopes", [True, False])
def test_equal_blocks_are_one_part(scopes) -> None:
    root = parts_of(resnet(6, scopes=scopes))
    repeats = [p for p in elements(root, 30) if p.copies > 1]
    assert [(p.copies, p.parallel) for p in repeats] == [(6, False)]
    if scopes:
        assert repeats[0].path == "layer.0 to 5"


def test_equal_branches_stand_side_by_side() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((1, 3, 8, 8)), 4, kernel=3)
    branches = [b.conv(x, 4, kernel=3) for _ in range(4)]
    graph = b.build(b.join("add", *branches))
    (repeat,) = [p for p in elements(parts_of(graph), 30) if p.copies > 1]
    assert (repeat.copies, repeat.parallel) == (4, True)


def test_patterns_of_several_operations_repeat() -> None:
    (repeat,) = [p for p in elements(parts_of(chain(40)), 30) if p.copies > 1]
    assert repeat.copies in (39, 40)
    assert repeat.size // repeat.copies == 2


def test_deep_and_odd_scopes_end() -> None:
    b = GraphBuilder()
    x = b.input((1, 3, 8, 8))
    for i in range(30):
        b.set_scope(".".join("abc"[i % 3] * 1 for _ in range(500)) + "." * (i % 4))
        x = b.conv(x, 4 + i % 2, kernel=3)
    covers(parts_of(b.build(x)))


@pytest.mark.parametrize("limit", [400, 20])
def test_drawn_boxes_are_bounded_and_links_lead_somewhere(limit) -> None:
    graph = graphs_of("nasbench301", 1)[0]
    html = drawings(graph, parts_of(graph), np.zeros(len(graph)), limit=limit)
    assert html.count('class="box"') <= limit + 8 * html.count("<svg")
    assert ("not drawn" in html) == (limit == 20)
    assert html.count("<details") == html.count("<summary") > 0


def random_dag(count: int, rng: random.Random) -> list[tuple[int, int]]:
    return sorted(
        {(rng.randrange(b), b) for b in range(1, count) for _ in range(rng.choice([1, 2]))}
    )


@pytest.mark.parametrize("seed", range(8))
def test_boxes_do_not_overlap_and_edges_lead_down(seed) -> None:
    rng = random.Random(seed)
    count = rng.randrange(1, 40)
    edges = random_dag(count, rng)
    plan = layered(count, edges, 100, 20)
    for i, (x, y) in enumerate(plan.boxes):
        assert 0 <= x <= plan.width - 100
        assert 0 <= y <= plan.height - 20
        for a, b in plan.boxes[:i]:
            assert abs(a - x) >= 100 or abs(b - y) >= 20
    for (source, target), points in zip(edges, plan.edges, strict=True):
        assert plan.boxes[source][1] < plan.boxes[target][1]
        assert points[0][1] == plan.boxes[source][1] + 20
        assert points[-1][1] == plan.boxes[target][1]
        assert [y for _, y in points] == sorted(y for _, y in points)


def test_a_drawing_without_boxes_is_no_error() -> None:
    assert layered(0, [], 100, 20).boxes == ()
