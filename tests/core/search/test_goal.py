import random

import numpy as np
import pytest
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.search import Candidate, Goal, LocalSearch, Scores
from gennape_plugin.core.search.goal import fronts
from hypothesis import given
from hypothesis import strategies as st


def scores(quality: float, flops: int = 100, **more: float) -> Scores:
    values = {"accuracy": 90.0, "distance": 0.5, "unseen": 0.0, "excess": 0.0, **more}
    return Scores(quality=quality, interval=None, flops=flops, params=10, depth=3, **values)


def candidate(quality: float, flops: int = 100, **more: float) -> Candidate:
    b = GraphBuilder(f"{quality} {flops}")
    x = b.conv(b.input((1, 3, 8, 8)), flops, kernel=1)
    return Candidate(b.build(x), scores(quality, flops, **more))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=25))
def test_fronts_are_peeled_off_one_by_one(points: list[tuple[int, int]]) -> None:
    found = fronts(np.array(points, dtype=float))
    left, level = list(range(len(points))), 0
    while left:
        first = [
            i
            for i in left
            if not any(
                all(a <= b for a, b in zip(points[j], points[i], strict=True))
                and points[j] != points[i]
                for j in left
            )
        ]
        assert [i for i in left if found[i] == level] == first
        left, level = [i for i in left if i not in first], level + 1


def test_constraints_are_missed_by_as_much_as_they_are() -> None:
    goal = Goal(max_flops=80, min_accuracy=92.0, min_quality=1.0)
    assert goal.violation(scores(1.0, 80, accuracy=92.0)) == 0
    assert goal.violation(scores(1.0, 100, accuracy=92.0)) == pytest.approx(0.25)
    assert goal.violation(scores(1.0, 80, accuracy=90.0)) == pytest.approx(0.02)
    assert goal.violation(scores(0.5, 80, accuracy=92.0)) == pytest.approx(0.5)
    assert Goal(max_params=5).violation(scores(1.0)) == pytest.approx(1.0)


def test_leaving_the_trust_region_breaks_a_constraint() -> None:
    away = scores(5.0, excess=0.3)
    assert Goal().violation(away) == pytest.approx(0.3)
    assert Goal(trust_region=False).violation(away) == 0
    inside, outside = candidate(1.0), candidate(5.0, 90, excess=0.3)
    assert Goal().front([inside, outside]) == [inside]
    assert Goal(trust_region=False).front([inside, outside]) == [outside]


def test_the_front_holds_the_best_trade_offs_best_quality_first() -> None:
    cheap, middle, best, worse = (
        candidate(1.0, 50),
        candidate(2.0, 70),
        candidate(3.0, 100),
        candidate(1.5, 80),
    )
    assert Goal().front([cheap, worse, best, middle]) == [best, middle, cheap]
    assert Goal(("quality",)).front([cheap, worse, best, middle]) == [best]
    assert Goal(max_flops=60).front([middle, best]) == []


@pytest.mark.parametrize(
    "settings", [{"objectives": ("beauty",)}, {"objectives": ()}, {"max_flops": 0}]
)
def test_goals_without_meaning_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=r"choose from|give a number above 0"):
        Goal(**settings)  # type: ignore[arg-type]


def test_local_search_keeps_valid_ones_then_fronts_then_quality() -> None:
    pool = [candidate(1.0, 50), candidate(9.0, 200), candidate(2.0, 70), candidate(1.5, 80)]
    engine, goal, rng = LocalSearch(), Goal(max_flops=100), random.Random(0)
    kept = engine.survivors(pool, 3, goal, rng)
    assert [c.scores.quality for c in kept] == [2.0, 1.0, 1.5]
    parents = engine.parents(kept, 7, goal, rng)
    assert [parents.count(c) for c in kept] == [3, 2, 2]


def test_candidates_are_read_back() -> None:
    one = candidate(1.0)
    assert Candidate.from_dict(one.to_dict()) == one
    for damage in ({"scores": {}}, {"generation": "x"}, {"changes": 3}):
        with pytest.raises(InvalidInputError, match="not "):
            Candidate.from_dict({**one.to_dict(), **damage})
    with pytest.raises(InvalidInputError, match="not finite"):
        Scores.from_dict({**one.scores.to_dict(), "quality": float("nan")})
