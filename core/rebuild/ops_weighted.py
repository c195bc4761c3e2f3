"""Rules of layers with weights: convolutions, products, recurrences, normalisations."""

from typing import Any, Final

from .expressions import Call, Layer, Operand, layer_of, short
from .registry import Built, Site, X, called, layered, rule

_STEPS_LOST: Final = "the graph does not keep whether it is a cell or a layer on packed sequences"


def _rank(site: Site) -> int:
    """Number of spatial axes of a window, which torch has layers for up to three."""
    rank = len(site.shapes[0]) - 2
    if not 1 <= rank <= 3:
        site.refuse(f"torch has no such layer for an input of shape {site.shapes[0]}")
    return rank


@rule("conv")
def conv(site: Site) -> Built:
    """A convolution; with a second operand, by a kernel that is not learned."""
    rank, padding, stride = _rank(site), site["padding"], short(site["stride"])
    if padding == "same" and stride != 1:
        site.refuse("torch cannot pad to the 'same' size with strides: pad on an axis of its own")
    if isinstance(padding, tuple):
        padding = short(padding)
    window: dict[str, tuple[Any, Any]] = {
        "stride": (stride, 1),
        "padding": (padding, 0),
        "dilation": (short(site["dilation"]), 1),
        "groups": (site["groups"], 1),
    }
    if len(site.shapes) > 1:
        if site["bias"]:
            site.refuse("its kernel is computed, and the graph does not keep its bias")
        kept = {name: v for name, (v, default) in window.items() if v != default}
        return called(f"F.conv{rank}d", X, Operand(1), **kept)
    required = {
        "in_channels": site.shapes[0][1],
        "out_channels": site["channels"],
        "kernel_size": short(site["kernel"]),
    }
    window["bias"] = (site["bias"], True)
    return layered(site, layer_of(f"Conv{rank}d", required, window))


@rule("conv_transpose")
def conv_transpose(site: Site) -> Built:
    """A transposed convolution."""
    rank = _rank(site)
    if len(site.shapes) > 1:
        if site["bias"]:
            site.refuse("its kernel is computed, and the graph does not keep its bias")
        names = ("stride", "padding", "output_padding", "groups", "dilation")
        window = {n: site[n] if n == "groups" else short(site[n]) for n in names}
        return called(f"F.conv_transpose{rank}d", X, Operand(1), **window)
    required = {
        "in_channels": site.shapes[0][1],
        "out_channels": site["channels"],
        "kernel_size": short(site["kernel"]),
    }
    optional = {
        "stride": (short(site["stride"]), 1),
        "padding": (short(site["padding"]), 0),
        "output_padding": (short(site["output_padding"]), 0),
        "groups": (site["groups"], 1),
        "bias": (site["bias"], True),
        "dilation": (short(site["dilation"]), 1),
    }
    return layered(site, layer_of(f"ConvTranspose{rank}d", required, optional))


@rule("linear")
def linear(site: Site) -> Built:
    """A fully connected layer."""
    sizes = {"in_features": site.shapes[0][-1], "out_features": site["features"]}
    return layered(site, layer_of("Linear", sizes, {"bias": (site["bias"], True)}))


@rule("bilinear")
def bilinear(site: Site) -> Built:
    """A bilinear layer."""
    sizes = {
        "in1_features": site.shapes[0][-1],
        "in2_features": site.shapes[1][-1],
        "out_features": site["features"],
    }
    return layered(site, layer_of("Bilinear", sizes, {"bias": (site["bias"], True)}))


@rule("embedding")
def embedding(site: Site) -> Built:
    """A table of vectors."""
    sizes = {"num_embeddings": site["entries"], "embedding_dim": site["features"]}
    if site["mode"] is None:
        return layered(site, layer_of("Embedding", sizes))
    if len(site.shapes[0]) != 2:
        site.refuse("the graph does not keep where its bags begin")
    if site["mode"] not in ("sum", "mean", "max"):
        site.refuse(f"mode {site['mode']!r:.40} is none of sum, mean and max")
    return layered(site, layer_of("EmbeddingBag", sizes, {"mode": (site["mode"], "mean")}))


@rule("parameter")
def parameter(site: Site) -> Built:
    """A learned tensor; constants have values, which a graph does not keep."""
    if not site["trainable"]:
        site.refuse("it is a constant tensor, and a graph does not keep values")
    return Built(Call("self", ()), Layer("Parameter", (("size", site["shape"]),), 1))


