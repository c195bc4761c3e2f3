"""What a source of architectures promises."""

import random
import warnings
from collections.abc import Iterable

import pytest
import torch
from torch import nn

from gennape_plugin.architectures import capture_any, resolve
from gennape_plugin.core.errors import GennapeError
from gennape_plugin.estimator import Gennape
from gennape_plugin.hooks import Example


class SourceContract:
    """Subclass it and give the fixtures ``plugin`` and ``architectures``."""

    @pytest.fixture
    def plugin(self) -> object:
        """The module or object whose functions are marked ``hookimpl``."""
        raise NotImplementedError("give a fixture `plugin` that returns the plugin")

    @pytest.fixture
    def architectures(self) -> Iterable[tuple[object, Example]]:
        """Architectures that it reads, each with what it reads (``Example()`` for nothing)."""
        raise NotImplementedError("give a fixture `architectures`")

    @pytest.fixture
    def references(self) -> Iterable[str]:
        """Command-line texts that it resolves; none where it has no ``gennape_resolve``."""
        return ()

    @pytest.fixture
    def broken(self) -> Iterable[tuple[object, Example]]:
        """Architectures of its own kind that cannot be read."""
        return ()

    def test_architectures_become_graphs(
        self, architectures: Iterable[tuple[object, Example]], estimator: Gennape
    ) -> None:
        """The same each time, with a route, and they can be scored."""
        for architecture, example in architectures:
            before = random.getstate(), torch.get_rng_state()
            first, second = (capture_any(architecture, example) for _ in range(2))
            assert first.graph == second.graph
            assert first.route
            assert random.getstate() == before[0]
            assert torch.equal(torch.get_rng_state(), before[1])
            assert -100 < estimator.score(first.graph).score < 100

    def test_references_are_resolved(self, references: Iterable[str]) -> None:
        """To a name and something that can be read."""
        for reference in references:
            name, architecture = resolve(reference)
            assert name
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert len(capture_any(architecture).graph)

    def test_strangers_are_left_to_others(self, plugin: object) -> None:
        """Answers are ``None`` for what is not its own, without an error."""
        take = getattr(plugin, "gennape_capture", None)
        for stranger in (nn.ReLU(), None, 3, "", "no such thing", {}, [], object()):
            assert take is None or take(stranger, Example()) is None
        read = getattr(plugin, "gennape_resolve", None)
        for reference in ("", ":", "no-such-scheme:x", "no such thing"):
            assert read is None or read(reference) is None

    def test_broken_architectures_are_refused(
        self, broken: Iterable[tuple[object, Example]]
    ) -> None:
        """With an error of the package, whose text says what to do."""
        for architecture, example in broken:
            with pytest.raises(GennapeError) as refused:
                capture_any(architecture, example)
            assert len(str(refused.value)) > 20
