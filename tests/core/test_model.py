import math

import pytest
import torch
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.fcm import memberships
from gennape_plugin.core.members import (
    FlopsMember,
    GraphMember,
    HeadMember,
    SegmentMember,
    member_of,
)
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.model_description import model_of
from gennape_plugin.core.space import COMPONENTS, EmbeddingSpace, Partition
from gennape_plugin.core.training import seeded
from small_models import UnchangedRng, chain, description, graphs_of, small_model, store_of

PLAIN = {"kind": "standardize", "mean": 0.9, "std": 0.05}
HEADS = {"kind": "heads", "features": 65, "hidden": 8, "layers": 1, "transform": PLAIN}


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def store():
    return GraphStore.of([chain(1), *graphs_of("nasbench101", 6, 50), *graphs_of("nasbench201", 3)])


class TestEmbeddingSpace:
    def test_training_embeddings_are_standardised(self):
        with seeded(0):
            h, gflops = 3 + 2 * torch.randn(500, 40), torch.rand(500) * 10
        space = EmbeddingSpace(40)
        space.fit(h, gflops)
        x = space(h, gflops)
        assert x.shape == (500, 41)
        torch.testing.assert_close(x.mean(0), torch.zeros(41), atol=1e-5, rtol=0)
        torch.testing.assert_close(x.std(0, correction=0), torch.ones(41))

    def test_the_last_feature_is_logarithmic_flops(self):
        x = EmbeddingSpace(2)(torch.zeros(3, 2), torch.tensor([0.0, 9.0, 99.0]))
        torch.testing.assert_close(x[:, 2], torch.tensor([0.0, 1.0, 2.0]))

    def test_a_constant_feature_stays_finite(self):
        space = EmbeddingSpace(40)
        space.fit(torch.ones(10, 40), torch.arange(10.0))
        assert space(torch.ones(10, 40), torch.arange(10.0)).isfinite().all()


class TestPartition:
    def blobs(self):
        with seeded(0):
            centres = 6 * torch.randn(3, 40)
            return centres.repeat(30, 1) + torch.randn(90, 40)

    def test_it_finds_clusters(self):
        x = self.blobs()
        u = Partition.fit(x, 3, 2.0, seed=0)(x)
        torch.testing.assert_close(u.sum(1), torch.ones(90))
        owners = u.argmax(1).view(30, 3)
        assert (owners == owners[0]).all()
        assert len(set(owners[0].tolist())) == 3

    def test_components_are_those_of_largest_variance(self):
        x = self.blobs()
        partition = Partition.fit(x, 3, 2.0, seed=0)
        rows = partition.components
        torch.testing.assert_close(rows @ rows.T, torch.eye(COMPONENTS), atol=1e-5, rtol=0)
        singular = torch.linalg.svdvals(x)[:COMPONENTS]
        torch.testing.assert_close((x @ rows.T).norm(dim=0), singular, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(
            partition(x), memberships(x @ rows.T, partition.centroids, 2.0), rtol=1e-5, atol=1e-6
        )

    def test_a_seed_fixes_it(self):
        with UnchangedRng():
            first, second = (Partition.fit(self.blobs(), 4, 1.5, seed=3) for _ in range(2))
        assert torch.equal(first.centroids, second.centroids)
        assert torch.equal(first.components, second.components)

    @pytest.mark.parametrize("shape", [(31, 40), (90, 31)])
    def test_too_little_to_find_components(self, shape):
        with pytest.raises(InvalidInputError, match="at least 32"):
            Partition.fit(torch.randn(shape), 3, 2.0, seed=0)

    @pytest.mark.parametrize(
        ("clusters", "fuzzifier"), [(0, 2.0), (3, 1.0), (3, math.inf), (3, math.nan)]
    )
    def test_impossible_partitions(self, clusters, fuzzifier):
        with pytest.raises(InvalidInputError, match="above 1"):
            Partition(65, clusters, fuzzifier)


class TestOutputs:
    def test_members_answer_in_accuracy(self, model, store):
        """Each output computed from its parts, graph by graph."""
        outputs = model.outputs(store)
        assert list(outputs) == ["cl", "cl+fcm+t", "kgnn", "segments", "flops"]
        for i in range(len(store)):
            batch = store.batch([i])
            gflops = float(batch.gflops[0])
            with torch.no_grad():
                h = model.encoder(batch)
                x = (
                    torch.cat([h, torch.tensor([[math.log10(gflops + 1)]])], 1) - model.space.mean
                ) / model.space.std
                plain = float(model.members["cl"].heads(x, None)[0]) * 0.05 + 0.9
                fcm = model.members["cl+fcm+t"]
                u = memberships(x @ fcm.partition.components.T, fcm.partition.centroids, 2.0)
                t = (float(fcm.heads(x, u)[0]) * 0.1 + 0.5) * (math.log10(gflops + 1) + 1)
                kgnn = float(model.members["kgnn"].network(batch)[0]) * 0.05 + 0.9
                segments = float(model.members["segments"].network(batch)[0]) * 0.05 + 0.9
            found = {name: float(values[i]) for name, values in outputs.items()}
            expected = {"cl": plain, "cl+fcm+t": t, "kgnn": kgnn, "segments": segments}
            expected["flops"] = math.log10(gflops + 1)
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)

    @pytest.mark.parametrize("batch_size", [1, 3, 512])
    def test_batches_do_not_matter(self, model, store, batch_size):
        expected = model.outputs(store)
        for name, values in model.outputs(store, batch_size=batch_size).items():
            torch.testing.assert_close(values, expected[name], rtol=1e-5, atol=1e-5)

    def test_the_company_does_not_matter(self, model, store):
        expected = model.ensemble_score(model.outputs(store))
        alone = [model.ensemble_score(model.outputs(store.take([i])))[0] for i in range(len(store))]
        torch.testing.assert_close(torch.stack(alone), expected, rtol=1e-5, atol=1e-4)

    def test_nothing_is_drawn_and_nothing_learned(self, model, store):
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model.train()
        with UnchangedRng():
            outputs = model.outputs(store)
        assert not any(values.requires_grad for values in outputs.values())
        assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


