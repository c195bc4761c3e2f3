"""Example inputs of more than one sample."""

from dataclasses import replace

from gennape_plugin.core.captured import Capture

_RANKS = (2, 4, 5)  # of features, images and volumes; elsewhere the first axis may be another


def with_batch_note(captured: Capture) -> Capture:
    """The capture, with a warning where all that it reads are several samples at once."""
    shapes = [captured.graph.nodes[i].shape for i in captured.graph.inputs]
    sizes = {shape[0] if len(shape) in _RANKS else 1 for shape in shapes}
    samples = sizes.pop() if len(sizes) == 1 else 1
    if samples < 2:
        return captured
    text = (
        f"what it reads holds {samples} samples, and FLOPs and scores are those of all together: "
        "give one sample"
    )
    return replace(captured, warnings=(*captured.warnings, text))
