"""Programs of ``torch.export``: objects, and ``.pt2`` files of them."""

from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.hooks import Example, hookimpl

from ._batches import with_batch_note
from ._files import file_reference, names_file


@hookimpl
def gennape_capture(architecture: object, example: Example) -> Capture | None:
    """An ``ExportedProgram``, or the path of a ``.pt2`` file; both know what they read."""
    is_path = names_file(architecture, ".pt2")
    # By name: torch.export takes a moment to import, and most callers never meet it.
    if not is_path and type(architecture).__name__ != "ExportedProgram":
        return None
    if example:
        raise InvalidInputError(
            "an exported program has its input shapes in it: leave out input_shape (--input), "
            "inputs and kwargs"
        )
    if names_file(architecture, ".pt2"):
        from gennape_plugin.adapters.torch.pt2 import capture_pt2

        return with_batch_note(capture_pt2(architecture))
    from torch.export import ExportedProgram

    from gennape_plugin.adapters.torch.exported import capture_exported

    if not isinstance(architecture, ExportedProgram):
        return None
    return with_batch_note(capture_exported(architecture))


@hookimpl
def gennape_resolve(reference: str) -> tuple[str, object] | None:
    """``network.pt2``."""
    return file_reference(reference, ".pt2")
