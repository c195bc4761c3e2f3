"""Multiply-adds and parameters of one op.

Counted: convolution, linear, matrix product, einsum, bilinear, recurrent cells and
attention. Everything elementwise counts 0, so FLOPs here are exactly
``2 x multiply-adds`` (method: F of Eq. 5).
"""

from math import prod

from .shapes import Attrs, Shape


def _einsum(equation: str, shapes: tuple[Shape, ...]) -> int:
    """Product over all index sizes: the naive cost of one contraction."""
    terms = equation.replace(" ", "").split("->", 1)[0].split(",")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=False):
        letters = term.replace("...", "")
        lead = len(shape) - len(letters)
        for position, size in enumerate(shape[:lead]):
            axis = f"...{lead - position}"
            sizes[axis] = max(size, sizes.get(axis, 1))
        for letter, size in zip(letters, shape[lead:], strict=False):
            sizes[letter] = max(size, sizes.get(letter, 1))  # sizes of 1 are broadcast
    return prod(sizes.values()) if len(shapes) > 1 else 0


def _recurrent(op: str, attrs: Attrs, shapes: tuple[Shape, ...]) -> tuple[int, int]:
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[op]
    hidden, projection = attrs["hidden"], attrs["projection"]
    width = projection or hidden
    directions = 2 if attrs["bidirectional"] else 1
    steps = prod(shapes[0][:-1])
    features = shapes[0][-1]
    biases = 2 * gates * hidden if attrs["bias"] else 0
    macs = params = 0
    # Every layer after the first reads the states of the one below, in all directions.
    for reads, layers in ((features, 1), (directions * width, attrs["layers"] - 1)):
        weights = gates * hidden * (reads + width) + hidden * projection
        macs += layers * directions * weights * steps
        params += layers * directions * (weights + biases)
    return macs, params


def costs(op: str, attrs: Attrs, shapes: tuple[Shape, ...], out: Shape) -> tuple[int, int]:
    """Multiply-adds and learned parameters of one node.

    Args:
        op: Name of the op.
        attrs: Its complete attributes.
        shapes: Shapes of its operands, batch axis first.
        out: Shape of its result.

    Returns:
        ``(multiply-adds, parameters)``, both plain integers.
    """
    match op:
        case "conv" | "conv_transpose":
            channels_in = shapes[0][1]
            kernel = prod(attrs["kernel"]) * (channels_in // attrs["groups"]) * attrs["channels"]
            # A transposed convolution multiplies each *input* position by the kernel.
            positions = out if op == "conv" else shapes[0]
            macs = kernel * positions[0] * prod(positions[2:])
            bias = attrs["channels"] if attrs["bias"] else 0
            # A kernel that is an operand is no parameter of this node.
            return macs, 0 if len(shapes) > 1 else kernel + bias
        case "linear":
            weights = shapes[0][-1] * attrs["features"]
            bias = attrs["features"] if attrs["bias"] else 0
            return weights * prod(out[:-1]), weights + bias
        case "bilinear":
            weights = shapes[0][-1] * shapes[1][-1] * attrs["features"]
            bias = attrs["features"] if attrs["bias"] else 0
            return weights * prod(out[:-1]), weights + bias
        case "matmul":
            return prod(out) * shapes[0][-1], 0
        case "einsum":
            return _einsum(attrs["equation"], shapes), 0
        case "attention":
            query, key = shapes[0], shapes[1]
            # Scores over the query's features, then the mix over the keys' positions.
            return prod(query) * key[-2] + prod(out) * key[-2], 0
        case "lstm" | "gru" | "rnn":
            return _recurrent(op, attrs, shapes)
        case "batch_norm" | "instance_norm":
            return 0, 2 * shapes[0][1] if attrs["affine"] else 0
        case "group_norm":
            return 0, (shapes[0][1] * (2 if attrs["bias"] else 1)) if attrs["affine"] else 0
        case "layer_norm":
            size = prod(attrs["shape"])
            return 0, (size * (2 if attrs["bias"] else 1)) if attrs["affine"] else 0
        case "rms_norm":
            return 0, prod(attrs["shape"]) if attrs["affine"] else 0
        case "embedding":
            return 0, attrs["entries"] * attrs["features"]
        case "prelu":
            return 0, attrs["parameters"]
        case "parameter":
            return 0, prod(attrs["shape"]) if attrs["trainable"] else 0
        case "custom":
            return 0, attrs["params"]
        case _:
            return 0, 0
