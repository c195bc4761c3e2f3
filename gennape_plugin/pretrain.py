"""Training the shipped model from a labels file, stage by stage, resumable.

Stages: build graphs and spectra (cached), pretrain the encoder without labels
(checkpointed every epoch), train each member on frozen embeddings, write weights and
card. A stage whose result lies in the run folder is not repeated.
"""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.files import replacing
from gennape_plugin.core.members import FlopsMember, Member
from gennape_plugin.core.metrics import mae, srcc
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.pretraining import embed, pretrain_encoder
from gennape_plugin.core.space import EmbeddingSpace
from gennape_plugin.core.spectra import spectra
from gennape_plugin.core.training import Progress, silent, usable_device
from gennape_plugin.core.weights import save_model
from gennape_plugin.families import family

from .familiarity import seen_in
from .labels import Labelled, read_labels
from .member_training import (
    HEAD_MEMBERS,
    PAIRWISE_MEMBERS,
    SEGMENTS,
    MemberTrainer,
    TrainingData,
)
from .pretrain_config import PretrainConfig, continues
from .protocol import PRUNE_BELOW, Split, split_nasbench101
from .ranker_training import RankerData, fit_ranker

#: Members that make the score near the training graphs: on the first validation set this one
#: alone ranks better than any mean with others (docs/results.md).
ENSEMBLE: Final = (SEGMENTS,)
CONFIG_FILE: Final = "config.json"
LABELS_FILE: Final = "labels.sha256"


def pretrain(
    labels: str | Path,
    out: str | Path,
    config: PretrainConfig | None = None,
    *,
    device: str = "cpu",
    half: bool = False,
    progress: Progress = silent,
    note: Callable[[str], None] = lambda text: None,
) -> Path:
    """Train a model on NAS-Bench-101 and write its weights.

    Args:
        labels: Label file (see :mod:`.labels`).
        out: Run folder: configuration, checkpoints and, in the end, the weights.
        config: Settings.
        device: Where to pretrain the encoder (``cpu`` or ``cuda``).
        half: Store the weights in 16 bits.
        progress: Called after every epoch.
        note: Receives one line of text at each stage.

    Returns:
        The run folder, which holds ``model.safetensors`` and ``card.json``.

    Raises:
        LabelsError: for a labels file that cannot be used.
        InvalidInputError: if the folder holds a run with other settings.
    """
    config, out = config or PretrainConfig(), Path(out)
    where = usable_device(device)
    started = time.perf_counter()
    rows = list(read_labels(labels, family("nasbench101")))
    split = split_nasbench101(rows)
    _claim(out, config, rows)
    data = _data(rows, split, extra=config.extra)
    note(f"{len(data.train)} training graphs, {len(data.store)} in all")
    train_store = data.store.take(data.train.tolist())
    signatures = _cached(
        out / "spectra.safetensors",
        lambda: {"spectra": spectra(train_store, config.contrastive.eigenvalues)},
    )["spectra"]
    note(f"spectra ready after {time.perf_counter() - started:.0f} s")
    encoder = pretrain_encoder(
        train_store,
        signatures,
        encoder=config.encoder,
        config=config.contrastive,
        seed=config.seed,
        checkpoint=out / "encoder.checkpoint",
        device=where,
        progress=progress,
    )
    h = embed(encoder, data.store, device=where)
    space = EmbeddingSpace(encoder.size)
    space.fit(h[data.train], data.store.gflops[data.train])
    trainer = MemberTrainer(config, data, space(h, data.store.gflops), out, progress)
    members: dict[str, Member] = {}
    for name in (*HEAD_MEMBERS, *PAIRWISE_MEMBERS, SEGMENTS, *config.baselines):
        members[name] = trainer.member(name)
        note(f"{name}: {trainer.outcomes[name]}")
    members["flops"] = FlopsMember()
    above = [i for i in split.train if split.accuracy[i] >= PRUNE_BELOW]
    cells = [rows[i].arch for i in above]
    accuracy = torch.from_numpy(split.accuracy[above])
    skeletons = config.ranker.skeletons
    ranker_data = RankerData.of(cells, accuracy, skeletons=skeletons, seed=config.seed)
    ranker = fit_ranker(ranker_data, config.ranker, seed=config.seed)
    note(f"ranker: {config.ranker.trees} trees")
    model = GennapeModel(encoder, members, ENSEMBLE, ranker)
    model.space = space
    model.set_references(train_store)
    card = _card(config, split, model, data, trainer.outcomes)
    save_model(model, out, card, half=half)
    return out


