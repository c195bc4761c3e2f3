"""Architectures of transformers, small and untrained, from configurations of a few layers."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, Final

import torch
from torch import Tensor

from gennape_plugin.core.errors import InvalidInputError

from .catalogue import Catalogue, Sample, image, without_data
from .torchvision_models import imported

#: Sizes under the names that most configurations share; others ignore them.
_SMALL: Final[Mapping[str, Any]] = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_TEXT: Final = (
    "albert bert big_bird camembert convbert deberta-v2 distilbert electra ernie esm "
    "flaubert fnet gpt2 gpt_bigcode gpt_neo gpt_neox gptj ibert layoutlm mpnet "
    "megatron-bert mobilebert nystromformer rembert roberta roformer squeezebert xlm-roberta xlnet "
    "bloom codegen falcon gemma gemma2 llama mamba mistral mixtral mpt olmo opt phi qwen2 qwen3 "
    "stablelm starcoder2"
).split()
_SEQ2SEQ: Final = "bart blenderbot-small marian mbart pegasus t5".split()
_IMAGE: Final = (
    "beit bit convnext convnextv2 cvt deit dinov2 efficientnet focalnet levit mobilenet_v1 "
    "mobilenet_v2 mobilevit poolformer pvt regnet resnet segformer swin swinv2 van vit vit_mae"
).split()
_AUDIO: Final = "hubert wav2vec2 wavlm".split()
#: Where the shared names do not make a small, valid network; ``None`` leaves one out.
_OWN: Final[Mapping[str, Mapping[str, Any]]] = {
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]]},
    "xlm-roberta": {"max_position_embeddings": 66},
    "falcon": {"num_kv_heads": 2},
    "squeezebert": {"embedding_size": 32},
    "xlnet": {"max_position_embeddings": None, "d_head": 8},
    "gptj": {"rotary_dim": 4},
    "codegen": {"rotary_dim": 4},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8},
    "t5": {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
    **{
        name: {
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
        }
        for name in ("bart", "blenderbot-small", "marian", "mbart", "pegasus")
    },
}


def catalogue() -> Catalogue:
    """Architectures of text, pairs of texts, images and sound that this transformers has.

    Raises:
        InvalidInputError: if transformers cannot be imported.
    """
    with suppress(InvalidInputError):  # transformers imports torchvision where it is installed
        imported()
    try:
        transformers = import_module("transformers")
        known = import_module("transformers.models.auto.configuration_auto").CONFIG_MAPPING
    except (ImportError, RuntimeError) as error:
        raise InvalidInputError(
            f"transformers cannot be imported ({error}): pip install transformers"
        ) from error
    kinds = {"text": _TEXT, "seq2seq": _SEQ2SEQ, "image": _IMAGE, "audio": _AUDIO}
    return {
        name: partial(_sample, transformers, name, kind)
        for kind, names in kinds.items()
        for name in names
        if name in known
    }


def _sample(transformers: Any, name: str, kind: str) -> Sample:
    sizes = {**(_SMALL if kind != "image" else {}), **_OWN.get(name, {})}
    given = {key: value for key, value in sizes.items() if value is not None}
    config = transformers.AutoConfig.for_model(name, **given)
    module = without_data(partial(transformers.AutoModel.from_config, config)).eval()
    return Sample(module, (), _inputs(kind, config))


def sample_of_config(config: Mapping[str, Any]) -> Sample:
    """The network of a configuration, with inputs of its kind.

    Args:
        config: What ``config.json`` holds; its ``model_type`` decides.

    Raises:
        InvalidInputError: if transformers cannot be imported, or does not know the type.
    """
    catalogue()
    transformers: Any = import_module("transformers")
    known = import_module("transformers.models.auto.configuration_auto").CONFIG_MAPPING
    name = config["model_type"]
    if name not in known:
        raise InvalidInputError(f"transformers knows no model_type {name!r:.80}")
    given = {key: value for key, value in config.items() if key not in ("model_type", "auto_map")}
    made = transformers.AutoConfig.for_model(name, **given)
    module = without_data(partial(transformers.AutoModel.from_config, made)).eval()
    kinds = {"seq2seq": _SEQ2SEQ, "image": _IMAGE, "audio": _AUDIO}
    kind = next((kind for kind, names in kinds.items() if name in names), None)
    if kind is None:
        reads = str(getattr(module, "main_input_name", "input_ids"))
        kind = {"pixel_values": "image", "input_values": "audio"}.get(reads, "text")
    return Sample(module, (), _inputs(kind, made))


def _inputs(kind: str, config: Any) -> dict[str, Tensor]:
    words = torch.ones(1, 16, dtype=torch.long, device="meta")
    if kind == "text":
        return {"input_ids": words}
    if kind == "seq2seq":
        return {"input_ids": words, "decoder_input_ids": words}
    if kind == "audio":
        return {"input_values": image(16_000)}
    size = getattr(config, "image_size", 224)
    return {"pixel_values": image(3, *(size if isinstance(size, list | tuple) else (size, size)))}
