import random
import shutil

import numpy as np
import pytest
import torch
from gennape_plugin.adapters.families import family
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import CaptureError, CaptureWarning, InvalidInputError, WeightsError
from gennape_plugin.core.graph_json import save_graph
from small_models import (
    CARD,
    UnchangedRng,
    chain,
    graphs_of,
    paper_description,
    small_model,
)
from torch import nn

from gennape_plugin import ComputeGraph, Gennape, GennapeError, GraphBuilder, Prediction


@pytest.fixture(scope="module")
def estimator(weights):
    return Gennape.from_pretrained(weights)


def net(width=8):
    return nn.Sequential(
        nn.Conv2d(3, width, 3),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, 10),
    )


def close(first, second):
    assert first.score == pytest.approx(second.score, abs=1e-4)
    assert first.accuracy == pytest.approx(second.accuracy, abs=1e-3)
    assert first.members == pytest.approx(second.members, abs=1e-3)
    assert first.graph_hash == second.graph_hash


class TestScore:
    def test_what_a_prediction_says(self, estimator):
        graph = graphs_of("nasbench101", 1, 60)[0]
        prediction = estimator.score(graph)
        model = small_model()
        found = model.predict(GraphStore.of([graph]))
        outputs = found.members
        trained = [100 * outputs[name] for name in ("cl", "cl+fcm+t", "kgnn", "segments")]
        assert prediction.score == pytest.approx(float(model.score(found)[0]))
        # The ensemble's mean, and the deviation of all members that predict an accuracy.
        assert prediction.accuracy == pytest.approx(float(torch.cat(trained[:3]).mean()))
        deviation = float(torch.cat(trained).std(correction=0))
        assert prediction.accuracy_std == pytest.approx(deviation, rel=1e-3)
        assert (prediction.flops, prediction.params) == (graph.flops, graph.params)
        assert prediction.graph_hash == graph.hash
        assert (prediction.dataset, prediction.unit) == (CARD["dataset"], CARD["accuracy"])
        assert list(prediction.members) == ["cl", "cl+fcm+t", "kgnn", "segments", "flops"]
        assert prediction.members["flops"] == pytest.approx(graph.flops / 1e9)
        assert prediction.members["cl"] == pytest.approx(float(100 * outputs["cl"][0]))

    def test_scores_of_pairwise_classifiers_are_no_accuracies(self):
        graph = graphs_of("nasbench101", 1, 60)[0]
        model = small_model(describe=paper_description)
        model.ensemble = ("cl+t", "cl+pairwise", "flops")
        found = model.predict(GraphStore.of([graph]))
        prediction = Gennape(model, CARD).score(graph)
        raw = {name: float(values[0]) for name, values in found.members.items()}
        assert prediction.members["cl+pairwise"] == pytest.approx(raw["cl+pairwise"])
        assert prediction.members["cl+t"] == pytest.approx(100 * raw["cl+t"])
        assert prediction.accuracy == pytest.approx(min(max(100 * raw["cl+t"], 0), 100))
        accuracies = [100 * raw[name] for name in ("cl+t", "cl+fcm+t", "kgnn", "segments")]
        assert prediction.accuracy_std == pytest.approx(np.std(accuracies), rel=1e-3)
        assert f"cl+pairwise {raw['cl+pairwise']:.2f}  " in str(prediction)

    def test_module_graph_and_file_agree(self, estimator, tmp_path):
        space = family("nasbench101")
        cell = space.sample(random.Random(4))
        graph = space.graph(cell)
        save_graph(graph, tmp_path / "cell.json")
        expected = estimator.score(graph)
        close(estimator.score(space.module(cell), input_shape=(3, 32, 32)), expected)
        for path in (tmp_path / "cell.json", str(tmp_path / "cell.json")):
            assert estimator.score(path) == expected

    def test_names(self, estimator, tmp_path):
        assert estimator.score(chain(2)).name == "chain2"
        assert estimator.score(net(), input_shape=(3, 8, 8)).name == "Sequential"
        save_graph(chain(2).renamed(""), tmp_path / "mine.json")
        assert estimator.score(tmp_path / "mine.json").name == "mine"

    def test_the_module_is_left_alone(self, estimator):
        module = net().train()
        module[0].requires_grad_(False)
        before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        attributes = dict(vars(module[1]))
        with UnchangedRng():
            estimator.score(module, input_shape=(3, 8, 8))
        after = module.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert module.training
        assert all(part.training for part in module.modules())
        assert [p.requires_grad for p in module[0].parameters()] == [False, False]
        assert module[6].weight.requires_grad
        assert vars(module[1]).keys() == attributes.keys()
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())

    def test_weights_of_the_network_do_not_matter(self, estimator):
        first, second = net(), net()
        with torch.no_grad():
            second[0].weight.fill_(float("nan"))
        scores = [estimator.score(m, input_shape=(3, 8, 8)) for m in (first, second)]
        assert scores[0] == scores[1]

    def test_training_mode_of_the_estimator_does_not_matter(self, estimator):
        expected = estimator.score(chain(3))
        estimator.model.train()
        assert estimator.score(chain(3)) == expected


