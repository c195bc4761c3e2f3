"""NNI's AutoFormer: vision transformers with relative positions (Chen et al., 2021)."""

from collections.abc import Mapping
from typing import Any, Final

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.shapes import Shape

from .choices import Choices
from .parts import dropout, linear

_HEAD_DIM: Final = 64


def graph(arguments: Mapping[str, Any], choices: Choices, shape: Shape) -> ComputeGraph | None:
    """The network that NNI builds; ``None`` for images of another size than the space's."""
    side, patch = arguments["img_size"], arguments["patch_size"]
    if shape != (arguments["in_channels"], side, side):
        return None
    width = choices.one("embed_dim", arguments["search_embed_dim"])
    depth = choices.one("depth", arguments["search_depth"])
    deepest = max(arguments["search_depth"])
    b = GraphBuilder(choices.space)
    b.set_scope("stem")
    x = b.input((1, *shape))
    x = b.conv(x, width, kernel=patch, stride=patch, padding=0, bias=True)
    x = b.add("permute", (x,), dims=(0, 2, 3, 1))
    tokens = (side // patch) ** 2
    x = b.add("reshape", (x,), shape=(1, tokens, width))
    x = b.concat((_parameter(b, (1, 1, width)), x))
    tokens += 1
    if arguments["absolute_position"]:
        x = b.join("add", x, _parameter(b, (1, tokens, width)))
    else:
        x = b.add("identity", (x,))
    for index in range(depth):
        heads = choices.one(f"num_head_{index}", arguments["search_num_heads"])
        ratio = choices.one(f"mlp_ratio_{index}", arguments["search_mlp_ratio"])
        b.set_scope(f"block{index}")
        # Where nothing is ever dropped, NNI has an identity in the place of drop path.
        drops = arguments["drop_path_rate"] * index / max(deepest - 1, 1) > 0
        x = _layer(b, x, arguments, heads, int(width * ratio), drops)
    b.set_scope("head")
    x = _layer_norm(b, x) if arguments["pre_norm"] else b.add("identity", (x,))
    if arguments["global_pooling"]:
        patches = b.add("slice", (x,), spec=((1, 1, tokens, 1),), out_shape=(1, tokens - 1, width))
        x = b.mean(patches, (1,))
    else:
        x = b.add("slice", (x,), spec=((1, 0, None, 0),), out_shape=(1, width))
    classes = arguments["num_labels"]
    return b.build(linear(b, x, classes) if classes > 0 else b.add("identity", (x,)))


def _parameter(b: GraphBuilder, shape: Shape) -> int:
    return b.add("parameter", shape=shape)


def _layer_norm(b: GraphBuilder, x: int) -> int:
    return b.add("layer_norm", (x,), shape=(b.shape(x)[-1],))


def _layer(
    b: GraphBuilder, x: int, arguments: Mapping[str, Any], heads: int, hidden: int, drops: bool
) -> int:
    before, rate = arguments["pre_norm"], arguments["drop_rate"]
    y = _layer_norm(b, x) if before else x
    y = dropout(b, _attention(b, y, arguments, heads), rate)
    x = b.join("add", x, y if drops else b.add("identity", (y,)))
    x = x if before else _layer_norm(b, x)
    y = _layer_norm(b, x) if before else x
    y = dropout(b, b.add("gelu", (linear(b, y, hidden),)), rate)
    y = dropout(b, linear(b, y, b.shape(x)[-1]), rate)
    x = b.join("add", x, y if drops else b.add("identity", (y,)))
    return x if before else _layer_norm(b, x)


def _attention(b: GraphBuilder, x: int, arguments: Mapping[str, Any], heads: int) -> int:
    """Self-attention; heads are 64 wide, whatever the width of the tokens."""
    _, tokens, width = b.shape(x)
    inner = heads * _HEAD_DIM
    relative, length = arguments["rpe"], arguments["img_size"] // arguments["patch_size"]
    scale = arguments["qk_scale"] or _HEAD_DIM**-0.5

    def projection() -> int:
        y = linear(b, x, inner, bias=arguments["qkv_bias"])
        y = b.add("reshape", (y,), shape=(1, tokens, heads, _HEAD_DIM))
        return b.add("permute", (y,), dims=(0, 2, 1, 3))

    q, k, v = projection(), projection(), projection()
    scores = b.add("matmul", (q, b.add("permute", (k,), dims=(0, 1, 3, 2))))
    scores = b.add("mul", (scores,), scalar=scale)
    if relative:
        table = _relative_table(b, tokens, length)
        y = b.add("permute", (q,), dims=(2, 0, 1, 3))
        y = b.add("reshape", (y,), shape=(tokens, heads, _HEAD_DIM))
        y = b.add("matmul", (y, b.add("permute", (table,), dims=(0, 2, 1))))
        y = b.add("permute", (y,), dims=(1, 0, 2))
        y = b.add("reshape", (y,), shape=(1, heads, tokens, tokens))
        scores = b.join("add", scores, b.add("mul", (y,), scalar=scale))
    weights = dropout(b, b.add("softmax", (scores,), dim=-1), arguments["attn_drop_rate"])
    y = b.add("matmul", (weights, v))
    y = b.add("permute", (y,), dims=(0, 2, 1, 3))
    y = b.add("reshape", (y,), shape=(1, tokens, inner))
    if relative:
        z = b.add("permute", (weights,), dims=(2, 0, 1, 3))
        z = b.add("reshape", (z,), shape=(tokens, heads, tokens))
        z = b.add("matmul", (z, _relative_table(b, tokens, length)))
        z = b.add("permute", (z,), dims=(1, 0, 2))
        z = b.add("reshape", (z,), shape=(1, heads, tokens, _HEAD_DIM))
        z = b.add("permute", (z,), dims=(0, 2, 1, 3))
        y = b.join("add", y, b.add("reshape", (z,), shape=(1, tokens, inner)))
    return dropout(b, linear(b, y, width), 0.0)


def _relative_table(b: GraphBuilder, tokens: int, length: int) -> int:
    """An embedding of every pair of tokens: of their rows' distance and their columns'."""
    found = []
    for _ in range(2):
        table = _parameter(b, (2 * length + 2, _HEAD_DIM))
        out = (tokens, tokens, _HEAD_DIM)
        found.append(b.add("gather", (table,), function="index", out_shape=out))
    return b.join("add", *found)
