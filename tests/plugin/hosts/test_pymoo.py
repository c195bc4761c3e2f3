"""The pymoo problem, under a real algorithm."""

import numpy as np
import pytest
from gennape_plugin.core.errors import InvalidInputError
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize
from small_models import chain

from gennape_plugin import Gennape
from gennape_plugin.hosts.pymoo import GennapeProblem


def decode(row: tuple[int, ...]) -> object:
    assert all(type(value) is int for value in row)
    return chain(1 + sum(row))


def test_it_evaluates_a_generation() -> None:
    problem = GennapeProblem(
        decode, upper=[2, 2], objectives=("score", "params"), max_flops=chain(3).flops
    )
    rows = np.array([[0, 0], [2, 2], [1, 1], [2, 0], [2, 2]])
    out = problem.evaluate(rows, return_as_dictionary=True)
    found = Gennape.from_pretrained().score_many([decode(tuple(map(int, row))) for row in rows])
    expected = [[-p.score, p.params] for p in found]
    np.testing.assert_allclose(out["F"], expected, rtol=1e-5)
    assert (out["G"][:, 0] <= 0).tolist() == [True, False, True, True, False]


def test_a_search_keeps_to_the_limit_and_repeats_itself() -> None:
    def run() -> np.ndarray:
        problem = GennapeProblem(decode, upper=[2, 2], max_flops=chain(3).flops)
        algorithm = NSGA2(pop_size=6, sampling=IntegerRandomSampling(), repair=RoundingRepair())
        return minimize(problem, algorithm, ("n_gen", 2), seed=1).F

    found = run()
    assert len(found)
    assert (found[:, 1] <= chain(3).flops).all()
    np.testing.assert_array_equal(found, run())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"upper": [1], "objectives": ()}, "give some of score, flops, params"),
        ({"upper": [1], "objectives": ("size",)}, "give some of score, flops, params"),
        ({"upper": [1], "objectives": ("flops", "flops")}, "each once"),
        ({"upper": [1], "max_flops": 0}, "give more than 0"),
        ({"upper": ["a"]}, "a largest whole number for each variable"),
        ({"upper": [1, 1], "lower": [0, 0, 0]}, "none below the smallest"),
        ({"upper": []}, "a largest whole number for each variable"),
        ({"upper": [1, 0], "lower": [0, 1]}, "none below the smallest"),
    ],
)
def test_bad_problems(options, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        GennapeProblem(decode, **options)