class TestMany:
    def test_single_equals_batch(self, estimator):
        graphs = [chain(1), *graphs_of("nasbench101", 5, 70), *graphs_of("nasbench201", 3)]
        many = estimator.score_many(graphs)
        assert [p.graph_hash for p in many] == [g.hash for g in graphs]
        for graph, prediction in zip(graphs, many, strict=True):
            close(estimator.score(graph), prediction)

    @pytest.mark.parametrize("batch_size", [1, 4, 512])
    def test_streams(self, estimator, batch_size):
        graphs = graphs_of("nasbench101", 9, 70)
        expected = estimator.score_many(graphs)
        found = list(estimator.score_stream(iter(graphs), batch_size=batch_size))
        for first, second in zip(found, expected, strict=True):
            close(first, second)

    def test_a_stream_is_read_as_it_is_needed(self, estimator):
        read = []

        def endless():
            while True:
                read.append(len(read))
                yield chain(1 + len(read) % 5)

        stream = estimator.score_stream(endless(), batch_size=3)
        next(stream)
        assert len(read) == 3
        next(stream), next(stream), next(stream)
        assert len(read) == 6

    def test_modules_share_a_shape(self, estimator):
        predictions = estimator.score_many([net(4), net(16)], input_shape=(3, 8, 8))
        assert [p.params for p in predictions] == [
            sum(p.numel() for p in net(width).parameters()) for width in (4, 16)
        ]

    def test_rank(self, estimator):
        graphs = [*graphs_of("nasbench101", 8, 80), chain(2)]
        ranking = estimator.rank(graphs)
        scores = [p.score for p in ranking]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) > 5
        assert {p.graph_hash for p in ranking} == {g.hash for g in graphs}

    def test_ties_keep_their_order(self, estimator):
        names = ["b", "a", "c"]
        ranking = estimator.rank([chain(2).renamed(name) for name in names])
        assert len({p.score for p in ranking}) == 1
        assert [p.name for p in ranking] == names

    def test_nothing(self, estimator):
        assert estimator.score_many([]) == estimator.rank(iter([])) == []

    @pytest.mark.parametrize("batch_size", [0, -1])
    def test_impossible_batches(self, estimator, batch_size):
        with pytest.raises(InvalidInputError, match="at least 1"):
            list(estimator.score_stream([chain(1)], batch_size=batch_size))


class TestRefusals:
    def test_a_module_without_a_shape(self, estimator):
        with pytest.raises(InvalidInputError, match="say what it reads"):
            estimator.score(net())

    def test_not_an_architecture(self, estimator):
        with pytest.raises(InvalidInputError, match="not an architecture"):
            estimator.score(3)

    def test_a_wrong_shape(self, estimator):
        with pytest.raises(CaptureError):
            estimator.score(net(), input_shape=(5, 8, 8))

    def test_no_known_operation(self, estimator):
        b = GraphBuilder("nothing")
        x = b.input((1, 3, 4, 4))
        with pytest.raises(InvalidInputError, match="nothing holds no operation that"):
            estimator.score(b.build(x))

        class Fourier(nn.Module):
            def forward(self, x):
                return torch.fft.fft(x).real

        with pytest.raises(InvalidInputError, match="Fourier holds no operation that"):
            estimator.score_many([chain(1), Fourier()], input_shape=(3, 8, 8))