@rule("lstm gru rnn")
def recurrent(site: Site) -> Built:
    """A recurrent layer; initial states that are no operands are zero."""
    op, states = site.node.op, site.operands[1:]
    if len(site.shapes[0]) != 3:
        site.refuse(_STEPS_LOST)
    if len(states) > (2 if op == "lstm" else 1) or (op == "lstm" and len(states) == 1):
        site.refuse(f"it reads {len(states)} states, and the graph does not keep which")
    if site["nonlinearity"] not in ("tanh", "relu"):
        site.refuse(f"nonlinearity {site['nonlinearity']!r:.40} is neither tanh nor relu")
    sizes = {"input_size": site.shapes[0][-1], "hidden_size": site["hidden"]}
    optional = {
        "num_layers": (site["layers"], 1),
        "nonlinearity": (site["nonlinearity"], "tanh"),
        "bias": (site["bias"], True),
        "batch_first": (site["batch_first"], False),
        "bidirectional": (site["bidirectional"], False),
        "proj_size": (site["projection"], 0),
    }
    args: tuple[Any, ...] = (X,)
    if states:
        args = (X, states if op == "lstm" else states[0])
    parts = {1: (1, 0), 2: (1, 1)} if op == "lstm" else {1: (1,)}
    layer = layer_of(op.upper(), sizes, optional)
    return Built(Call("self", args), layer, main=(0,), parts=parts)


# -- products without weights ---------------------------------------------------------------


@rule("matmul")
def matmul(site: Site) -> Built:
    """A matrix product."""
    return called("@", X, Operand(1))


@rule("einsum")
def einsum(site: Site) -> Built:
    """Einstein summation."""
    return called("torch.einsum", site["equation"], *site.operands)


@rule("attention")
def attention(site: Site) -> Built:
    """Scaled dot-product attention."""
    options: dict[str, Any] = {}
    if len(site.shapes) > 3:
        options["attn_mask"] = Operand(3)
    if site["causal"]:
        options["is_causal"] = True
    if site["scale"] is not None:
        options["scale"] = site["scale"]
    if site["grouped"]:
        options["enable_gqa"] = True
    return called("F.scaled_dot_product_attention", *site.operands[:3], **options)


# -- normalisation --------------------------------------------------------------------------


def _by_rank(site: Site, name: str) -> str:
    rank = len(site.shapes[0])
    if not 2 <= rank <= 5:
        site.refuse(f"torch has no such layer for an input of shape {site.shapes[0]}")
    return f"{name}{max(rank - 2, 1)}d"


@rule("batch_norm instance_norm")
def batch_norm(site: Site) -> Built:
    """Batch or instance normalisation; momentum is torch's default."""
    batch = site.node.op == "batch_norm"
    kind = _by_rank(site, "BatchNorm" if batch else "InstanceNorm")
    optional = {"eps": (site["eps"], 1e-5), "affine": (site["affine"], batch)}
    return layered(site, layer_of(kind, {"num_features": site.shapes[0][1]}, optional))


@rule("group_norm")
def group_norm(site: Site) -> Built:
    """Group normalisation."""
    if site["affine"] and not site["bias"]:
        site.refuse("torch's GroupNorm has scale and shift, or neither, and this one has a scale")
    required = {"num_groups": site["groups"], "num_channels": site.shapes[0][1]}
    optional = {"eps": (site["eps"], 1e-5), "affine": (site["affine"], True)}
    return layered(site, layer_of("GroupNorm", required, optional))


@rule("layer_norm")
def layer_norm(site: Site) -> Built:
    """Layer normalisation over the last axes."""
    optional = {
        "eps": (site["eps"], 1e-5),
        "elementwise_affine": (site["affine"], True),
        # Without a scale there is no shift either, whatever is recorded.
        "bias": (site["bias"] or not site["affine"], True),
    }
    return layered(site, layer_of("LayerNorm", {"normalized_shape": site["shape"]}, optional))


@rule("rms_norm")
def rms_norm(site: Site) -> Built:
    """Root-mean-square normalisation over the last axes."""
    optional = {"eps": (site["eps"], None), "elementwise_affine": (site["affine"], True)}
    return layered(site, layer_of("RMSNorm", {"normalized_shape": site["shape"]}, optional))


@rule("local_response_norm")
def local_response_norm(site: Site) -> Built:
    """Local response normalisation, with torch's defaults for what the graph does not keep."""
    plain = layer_of("LocalResponseNorm", {"size": site["size"]})
    return called("F.local_response_norm", X, site["size"], plain=plain)


@rule("normalize")
def normalize(site: Site) -> Built:
    """Division by the norm along one axis."""
    rest = {} if site["eps"] == 1e-12 else {"eps": site["eps"]}
    return called("F.normalize", X, p=site["p"], dim=site["dim"], **rest)
