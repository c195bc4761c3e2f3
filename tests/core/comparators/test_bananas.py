from dataclasses import replace
from itertools import pairwise, product

import pytest
import torch
from gennape_plugin.core.comparators.bananas import (
    BANANAS_CONFIG,
    PATHS,
    Bananas,
    fit_bananas,
    path_encoding,
    relative_error,
)
from gennape_plugin.core.comparators.cells import OPERATIONS, CellTensors
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.training import seeded

SHORT = replace(BANANAS_CONFIG, epochs=40, learning_rate=3e-3)


def sequences():
    """Every operation sequence, shorter ones first, as the encoding numbers them."""
    return [s for length in range(6) for s in product(OPERATIONS[1:-1], repeat=length)]


def enumerated(arch):
    """The sequences of a cell by trying every subset of its inner vertices as a path."""
    last = len(arch.ops) - 1
    found = set()
    for chosen in product((False, True), repeat=last - 1):
        inner = [v for v, take in enumerate(chosen, start=1) if take]
        if all(arch.matrix[u][v] for u, v in pairwise([0, *inner, last])):
            found.add(tuple(arch.ops[v] for v in inner))
    return found


def test_the_encoding_lists_every_path(archs, examples):
    names = sequences()
    assert len(names) == PATHS == 364
    encoding = path_encoding(examples(150)[0])
    for arch, row in zip(archs(150), encoding, strict=True):
        assert {names[i] for i in row.nonzero()[:, 0]} == enumerated(arch)
    assert set(encoding.unique().tolist()) == {0.0, 1.0}


def test_a_cell_without_operations_has_the_empty_path():
    cells = CellTensors.of([([[0, 1], [0, 0]], ["input", "output"])])
    assert path_encoding(cells).nonzero().tolist() == [[0, 0]]


def test_truncation_keeps_the_shortest_paths(examples):
    cells, _ = examples(20)
    assert torch.equal(path_encoding(cells, 40), path_encoding(cells)[:, :40])
    assert max(len(name) for name in sequences()[:40]) == 3
    assert len(sequences()[40]) == 4


@pytest.mark.parametrize("paths", [0, 365])
def test_truncation_has_limits(examples, paths):
    with pytest.raises(InvalidInputError, match="from 1 to 364"):
        path_encoding(examples(2)[0], paths)


def test_isomorphic_cells_are_encoded_alike():
    """Two parallel branches in either order."""
    matrix = [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    inner = list(OPERATIONS[1:3])
    cells = CellTensors.of([(matrix, ["input", *ops, "output"]) for ops in (inner, inner[::-1])])
    assert torch.equal(*path_encoding(cells))


def test_the_prediction_is_the_mean_of_the_members(examples):
    with seeded(0):
        model = Bananas(40)
    cells, _ = examples(9)
    errors = []
    for member in range(5):
        x = path_encoding(cells, 40)
        for depth, (weight, bias) in enumerate(zip(model.weights, model.biases, strict=True)):
            x = x @ weight[member] + bias[member]
            x = torch.relu(x) if depth < 10 else x
        errors.append(x[:, 0])
    expected = 1 - torch.stack(errors).mean(dim=0) / 100
    assert torch.allclose(model.predict(cells), expected, atol=1e-6)
    assert len(model.weights) == 11
    assert model.weights[1].shape == (5, 20, 20)
    assert not torch.allclose(errors[0], errors[1])


def test_the_loss_is_relative_to_the_bound():
    loss = relative_error(torch.tensor([[6.5, 5.5]]), torch.tensor([[5.5, 9.5]]))
    assert float(loss) == pytest.approx((1 / 1 + 4 / 5) / 2)


def test_it_learns(check_training):
    check_training(fit_bananas, SHORT, best=0.85)


def test_a_seed_fixes_everything(check_seed):
    check_seed(fit_bananas, replace(SHORT, epochs=2))


def test_impossible_accuracies(examples):
    cells, accuracy = examples(20)
    accuracy = accuracy.clone()
    accuracy[3] = 0.96
    with pytest.raises(InvalidInputError, match=r"errors above 4\.5 % only"):
        fit_bananas(cells, accuracy, examples(10))