class TestScore:
    def test_references_standardise_the_training_cells(self, model):
        standardised = model.standardised(model.outputs(store_of("nasbench101", 24)))
        for values in standardised.values():
            assert float(values.mean()) == pytest.approx(0, abs=1e-3)
            assert float(values.std(correction=0)) == pytest.approx(1, abs=1e-3)

    def test_it_is_the_mean_of_the_ensemble(self, model, store):
        outputs = model.outputs(store)
        parts = []
        for name in model.ensemble:
            mean, std = model.members[name].reference
            parts.append((outputs[name] - mean) / std)
        torch.testing.assert_close(model.ensemble_score(outputs), sum(parts) / 4)

    def test_members_outside_the_ensemble_do_not_count(self, model, store):
        fewer = GennapeModel(model.encoder, dict(model.members.items()), ("cl", "flops"))
        fewer.space = model.space
        outputs = fewer.outputs(store)
        assert len(outputs) == 5
        expected = (model.standardised(outputs)["cl"] + model.standardised(outputs)["flops"]) / 2
        torch.testing.assert_close(fewer.ensemble_score(outputs), expected)


class TestDescription:
    def test_round_trip(self, model):
        described = model.describe()
        again = model_of(described)
        assert again.describe() == described
        assert again.state_dict().keys() == model.state_dict().keys()
        assert {n: t.shape for n, t in again.state_dict().items()} == {
            n: t.shape for n, t in model.state_dict().items()
        }
        again.load_state_dict(model.state_dict())
        store = store_of("nasbench101", 3)
        for name, values in again.outputs(store).items():
            assert torch.equal(values, model.outputs(store)[name])

    def test_kinds_of_members(self):
        kinds = {name: type(member_of(d)) for name, d in description()["members"].items()}
        assert kinds == {
            "cl": HeadMember,
            "cl+fcm+t": HeadMember,
            "kgnn": GraphMember,
            "segments": SegmentMember,
            "flops": FlopsMember,
        }

    @pytest.mark.parametrize(
        "member",
        [
            {},
            {"kind": "forest"},
            {"kind": ["heads"]},
            HEADS,
            {**HEADS, "partition": []},
            {**HEADS, "partition": {"clusters": "many", "fuzzifier": 2}},
            {**HEADS, "partition": {"clusters": 0, "fuzzifier": 2}},
            {**HEADS, "partition": {"clusters": 3, "fuzzifier": 1}},
            {**HEADS, "partition": None, "hidden": -1},
            {**HEADS, "partition": None, "hidden": float("inf")},
            {**HEADS, "partition": None, "transform": None},
            {**HEADS, "partition": None, "transform": {**PLAIN, "std": 0}},
            {"kind": "segments", "width": 32, "layers": 0, "dropout": 0.1, "transform": PLAIN},
            {"kind": "segments", "width": 32, "layers": 2, "dropout": "x", "transform": PLAIN},
            {"kind": "graph", "width": 31, "layers": 2, "convolution": "kgnn", "transform": PLAIN},
            {"kind": "graph", "width": 32, "layers": 2, "convolution": "gat", "transform": PLAIN},
            {"kind": "graph", "width": 32, "layers": -2, "convolution": "gin", "transform": PLAIN},
        ],
    )
    def test_not_a_member(self, member):
        with pytest.raises(InvalidInputError):
            member_of(member)

    @pytest.mark.parametrize(
        "changes",
        [
            {"encoder": None},
            {"encoder": {"width": "64"}},
            {"encoder": {"width": 64.0}},
            {"encoder": {"depth": 3}},
            {"encoder": {"heads": 0}},
            {"encoder": {"heads": -2}},
            {"encoder": {"hidden": -8}},
            {"encoder": {"layers": 0}},
            {"encoder": {"dropout": "0.1"}},
            {"encoder": {"width": 64}},  # the heads read 65 features
            {"members": None},
            {"members": {"cl": 3}},
            {"members": {"cl": None}},
            {"members": {"a.b": {"kind": "flops"}}},
            {"members": {"": {**HEADS, "partition": None}}, "ensemble": [""]},
            {"members": {"keys": {**HEADS, "partition": None}}, "ensemble": ["keys"]},
            {"members": {"size": {"kind": "flops"}}, "ensemble": ["size"]},
            {"members": {"flops": {**HEADS, "partition": None}}, "ensemble": ["flops"]},
            {"ensemble": []},
            {"ensemble": None},
            {"ensemble": "cl"},
            {"ensemble": ["cl", "nobody"]},
            {"ensemble": ["flops"]},
        ],
    )
    def test_not_a_model(self, changes):
        with pytest.raises(InvalidInputError):
            model_of(description(**changes))
