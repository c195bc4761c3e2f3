"""Rules of pools, reductions, joining, reshaping and slicing."""

from math import prod
from typing import Any, Final

from .batch_axis import BatchAxis
from .expressions import Call, Operand, layer_of, short
from .registry import Built, Site, X, called, rule

# -- pools and reductions -------------------------------------------------------------------


def _pool(site: Site, name: str, optional: dict[str, tuple[Any, Any]]) -> Built:
    kernel, stride = site["kernel"], site["stride"]
    if not 1 <= len(kernel) <= 3:
        site.refuse(f"torch has no pool over {len(kernel)} axes")
    options = {
        "stride": (short(stride), short(kernel)),
        "padding": (short(site["padding"]), 0),
        "ceil_mode": (site["ceil_mode"], False),
        **optional,
    }
    layer = layer_of(f"{name}Pool{len(kernel)}d", {"kernel_size": short(kernel)}, options)
    function = f"F.{name.lower()}_pool{len(kernel)}d"
    named = layer.args[1:]
    if site.parts_read:
        call = Call(function, (X, short(kernel)), (*named, ("return_indices", True)))
        return Built(call, main=(0,), parts={1: (1,)})
    return Built(Call(function, (X, short(kernel)), named), plain=layer)


@rule("max_pool")
def max_pool(site: Site) -> Built:
    """Max pooling, with the positions of the maxima where they are read."""
    return _pool(site, "Max", {"dilation": (short(site["dilation"]), 1)})


@rule("avg_pool")
def avg_pool(site: Site) -> Built:
    """Average pooling."""
    return _pool(site, "Avg", {"count_include_pad": (site["count_include_pad"], True)})


@rule("adaptive_avg_pool adaptive_max_pool")
def adaptive_pool(site: Site) -> Built:
    """A pool to a given size."""
    kind = "avg" if site.node.op == "adaptive_avg_pool" else "max"
    rank, size = len(site["size"]), short(site["size"])
    if not 1 <= rank <= 3:
        site.refuse(f"torch has no pool over {rank} axes")
    plain = layer_of(f"Adaptive{kind.title()}Pool{rank}d", {"output_size": size})
    if site.parts_read:
        if kind == "avg":
            site.refuse("an average has no positions")
        name = f"F.adaptive_max_pool{rank}d"
        return Built(Call(name, (X, size), (("return_indices", True),)), main=(0,), parts={1: (1,)})
    return called(f"F.adaptive_{kind}_pool{rank}d", X, size, plain=plain)


def _reduced(site: Site, method: str) -> Built:
    axes = short(site["axes"]) if len(site["axes"]) == 1 else site["axes"]
    keep: dict[str, Any] = {"keepdim": True} if site["keepdim"] else {}
    return called(method, X, axes, **keep)


@rule("mean")
def mean(site: Site) -> Built:
    """The mean over some axes."""
    if not site["axes"]:
        site.refuse("it is a mean over no axis")
    return _reduced(site, ".mean")


#: Reductions over any number of axes, and over exactly one.
_OVER_AXES: Final = {"sum": ".sum", "max": ".amax", "min": ".amin", "logsumexp": ".logsumexp"}
_OVER_ONE: Final = frozenset({"prod", "argmax", "argmin", "all", "any", "count_nonzero"})


@rule("reduce")
def reduce(site: Site) -> Built:
    """A reduction over some axes."""
    function, axes = site["function"], site["axes"]
    if site.parts_read:
        if function not in ("max", "min") or len(axes) != 1:
            site.refuse(f"the graph does not keep how {function!r:.40} gives several results")
        keep = (("keepdim", True),) if site["keepdim"] else ()
        return Built(Call(f".{function}", (X, axes[0]), keep), main=(0,), parts={1: (1,)})
    if function in _OVER_AXES and axes:
        return _reduced(site, _OVER_AXES[function])
    if function in _OVER_ONE and len(axes) == 1 and function != "count_nonzero":
        return _reduced(site, f".{function}")
    return site.refuse(f"the graph does not keep what {function!r:.40} does exactly")


@rule("interpolate")
def interpolate(site: Site) -> Built:
    """Resampling to another size."""
    mode, corners = site["mode"], site["align_corners"]
    modes = ("nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area")
    if mode not in modes:
        site.refuse(f"torch has no mode {mode!r:.40}")
    options: dict[str, Any] = {} if corners is None else {"align_corners": corners}
    if mode != "nearest":
        options = {"mode": mode, **options}
    return called("F.interpolate", X, size=site["size"], **options)


# -- joining --------------------------------------------------------------------------------


