"""`Gennape`: the estimator a person uses."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import InvalidInputError, WeightsError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.ops import PAPER_LABELS
from gennape_plugin.core.training import usable_device
from gennape_plugin.core.weights import load_model, save_model

from .architectures import InputShape, to_graph
from .familiarity import checked_seen, unfamiliar
from .prediction import Prediction

WEIGHTS_FOLDER = Path(__file__).parent / "weights"
DEFAULT_WEIGHTS = "gennape-nb101"
_KNOWN = frozenset(PAPER_LABELS) - {"<OOV>", "Input", "Output"}


class Gennape:
    """A pretrained estimator that scores networks without training them.

    >>> from gennape_plugin import Gennape
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    >>> Gennape.from_pretrained().score(net, input_shape=(3, 32, 32)).params
    224
    """

    def __init__(self, model: GennapeModel, card: Mapping[str, Any]) -> None:
        """Wrap a model; most people want :meth:`from_pretrained`."""
        self.model = model
        self.card = dict(card)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path = DEFAULT_WEIGHTS, *, device: str = "cpu"
    ) -> "Gennape":
        """Load shipped weights by name, or a weights folder by path. Needs no network.

        Args:
            name_or_path: Name of shipped weights (see ``gennape info``), or a folder written
                by ``gennape pretrain`` or :meth:`save`.
            device: Where to run the networks, ``"cpu"`` or ``"cuda"``.

        Raises:
            WeightsError: if there are no such weights, or they are damaged.
            InvalidInputError: for a device that this machine does not have.
        """
        folder = Path(name_or_path)
        if str(name_or_path) in shipped_weights():
            folder = WEIGHTS_FOLDER / str(name_or_path)
        elif not folder.is_dir():
            raise WeightsError(
                f"no weights {str(name_or_path)!r}: shipped are "
                f"{', '.join(shipped_weights()) or 'none'}; or give a folder written by "
                "`gennape pretrain`"
            )
        where = usable_device(device)
        model, card = load_model(folder)
        return cls(model.to(where), card)

    def score(
        self,
        architecture: object,
        *,
        input_shape: InputShape | None = None,
        inputs: Any = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> Prediction:
        """Predict one network.

        Args:
            architecture: An ``nn.Module``, a :class:`ComputeGraph` or a graph's ``.json`` file.
            input_shape: What a module reads, without the batch axis: ``(3, 32, 32)``.
            inputs: Example inputs of a module instead: a tensor, or a tuple of arguments.
            kwargs: Keyword arguments of its forward, as examples.
        """
        graph = to_graph(architecture, input_shape, inputs=inputs, kwargs=kwargs)
        return self._predict([graph], [_name(architecture, graph)])[0]

    def score_many(
        self, architectures: Iterable[object], *, input_shape: InputShape | None = None
    ) -> list[Prediction]:
        """Predict several networks in batches; in the given order."""
        return list(self.score_stream(architectures, input_shape=input_shape))

    def score_stream(
        self,
        architectures: Iterable[object],
        *,
        input_shape: InputShape | None = None,
        batch_size: int = 512,
    ) -> Iterator[Prediction]:
        """Predict a stream of networks with flat memory.

        Predictions are *single-architecture*: each depends on its network alone, never on
        the others in the stream.
        """
        if batch_size < 1:
            raise InvalidInputError(f"batch_size {batch_size}: give at least 1")
        if isinstance(architectures, nn.Module | ComputeGraph | str | Path):
            raise InvalidInputError(
                f"one architecture ({type(architectures).__name__}) where several are expected: "
                "give a list, or call score"
            )
        source = iter(architectures)
        while pending := list(islice(source, batch_size)):
            graphs = [to_graph(item, input_shape) for item in pending]
            names = [_name(item, graph) for item, graph in zip(pending, graphs, strict=True)]
            yield from self._predict(graphs, names)

    def rank(
        self, architectures: Iterable[object], *, input_shape: InputShape | None = None
    ) -> list[Prediction]:
        """Predict several networks; best first, ties in the given order."""
        return sorted(
            self.score_stream(architectures, input_shape=input_shape),
            key=lambda prediction: -prediction.score,
        )

    def save(self, path: str | Path) -> None:
        """Write weights and card into a folder that :meth:`from_pretrained` reads."""
        written = {"format", "version", "sha256", "vocabulary", "model"}
        save_model(self.model, path, {k: v for k, v in self.card.items() if k not in written})

    def _predict(self, graphs: Sequence[ComputeGraph], names: Sequence[str]) -> list[Prediction]:
        store = GraphStore()
        for graph, name in zip(graphs, names, strict=True):
            view = graph.paper_view()
            if not any(op.name in _KNOWN for op in view.ops):
                raise InvalidInputError(
                    f"{name or 'the network'} holds no operation that the estimator knows, so its "
                    "score would say nothing (`gennape trace` shows what was found)"
                )
            store.add(graph, view=view)
        found = self.model.predict(store)
        outputs, scores = found.members, self.model.score(found)
        accuracies = torch.stack([outputs[m] for m in self.model.ensemble if m != "flops"]) * 100
        # Extrapolated accuracies can leave the scale; members keep the raw numbers.
        means = accuracies.mean(dim=0).clamp(0, 100)
        deviations = accuracies.std(dim=0, correction=0)
        seen = checked_seen(self.card)
        return [
            Prediction(
                name=names[i],
                score=float(scores[i]),
                accuracy=float(means[i]),
                accuracy_std=float(deviations[i]),
                dataset=str(self.card.get("dataset", "")),
                unit=str(self.card.get("accuracy", "")),
                flops=graph.flops,
                params=graph.params,
                members={
                    name: graph.flops / 1e9 if name == "flops" else float(values[i]) * 100
                    for name, values in outputs.items()
                },
                distance=float(found.distance[i]),
                graph_hash=graph.hash,
                notes=unfamiliar(graph, seen),
            )
            for i, graph in enumerate(graphs)
        ]


def shipped_weights() -> list[str]:
    """Names of the weights inside the package."""
    if not WEIGHTS_FOLDER.is_dir():
        return []
    return sorted(p.name for p in WEIGHTS_FOLDER.iterdir() if (p / "card.json").is_file())


def _name(architecture: object, graph: ComputeGraph) -> str:
    if isinstance(architecture, str | Path):
        return graph.name or Path(architecture).stem
    return graph.name or type(architecture).__name__