class TestFromPretrained:
    def test_save_and_load(self, estimator, tmp_path):
        estimator.save(tmp_path / "again")
        again = Gennape.from_pretrained(tmp_path / "again")
        assert again.card == estimator.card
        assert again.score(chain(3)) == estimator.score(chain(3))
        assert Gennape.from_pretrained(str(tmp_path / "again")).card == estimator.card

    def test_no_such_weights(self, tmp_path):
        with pytest.raises(WeightsError, match="no weights 'gennape-nb404': shipped are"):
            Gennape.from_pretrained("gennape-nb404")
        with pytest.raises(WeightsError, match="nowhere"):
            Gennape.from_pretrained(tmp_path / "nowhere")

    def test_a_folder_without_weights(self, tmp_path):
        with pytest.raises(WeightsError, match=r"card\.json does not exist"):
            Gennape.from_pretrained(tmp_path)

    def test_damaged_weights(self, weights, tmp_path):
        folder = shutil.copytree(weights, tmp_path / "w")
        (folder / "model.safetensors").write_bytes(b"not these")
        with pytest.raises(WeightsError, match="SHA-256"):
            Gennape.from_pretrained(folder)

    @pytest.mark.parametrize("device", ["toaster", "cuda:99", "meta"])
    def test_no_such_device(self, weights, device):
        with pytest.raises(InvalidInputError, match=f"device '{device}' cannot be used here"):
            Gennape.from_pretrained(weights, device=device)


def test_public_names():
    import gennape_plugin

    assert set(gennape_plugin.__all__) <= set(dir(gennape_plugin))
    kinds = [ComputeGraph, Gennape, GennapeError, GraphBuilder, Prediction]
    assert [kind.__name__ for kind in kinds] == gennape_plugin.__all__
    with pytest.raises(AttributeError, match="has no attribute 'Gennapes'"):
        gennape_plugin.Gennapes  # noqa: B018


def test_shipped_weights_tell_a_cell_from_two_convolutions():
    estimator = Gennape.from_pretrained()
    small, large = (
        estimator.score(graph) for graph in (chain(2, channels=8), graphs_of("nasbench101", 1)[0])
    )
    assert large.score > small.score
    assert 50 < large.accuracy < 100


class TestWhatIsHandedOver:
    def test_one_architecture_where_several_are_expected(self, estimator):
        for one in (net(), chain(2), "graph.json"):
            with pytest.raises(InvalidInputError, match="give a list"):
                estimator.rank(one, input_shape=(3, 8, 8))

    def test_a_network_that_reads_indices_is_given_examples(self, estimator):
        words = nn.Sequential(nn.Embedding(100, 16), nn.Linear(16, 4))
        prediction = estimator.score(words, inputs=torch.zeros(1, 7, dtype=torch.long))
        assert prediction.params == 100 * 16 + 16 * 4 + 4

    def test_a_branch_that_depends_on_the_data_is_told(self, estimator):
        class Branch(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(3, 4, 3)

            def forward(self, x):
                return self.conv(x) if x.sum() > 0 else self.conv(-x)

        with pytest.warns(CaptureWarning, match="branch taken depends on the data"):
            estimator.score(Branch(), input_shape=(3, 8, 8))

    @pytest.mark.parametrize("trained", [[1], {"seen": {"a": 1}}, {"seen": 5}])
    def test_a_malformed_card_is_one_error(self, trained):
        broken = Gennape(small_model(), {**CARD, "trained_on": trained})
        with pytest.raises(WeightsError, match="trained_on"):
            broken.score(chain(2))