@rule("concat stack")
def join(site: Site) -> Built:
    """A concatenation; learned operands are repeated for each sample."""
    batch = site.batch_out
    parts: list[Any] = list(site.operands)
    if batch is not None and site.node.op == "concat":
        parts = [_per_sample(site, position, batch) for position in range(len(parts))]
    function = "torch.cat" if site.node.op == "concat" else "torch.stack"
    return called(function, parts, dim=site["dim"])


def _per_sample(site: Site, position: int, batch: BatchAxis) -> Any:
    """An operand; one without samples, such as a learned token, expanded to the batch size."""
    shape = site.shapes[position]
    if site.batch_in(position) is not None or shape[batch.axis] != 1 or batch.before != 1:
        return Operand(position)
    pairs = enumerate(map(site.batch_in, range(len(site.shapes))))
    other = next(
        (i for i, found in pairs if found == batch and site.shapes[i][batch.axis] == 1), None
    )
    if other is None:
        return Operand(position)
    sizes: list[Any] = [-1] * len(shape)
    sizes[batch.axis] = Call(".size", (Operand(other), batch.axis))
    return Call(".expand", (Operand(position), *sizes))


# -- reshaping ------------------------------------------------------------------------------


def _open(shape: tuple[int, ...], batch: BatchAxis | None) -> tuple[int, ...]:
    """A shape with its batch axis left open."""
    if batch is None or not prod(shape):
        return shape
    return (*shape[: batch.axis], -1, *shape[batch.axis + 1 :])


@rule("reshape")
def reshape(site: Site) -> Built:
    """Another shape; the batch axis stays open."""
    (before,), after = site.shapes, site["shape"]
    start, batch = len(after) - 1, site.batch_in()
    merges = len(before) > len(after) and before[:start] == after[:start]
    if start > 0 and merges and (batch is None or batch.axis < start):
        plain = layer_of("Flatten", {}, {"start_dim": (start, 1)})
        return called("torch.flatten", X, start, plain=plain)
    return called(".reshape", X, *_open(after, site.batch_out))


@rule("permute")
def permute(site: Site) -> Built:
    """The axes in another order."""
    dims: tuple[int, ...] = site["dims"]
    moved = [axis for axis, d in enumerate(dims) if d % len(dims) != axis]
    if len(moved) == 2:
        return called(".transpose", X, *moved)
    return called(".permute", X, *dims)


@rule("expand")
def expand(site: Site) -> Built:
    """Axes of size one repeated without copying."""
    after, (before,) = site["shape"], site.shapes
    new = len(after) - len(before)
    if new < 0:
        site.refuse(f"shape {before} cannot be expanded to {after}")
    kept = [axis >= new and size == before[axis - new] for axis, size in enumerate(after)]
    return called(".expand", X, *(-1 if k else size for k, size in zip(kept, after, strict=True)))


@rule("repeat")
def repeat(site: Site) -> Built:
    """Copies along some axes."""
    return called(".repeat", X, *site["repeats"])


@rule("roll")
def roll(site: Site) -> Built:
    """A cyclic shift."""
    if not site["dims"]:
        return called("torch.roll", X, site["shifts"])
    return called("torch.roll", X, site["shifts"], dims=site["dims"])


@rule("pad")
def pad(site: Site) -> Built:
    """Padding, last axis first."""
    if site["mode"] not in ("constant", "reflect", "replicate", "circular"):
        site.refuse(f"torch has no padding mode {site['mode']!r:.40}")
    options: dict[str, Any] = {} if site["mode"] == "constant" else {"mode": site["mode"]}
    if site["value"]:
        options["value"] = site["value"]
    return called("F.pad", X, site["padding"], **options)


@rule("slice")
def cut(site: Site) -> Built:
    """A part of a tensor."""
    spec, (shape,) = site["spec"], site.shapes
    if spec is None:
        site.refuse("the graph does not keep which part it takes")
    items: list[Any] = [slice(None)] * len(shape)
    for axis, start, stop, step in spec:
        if stop is None:
            items[axis] = start
            continue
        end = None if stop >= shape[axis] else stop
        items[axis] = slice(start or None, end, None if step == 1 else step)
    while len(items) > 1 and items[-1] == slice(None):
        items.pop()
    return called("[]", X, tuple(items))


@rule("gather scatter")
def gather(site: Site) -> Built:
    """Elements by position."""
    what = site["function"] if site.node.op == "gather" else "scatter"
    return site.refuse(f"the graph does not keep positions and settings of {what!r:.40}")


@rule("threshold lp_pool squared_relu custom")
def unknown(site: Site) -> Built:
    """What the graph names but does not describe."""
    return site.refuse("the graph does not keep what it computes")
