"""PyTorch modules."""

from torch import fx, nn

from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.hooks import Example, hookimpl

from ._batches import with_batch_note


@hookimpl
def gennape_capture(architecture: object, example: Example) -> Capture | None:
    """An ``nn.Module``, with what it reads (an fx graph may have its shapes in it)."""
    if isinstance(architecture, type) and issubclass(architecture, nn.Module):
        raise InvalidInputError(
            f"{architecture.__name__} is a class: give an instance, {architecture.__name__}(...)"
        )
    if not isinstance(architecture, nn.Module):
        return None
    if not example and isinstance(architecture, fx.GraphModule):
        from gennape_plugin.adapters.torch.exported import example_inputs_of

        example = Example(inputs=example_inputs_of(architecture))
    if not example:
        raise InvalidInputError(
            f"{type(architecture).__name__} is a module: say what it reads, for example "
            "input_shape=(3, 32, 32) (--input 3x32x32)"
        )
    return with_batch_note(
        capture(architecture, example.input_shape, inputs=example.inputs, kwargs=example.kwargs)
    )
