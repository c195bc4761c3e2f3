"""What a member promises."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.members import Member
from gennape_plugin.estimator import Gennape
from gennape_plugin.families import family

from .graphs import renumbered


class MemberContract:
    """Subclass it and give the fixture ``member``."""

    @pytest.fixture
    def member(self) -> Member:
        """The member, trained."""
        raise NotImplementedError("give a fixture `member` that returns a member")

    @pytest.fixture
    def graphs(self) -> Sequence[ComputeGraph]:
        """Graphs to score: cells of NAS-Bench-101."""
        cells, rng = family("nasbench101"), random.Random(0)
        return [cells.graph(cells.sample(rng)) for _ in range(8)]

    def test_it_describes_itself(self, member: Member) -> None:
        """In plain JSON, with a kind that says which plugin makes it."""
        description = member.describe()
        assert json.loads(json.dumps(description)) == description
        assert description["kind"] == member.kind

    def test_one_finite_number_a_graph(
        self, member: Member, graphs: Sequence[ComputeGraph], estimator: Gennape
    ) -> None:
        """The same for a graph alone as within a batch; accuracies are fractions."""
        made = _with(estimator, member, graphs)
        together = _outputs(made, graphs)
        assert all(abs(value) < float("inf") for value in together)
        alone = [_outputs(made, [graph])[0] for graph in graphs]
        assert together == pytest.approx(alone, rel=1e-4, abs=1e-4)

    def test_the_order_of_nodes_does_not_matter(
        self, member: Member, graphs: Sequence[ComputeGraph], estimator: Gennape
    ) -> None:
        """Equal networks get equal outputs, however their nodes are numbered."""
        shuffled = [renumbered(graph, random.Random(i)) for i, graph in enumerate(graphs)]
        assert any(a != b for a, b in zip(shuffled, graphs, strict=True))
        made = _with(estimator, member, graphs)
        expected = _outputs(made, graphs)
        assert _outputs(made, shuffled) == pytest.approx(expected, rel=1e-3)

    def test_it_is_saved_and_loaded(
        self, member: Member, graphs: Sequence[ComputeGraph], estimator: Gennape, tmp_path: Path
    ) -> None:
        """With an estimator; its plugin makes it again from the card."""
        before = torch.get_rng_state()
        made = estimator.with_member("contract", member)
        made.save(tmp_path)
        again = Gennape.from_pretrained(tmp_path)
        assert torch.equal(torch.get_rng_state(), before)
        assert type(again.model.members["contract"]) is type(member)
        for one, two in zip(made.score_many(graphs), again.score_many(graphs), strict=True):
            assert one.score == two.score
            assert one.members["contract"] == two.members["contract"]
        assert "contract" not in estimator.model.members


def _with(estimator: Gennape, member: Member, graphs: Sequence[ComputeGraph]) -> Gennape:
    return estimator.with_member("contract", member, in_score=False, reference=graphs)


def _outputs(made: Gennape, graphs: Sequence[ComputeGraph]) -> list[float]:
    return [p.members["contract"] for p in made.score_many(graphs)]
