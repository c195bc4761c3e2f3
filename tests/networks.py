"""Small networks for the tests, and the graphs to compare them with."""

from collections.abc import Callable

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from torch import Tensor, nn

IMAGE = (3, 8, 8)


class Net(nn.Module):
    """A module whose forward is a function of the module and its inputs."""

    def __init__(self, forward: Callable[..., object], **parts: nn.Module) -> None:
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *args: Tensor, **kwargs: Tensor) -> object:
        return self.run(self, *args, **kwargs)


def built(write: Callable[..., object], *shapes: tuple[int, ...]) -> ComputeGraph:
    """A graph of one output, written with a builder over inputs of the given shapes."""
    b = GraphBuilder()
    outputs = write(b, *(b.input((1, *shape)) for shape in shapes or (IMAGE,)))
    return b.build(*(outputs if isinstance(outputs, tuple) else (outputs,)))


def assert_same(captured: ComputeGraph, expected: ComputeGraph) -> None:
    text = "\n".join(map(str, captured.nodes))
    assert sorted(map(str, captured.nodes)) == sorted(map(str, expected.nodes)), text
    assert captured.hash == expected.hash, text
