"""The op vocabulary: what a node of a computation graph can be.

An :class:`OpDef` says, for one kind of op, how many operands it takes, which
attributes it has, which axis of its result holds the channels, and which label
of the paper's vocabulary it stands for. Ops beyond the paper's vocabulary name
their *nearest* paper label, or none where the paper drops such ops (shape
arithmetic, softmax). Shape rules are in :mod:`.shapes`, costs in :mod:`.costs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

#: Labels in the order of the authors' vocabulary; the position is the embedding row.
#: (method: the published code's op list; row 0 is out of vocabulary, five are reserved.)
PAPER_LABELS: Final[tuple[str, ...]] = (
    "<OOV>",
    "Input",
    "Output",
    "Conv",
    "Depthwise",
    "BatchNorm",
    "ReLU",
    "ReLU6",
    "MatMul",
    "Add",
    "Mul",
    "Concat",
    "Maxpool",
    "Avgpool",
    "Sigmoid",
    "Tanh",
    "Swish",
    "GeLU",
    "Paddings",
    "Mean",
    "SpacetoBatchND",
    "BatchtoSpaceND",
    "SpacetoDepthND",
    "DepthtoSpaceND",
    "Global",
    "Identity",
    "Zero",
    "Reserved1",
    "Reserved2",
    "Reserved3",
    "Reserved4",
    "Reserved5",
)
PAPER_INDEX: Final[Mapping[str, int]] = MappingProxyType(
    {label: index for index, label in enumerate(PAPER_LABELS)}
)


class _Required:
    """Marks an attribute that has no default."""

    def __repr__(self) -> str:
        return "required"


REQUIRED: Final = _Required()

#: What an attribute may hold: JSON values, with tuples (of the same) for lists. The recursion is
#: left unsaid: run-time checkers of annotations cannot follow it through an alias.
AttrValue = int | float | bool | str | None | tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class OpDef:
    """One kind of op.

    Attributes:
        name: The name used in graphs.
        paper: Labels this op becomes in the paper's view, first to last; empty where
            the paper drops the op and joins its producers to its consumers.
        exact: False where ``paper`` is only the nearest label.
        arity: Least and greatest number of operands (``None``: no limit).
        attrs: Attribute names with their defaults (:data:`REQUIRED`: must be given).
        axis: Where the channels lie in the result: ``"first"`` (axis 1), ``"last"``,
            or ``"inherit"`` (as in the first operand).
    """

    name: str
    paper: tuple[str, ...]
    exact: bool = True
    arity: tuple[int, int | None] = (1, 1)
    attrs: Mapping[str, object] = field(default_factory=dict)
    axis: str = "inherit"


def _ops() -> dict[str, OpDef]:
    table: dict[str, OpDef] = {}

    def op(
        name: str,
        *paper: str,
        exact: bool = True,
        arity: tuple[int, int | None] = (1, 1),
        axis: str = "inherit",
        **attrs: object,
    ) -> None:
        table[name] = OpDef(name, paper, exact, arity, MappingProxyType(attrs), axis)

    many: tuple[int, None] = (1, None)

    # -- ends ------------------------------------------------------------------------
    op("input", "Input", arity=(0, 0), shape=REQUIRED, dtype="float32")
    op("output", "Output", arity=many)
    # A learned tensor used directly (class token, position table); TF reads are dropped.
    op("parameter", arity=(0, 0), shape=REQUIRED, trainable=True)

    # -- with weights --------------------------------------------------------------------
    conv: dict[str, Any] = {
        "channels": REQUIRED,
        "kernel": REQUIRED,
        "stride": REQUIRED,
        "padding": REQUIRED,
        "dilation": REQUIRED,
        "groups": 1,
        "bias": False,
    }
    # A second operand is a kernel that is not learned: computed from an input, or constant.
    op("conv", "Conv", arity=(1, 2), axis="first", **conv)
    op(
        "conv_transpose",
        "Conv",
        exact=False,
        arity=(1, 2),
        axis="first",
        **conv,
        output_padding=REQUIRED,
    )
    op("linear", "MatMul", axis="last", features=REQUIRED, bias=True)
    op("bilinear", "MatMul", exact=False, arity=(2, 2), axis="last", features=REQUIRED, bias=True)
    op("matmul", "MatMul", exact=False, arity=(2, 2), axis="last")
    op("einsum", "MatMul", exact=False, arity=many, axis="last", equation=REQUIRED)
    op(
        "attention",
        "MatMul",
        "MatMul",
        exact=False,
        arity=(3, 4),
        axis="last",
        causal=False,
        scale=None,
        grouped=False,
    )
    for name in ("lstm", "gru", "rnn"):
        op(
            name,
            "MatMul",
            exact=False,
            arity=many,
            axis="last",
            hidden=REQUIRED,
            layers=1,
            bias=True,
            batch_first=False,
            bidirectional=False,
            projection=0,
            nonlinearity="tanh",
        )
    op(
        "embedding",
        "MatMul",
        exact=False,
        axis="last",
        entries=REQUIRED,
        features=REQUIRED,
        mode=None,
    )

    # -- normalisation ---------------------------------------------------------------
    op("batch_norm", "BatchNorm", axis="first", affine=True, eps=1e-5)
    op("instance_norm", "BatchNorm", exact=False, axis="first", affine=False, eps=1e-5)
    op(
        "group_norm",
        "BatchNorm",
        exact=False,
        axis="first",
        groups=REQUIRED,
        affine=True,
        bias=True,
        eps=1e-5,
    )
    op(
        "layer_norm",
        "BatchNorm",
        exact=False,
        axis="last",
        shape=REQUIRED,
        affine=True,
        bias=True,
        eps=1e-5,
    )
    op(
        "rms_norm",
        "BatchNorm",
        exact=False,
        axis="last",
        shape=REQUIRED,
        affine=True,
        eps=None,
    )
    op("local_response_norm", "BatchNorm", exact=False, size=REQUIRED)
    op("normalize", "BatchNorm", exact=False, p=2.0, dim=1, eps=1e-12)

    # -- activations -----------------------------------------------------------------
    op("relu", "ReLU")
    op("relu6", "ReLU6")
    op("sigmoid", "Sigmoid")
    op("tanh", "Tanh")
    op("silu", "Swish")
    op("gelu", "GeLU", approximate="none")
    # The +3, the /6 and the clip vanish: hard-swish leaves ReLU6 and Mul, hard-sigmoid ReLU6.
    op("hard_swish", "ReLU6", "Mul")
    op("hard_sigmoid", "ReLU6")
    op("hard_tanh", "ReLU6", exact=False, low=-1.0, high=1.0)
    op("leaky_relu", "ReLU", exact=False, slope=0.01)
    op("prelu", "ReLU", exact=False, parameters=1)
    op("threshold", "ReLU", exact=False)
    for name in ("elu", "selu", "celu", "softplus", "squared_relu", "hard_shrink", "soft_shrink"):
        op(name, "ReLU", exact=False, alpha=1.0)
    op("mish", "Swish", exact=False)
    op("softsign", "Tanh", exact=False)
    op("log_sigmoid", "Sigmoid", exact=False)
    op("glu", "Sigmoid", "Mul", exact=False, dim=-1)
    op("softmax", dim=-1)
    op("log_softmax", dim=-1)

    # -- arithmetic ------------------------------------------------------------------
    # `scalar`: the other operand is a constant; such nodes have one parent and fold.
    op("add", "Add", arity=many, scalar=None)
    op("sub", "Add", exact=False, arity=many, scalar=None, reverse=False)
    op("mul", "Mul", arity=many, scalar=None)
    # Division is dropped by the paper; between two tensors it is nearest to Mul.
    op("div", "Mul", exact=False, arity=many, scalar=None, reverse=False)
    op("binary", "Add", exact=False, arity=many, function=REQUIRED, scalar=None)
    op("unary", "Identity", exact=False, function=REQUIRED)
    op("where", "Add", exact=False, arity=many)

    # -- pools and reductions ---------------------------------------------------------
    pool: dict[str, Any] = {
        "kernel": REQUIRED,
        "stride": REQUIRED,
        "padding": REQUIRED,
        "ceil_mode": False,
    }
    op("max_pool", "Maxpool", axis="first", **pool, dilation=REQUIRED)
    op("avg_pool", "Avgpool", axis="first", **pool, count_include_pad=True)
    # To one pixel they are Mean / Maxpool over the map; see `costs` and `paper`.
    op("adaptive_avg_pool", "Avgpool", axis="first", size=REQUIRED)
    op("adaptive_max_pool", "Maxpool", axis="first", size=REQUIRED)
    op("lp_pool", "Avgpool", exact=False, axis="first")
    op("mean", "Mean", axes=REQUIRED, keepdim=False)
    op("reduce", "Mean", exact=False, function=REQUIRED, axes=REQUIRED, keepdim=False)

    # -- joining, moving, reshaping ---------------------------------------------------
    op("concat", "Concat", arity=many, dim=REQUIRED)
    op("stack", "Concat", exact=False, arity=many, dim=REQUIRED)
    op("pad", "Paddings", padding=REQUIRED, mode="constant", value=0.0)
    op("identity", "Identity")
    op("dropout", "Identity", rate=0.5)
    op("zero", "Zero")
    op("pixel_shuffle", "DepthtoSpaceND", axis="first", factor=REQUIRED)
    op("pixel_unshuffle", "SpacetoDepthND", axis="first", factor=REQUIRED)
    op("channel_shuffle", axis="first", groups=REQUIRED)
    op(
        "interpolate",
        "Avgpool",
        exact=False,
        axis="first",
        size=REQUIRED,
        mode="nearest",
        align_corners=None,
    )
    op("reshape", shape=REQUIRED)
    op("permute", dims=REQUIRED)
    op("expand", shape=REQUIRED)
    op("slice", spec=REQUIRED)
    op("select", index=REQUIRED)
    op("gather", arity=many, function="gather")
    # A tensor after some of its elements were overwritten: (old content, new part).
    op("scatter", arity=many, spec=None)
    op("repeat", repeats=REQUIRED)
    op("roll", shifts=REQUIRED, dims=REQUIRED)
    op("cast", dtype=REQUIRED)

    # -- anything else ----------------------------------------------------------------
    # Kept, with its own name in `target`; never dropped silently.
    op("custom", "<OOV>", exact=False, arity=(0, None), target=REQUIRED, params=0)
    return table


#: Every op by name.
OPS: Final[Mapping[str, OpDef]] = MappingProxyType(_ops())

#: Paper labels whose nodes carry a kernel; they have their own embedding table.
WEIGHTED_LABELS: Final = frozenset({"Conv", "Depthwise", "MatMul"})

#: Operand order does not matter for these (used by the canonical hash).
COMMUTATIVE: Final = frozenset({"add", "mul"})

#: Functions of ``binary`` by what they are called with their operands exchanged: a number on the
#: left is no operand, and the name alone says where it stood. All others are symmetric.
EXCHANGED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gt": "lt",
        "ge": "le",
        "lt": "gt",
        "le": "ge",
        **{name: f"r{name}" for name in ("pow", "remainder", "floor_div", "shift")},
    }
)
