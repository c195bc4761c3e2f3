"""Handlers of normalisations."""

from math import prod
from typing import Any

from gennape_plugin.core.errors import GraphError

from .ops_activations import short
from .registry import Call, UnknownResultError, axis_of, handles
from .values import Value


def eps_of(call: Call) -> float:
    """The number that keeps a normalisation from dividing by zero."""
    return short(call.node.float("epsilon", 1e-5))


def is_learned(call: Call, scale: Value, bias: Value | None = None) -> bool:
    """Whether a scale and a shift are learned: not where both are constants that do nothing.

    Raises:
        UnknownResultError: if they depend on an input.
    """
    vectors = [value for value in (scale, bias) if value is not None]
    if any(call.depends(value) for value in vectors):
        raise UnknownResultError
    if any(value.learned or value.node is not None for value in vectors):
        return True
    idle = scale.data is not None and bool((scale.data == 1).all())
    return not (idle and (bias is None or (bias.data is not None and not bias.data.any())))


def _check(vector: Value | None, count: int) -> None:
    if vector is not None and vector.count != count:
        raise GraphError(f"its scale or shift has the shape {vector.shape}: {count} are needed")


def _channels(x: Value) -> int:
    if len(x.shape) < 2:
        raise GraphError(f"its input of shape {x.shape} has no channels")
    return x.shape[1]


@handles("BatchNormalization")
def batch_norm(call: Call) -> None:
    """Batch normalisation."""
    x, scale, bias = call.need(0), call.need(1), call.need(2)
    for position in (1, 2, 3, 4):
        _check(call.need(position), _channels(x))
    attrs: dict[str, Any] = {"affine": is_learned(call, scale, bias), "eps": eps_of(call)}
    y = call.emit("batch_norm", [x], attrs, weight=scale)
    call.put(y)
    for position in range(1, 5):  # statistics, which training writes
        call.part(y, position, scale.shape)


@handles("InstanceNormalization")
def instance_norm(call: Call) -> None:
    """Instance normalisation."""
    x, scale, bias = call.need(0), call.need(1), call.need(2)
    _check(scale, _channels(x))
    _check(bias, _channels(x))
    attrs: dict[str, Any] = {"affine": is_learned(call, scale, bias), "eps": eps_of(call)}
    call.put(call.emit("instance_norm", [x], attrs, weight=scale))


@handles("GroupNormalization")
def group_norm(call: Call) -> None:
    """Group normalisation, with one scale a channel or (before version 21) a group."""
    x, scale, bias = call.need(0), call.need(1), call.need(2)
    groups = call.node.int("num_groups")
    if groups < 1 or _channels(x) % groups or scale.count not in (groups, x.shape[1]):
        raise GraphError(f"{groups} groups and a scale of {scale.shape} do not fit {x.shape}")
    attrs: dict[str, Any] = {
        "groups": groups,
        "affine": is_learned(call, scale, bias),
        "bias": True,
        "eps": eps_of(call),
    }
    call.put(call.emit("group_norm", [x], attrs, weight=scale))


@handles("LayerNormalization")
def layer_norm(call: Call) -> None:
    """Layer normalisation over the last axes."""
    x, scale, bias = call.need(0), call.need(1), call.get(2)
    axis = axis_of(call.node.int("axis", -1), len(x.shape))
    size = x.shape[axis:]
    _check(scale, prod(size))
    _check(bias, prod(size))
    affine = is_learned(call, scale, bias)
    attrs: dict[str, Any] = {
        "shape": size,
        "affine": affine,
        "bias": bias is not None or not affine,
        "eps": eps_of(call),
    }
    y = call.emit("layer_norm", [x], attrs, weight=scale)
    call.put(y)
    for position in (1, 2):  # mean and inverse deviation
        call.part(y, position, (*x.shape[:axis], *(1 for _ in size)))


@handles("RMSNormalization SimplifiedLayerNormalization")
def rms_norm(call: Call) -> None:
    """Root-mean-square normalisation over the last axes."""
    x, scale = call.need(0), call.need(1)
    size = x.shape[axis_of(call.node.int("axis", -1), len(x.shape)) :]
    _check(scale, prod(size))
    attrs: dict[str, Any] = {
        "shape": size,
        "affine": is_learned(call, scale),
        "eps": eps_of(call),
    }
    call.put(call.emit("rms_norm", [x], attrs, weight=scale))


@handles("LRN")
def local_response_norm(call: Call) -> None:
    """Local response normalisation."""
    call.put(call.emit("local_response_norm", [call.need(0)], {"size": call.node.int("size")}))