def _claim(out: Path, config: PretrainConfig, rows: list[Labelled]) -> None:
    """Make the run folder this configuration's and these labels', or refuse."""
    out.mkdir(parents=True, exist_ok=True)
    labels = hashlib.sha256(repr([(row.key, row.labels) for row in rows]).encode()).hexdigest()
    settings = json.dumps(config.to_dict(), indent=1) + "\n"
    for name, what, text, same in (
        (CONFIG_FILE, "settings", settings, lambda old: _continues(old, settings)),
        (LABELS_FILE, "labels", labels + "\n", lambda old: old == labels + "\n"),
    ):
        path = out / name
        if path.exists() and not same(path.read_text(encoding="utf-8")):
            raise InvalidInputError(
                f"{path} belongs to other {what}: resume with those, or choose another folder"
            )
        path.write_text(text, encoding="utf-8")


def _continues(found: str, settings: str) -> bool:
    try:
        return continues(json.loads(found), json.loads(settings))
    except ValueError:
        return False


def _data(rows: list[Labelled], split: Split, *, extra: bool) -> TrainingData:
    train = [*split.train, *(split.extra if extra else ())]
    order = [*train, *split.validation_1, *split.validation_2]
    nb101 = family("nasbench101")
    store = GraphStore.of(nb101.graph(rows[i].arch) for i in order)
    first = len(train) + len(split.validation_1)
    return TrainingData(
        store,
        torch.from_numpy(split.accuracy[order].astype(np.float32)),
        torch.arange(len(train)),
        {
            "validation_1": torch.arange(len(train), first),
            "validation_2": torch.arange(first, len(order)),
        },
    )


def _cached(path: Path, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    if path.exists():
        return load_file(path)
    made = make()
    with replacing(path) as partial:
        save_file({name: tensor.contiguous() for name, tensor in made.items()}, partial)
    return made


def _card(
    config: PretrainConfig,
    split: Split,
    model: GennapeModel,
    data: TrainingData,
    outcomes: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """What the run learned from and reached on the second validation set."""
    second = data.validation["validation_2"]
    outputs = model.outputs(data.store.take(second.tolist()))
    truth = data.accuracy[second]
    results = {}
    for name in outputs:
        if name == "flops":
            continue
        member = model.members[name]
        assert isinstance(member, Member)
        results[name] = {
            part: (
                {"mae": mae(truth[kept], outputs[name][kept])} if member.predicts_accuracy else {}
            )
            | {"srcc": srcc(truth[kept], outputs[name][kept])}
            for part, kept in (("all", truth >= 0), ("from_80", truth >= PRUNE_BELOW))
        }
    return {
        "name": "gennape-nb101",
        "dataset": "CIFAR-10",
        "accuracy": "mean CIFAR-10 test accuracy of 3 runs under NAS-Bench-101's 108-epoch recipe",
        "trained_on": {
            "benchmark": "NAS-Bench-101 (Ying et al., 2019)",
            "licence": "Apache-2.0",
            "measured_rows": len(split.train),
            "estimated_rows": len(split.extra) if config.extra else 0,
            "join": {"slope": split.slope, "offset": split.offset},
            "seen": seen_in(data.store.take(data.train.tolist())),
        },
        "protocol": "80/10/10 over rows with test_acc; epochs and clusters chosen on "
        f"{'validation_1' if config.choose_on == 'validation_1' else 'validation_1 and 2'}",
        "validation_2": results,
        "outcomes": outcomes,
        "config": config.to_dict(),
        "torch": torch.__version__,
        "command": "gennape pretrain --labels nasbench101.jsonl.gz --out RUN --config CONFIG "
        "--half (CONFIG holds this card's 'config')",
    }
