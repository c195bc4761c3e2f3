"""A model made again from its plain description, for weights to be put into."""

from collections.abc import Callable, Mapping
from typing import Any

from .encoder import CLEncoder, EncoderConfig
from .errors import InvalidInputError
from .few_shot import FewShot
from .kernel_regression import KernelRegression
from .members import Member, member_of
from .model import GennapeModel
from .ranker import Ranker
from .trees import BoostedTrees


def model_of(
    description: Mapping[str, Any],
    make_member: Callable[[Mapping[str, Any]], Member] = member_of,
) -> GennapeModel:
    """A model with the described architecture and untrained weights.

    Args:
        description: What :meth:`GennapeModel.describe` returned.
        make_member: Makes each member from its description.

    Raises:
        InvalidInputError: if the description is not one that :meth:`GennapeModel.describe` wrote.
    """
    try:
        encoder = CLEncoder(EncoderConfig(**description["encoder"]))
        members = {str(name): make_member(d) for name, d in description["members"].items()}
        ensemble = tuple(str(name) for name in description["ensemble"])
        trees = description.get("ranker", {"trees": 0, "nodes": 1})
        ranker = Ranker(BoostedTrees(int(trees["trees"]), int(trees["nodes"])))
        model = GennapeModel(encoder, members, ensemble, ranker)
        if description.get("untrained"):
            model.add_untrained()
        few = description.get("few_shot")
        if few is not None:
            labels, features = int(few["labels"]), few["features"]
            model.few_shot = FewShot(labels, [KernelRegression(labels, int(n)) for n in features])
        weighed = description.get("paper_members", [])
        if weighed:
            model.set_paper_weights({str(name): 1 / len(weighed) for name in weighed})
        return model
    except InvalidInputError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise InvalidInputError(f"not the description of a model ({error!r:.200})") from None
