import ast
import hashlib
import json
import random
import shutil
import struct
from pathlib import Path

import pytest
import torch
from gennape_plugin.core import weights as module
from gennape_plugin.core.errors import WeightsError
from gennape_plugin.core.weights import (
    CARD_FILE,
    WEIGHTS_FILE,
    fingerprint,
    load_model,
    read_card,
    save_model,
    vocabulary_hash,
)
from mutations import TOKENS, bounded, mutated_bytes, mutated_json
from safetensors.torch import load, save
from small_models import CARD, UnchangedRng, save_small_model, small_model, store_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_small_model(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def folder(saved, tmp_path):
    """A copy to damage."""
    return Path(shutil.copytree(saved, tmp_path / "weights"))


def change_card(folder, change):
    card = json.loads((folder / CARD_FILE).read_text())
    change(card)
    (folder / CARD_FILE).write_text(json.dumps(card))


def write_weights(folder, data):
    """Other weights under a card that vouches for them."""
    (folder / WEIGHTS_FILE).write_bytes(data)
    change_card(folder, lambda card: card.update(sha256=hashlib.sha256(data).hexdigest()))


def change_tensors(folder, change):
    tensors = load((folder / WEIGHTS_FILE).read_bytes())
    change(tensors)
    write_weights(folder, save(tensors))


class TestRoundTrip:
    def test_a_failed_save_leaves_the_old_weights(self, folder, monkeypatch):
        before = read_card(folder)

        def fail(card):
            raise OSError("no space left")

        monkeypatch.setattr(module, "_json", fail)
        with pytest.raises(OSError, match="no space"):
            save_model(small_model(seed=1), folder, CARD)
        assert load_model(folder)[1] == before
        assert {file.name for file in folder.iterdir()} == {CARD_FILE, WEIGHTS_FILE}

    def test_fingerprints_tell_models_apart(self, saved):
        model, _ = load_model(saved)
        assert fingerprint(model) == fingerprint(load_model(saved)[0])
        found = fingerprint(model)
        model.ranker.size_reference[0] += 1
        assert fingerprint(model) != found

    def test_equal_outputs(self, saved):
        with UnchangedRng():
            model, card = load_model(saved)
        assert not model.training
        assert {name: card[name] for name in CARD} == CARD
        assert card["vocabulary"] == vocabulary_hash()
        store = store_of("nasbench201", 4)
        expected, found = small_model().outputs(store), model.outputs(store)
        assert expected.keys() == found.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)

    def test_two_files_and_no_pickle(self, saved):
        assert sorted(path.name for path in saved.iterdir()) == [CARD_FILE, WEIGHTS_FILE]
        assert read_card(saved) == json.loads((saved / CARD_FILE).read_text())

    def test_saving_again_gives_the_same_bytes(self, saved, tmp_path):
        model, card = load_model(saved)
        save_model(model, tmp_path, CARD)
        assert (tmp_path / WEIGHTS_FILE).read_bytes() == (saved / WEIGHTS_FILE).read_bytes()
        assert read_card(tmp_path) == card

    def test_half_precision_is_close(self, tmp_path, saved, monkeypatch):
        monkeypatch.setattr(module, "_HALVED", 1)
        save_small_model(tmp_path, half=True)
        assert (tmp_path / WEIGHTS_FILE).stat().st_size < 0.65 * (
            saved / WEIGHTS_FILE
        ).stat().st_size
        model, _ = load_model(tmp_path)
        assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
        store = store_of("nasbench101", 20)
        expected, found = small_model().outputs(store), model.outputs(store)
        for name in ("cl", "cl+fcm+t", "kgnn"):
            assert (100 * (found[name] - expected[name])).abs().max() < 0.05

    def test_only_large_tensors_are_halved(self, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "_HALVED", 1000)
        save_small_model(tmp_path, half=True)
        tensors = load((tmp_path / WEIGHTS_FILE).read_bytes())
        learned = {name for name, _ in small_model().named_parameters()}
        large = {name for name, tensor in tensors.items() if tensor.numel() >= 1000}
        assert {tensors[name].dtype for name in large & learned} == {torch.float16}
        # Buffers are row numbers, thresholds and centroids: exact, however large.
        assert {t.dtype for n, t in tensors.items() if n not in large & learned} == {torch.float32}

    @pytest.mark.parametrize(("value", "half"), [(float("nan"), False), (1e5, True)])
    def test_what_could_not_be_loaded_is_not_saved(self, tmp_path, monkeypatch, value, half):
        monkeypatch.setattr(module, "_HALVED", 1)
        model = small_model()
        with torch.no_grad():
            model.members["cl"].heads.weights[0][0, 0, 0] = value
        with pytest.raises(WeightsError, match="cannot be loaded again"):
            save_model(model, tmp_path / "new", CARD, half=half)
        assert not (tmp_path / "new" / CARD_FILE).exists()


def refused(folder, match):
    with pytest.raises(WeightsError, match=match), UnchangedRng():
        load_model(folder)


class TestDamagedWeights:
    @pytest.mark.parametrize("keep", [0, 4, 100, 2000, -1])
    def test_truncated(self, folder, keep):
        path = folder / WEIGHTS_FILE
        path.write_bytes(path.read_bytes()[:keep])
        refused(folder, "SHA-256")
        write_weights(folder, path.read_bytes())
        refused(folder, "not a safetensors file")

    def test_flipped_bits(self, folder):
        path, rng = folder / WEIGHTS_FILE, random.Random(0)
        whole = path.read_bytes()
        for _ in range(20):
            data = bytearray(whole)
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            path.write_bytes(data)
            refused(folder, "SHA-256")

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    def test_not_finite(self, folder, value):
        def change(tensors):
            tensors["members.cl.heads.weights.0"][0, 3, 1] = value

        change_tensors(folder, change)
        refused(folder, "members.cl.heads.weights.0 holds NaN or infinity")

    def test_missing_tensor(self, folder):
        change_tensors(folder, lambda tensors: tensors.pop("space.mean"))
        refused(folder, "missing or unknown: space.mean")

    def test_unknown_tensor(self, folder):
        change_tensors(folder, lambda tensors: tensors.update(extra=torch.zeros(2)))
        refused(folder, "missing or unknown: extra")

    def test_wrong_shape(self, folder):
        change_tensors(folder, lambda tensors: tensors.update({"space.mean": torch.zeros(64)}))
        refused(folder, r"space.mean has shape \(64,\).* needs \(65,\)")

    @pytest.mark.parametrize(
        "dtype", [torch.int32, torch.bool, torch.float64, torch.bfloat16, torch.uint8]
    )
    def test_wrong_type(self, folder, dtype):
        change_tensors(folder, lambda t: t.update({"space.mean": t["space.mean"].to(dtype)}))
        refused(folder, "16 or 32 bit floats")

    @pytest.mark.parametrize("name", ["space.std", "space.radius", "members.kgnn.reference"])
    @pytest.mark.parametrize("value", [0.0, -1.0])
    def test_deviations_are_divided_by(self, folder, name, value):
        def change(tensors):
            tensors[name].view(-1)[-1] = value

        change_tensors(folder, change)
        refused(folder, "not above 0")

    def test_another_vocabulary(self, folder):
        change_card(folder, lambda card: card.update(vocabulary="0" * 64))
        refused(folder, "another op vocabulary")

    @pytest.mark.parametrize("name", [WEIGHTS_FILE, CARD_FILE])
    def test_missing_file(self, folder, name):
        (folder / name).unlink()
        refused(folder, f"{name} does not exist: give a folder with")
        (folder / name).mkdir()
        refused(folder, f"{name} does not exist")

    def test_missing_folder(self, tmp_path):
        refused(tmp_path / "nowhere", "does not exist")
        (tmp_path / "file").write_text("")
        refused(tmp_path / "file", "does not exist")

    def test_too_large(self, folder, monkeypatch):
        monkeypatch.setattr(module, "MAX_WEIGHTS", 100)
        refused(folder, "at most 100 are read")
        monkeypatch.setattr(module, "MAX_CARD", 10)
        refused(folder, "at most 10 are read")

    def test_a_pickle(self, folder):
        torch.save({"weights": torch.zeros(3)}, folder / WEIGHTS_FILE)
        write_weights(folder, (folder / WEIGHTS_FILE).read_bytes())
        refused(folder, "not a safetensors file")

    @pytest.mark.slow
    def test_mutations(self, folder):
        """Other bytes than those saved: half of them in the header, under a card that fits."""
        whole, rng = (folder / WEIGHTS_FILE).read_bytes(), random.Random(1)
        header = 8 + struct.unpack("<Q", whole[:8])[0]
        loaded = 0
        for attempt in range(520):
            end = header if attempt % 2 else None
            write_weights(folder, mutated_bytes(whole, rng, end=end, tokens=TOKENS))
            with bounded():
                try:
                    model, _ = load_model(folder)
                except WeightsError:
                    continue
            loaded += 1
            assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
        assert 0 < loaded < 400


class TestDamagedCard:
    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"{",
            b"\xff\xfe\x00",
            b"\x00" * 40,
            b"[" * 200_000,
            b'{"a":' * 100_000,
            b'{"version": ' + b"9" * 10_000 + b"}",
        ],
        ids=["empty", "open", "utf", "zeros", "lists", "objects", "digits"],
    )
    def test_not_json(self, folder, text):
        (folder / CARD_FILE).write_bytes(text)
        refused(folder, "is not JSON")

    @pytest.mark.parametrize("text", ["[]", "3", "null", "{}", '"gennape-weights"'])
    def test_not_a_card(self, folder, text):
        (folder / CARD_FILE).write_text(text)
        refused(folder, "not a card of format")

    @pytest.mark.parametrize("changes", [{"version": 2}, {"version": "1"}, {"format": "other"}])
    def test_another_format(self, folder, changes):
        change_card(folder, lambda card: card.update(changes))
        refused(folder, "use weights made by this version")

    @pytest.mark.parametrize("name", ["sha256", "vocabulary", "model"])
    @pytest.mark.parametrize("value", [None, 7, [], "text"])
    def test_wrong_entries(self, folder, name, value):
        change_card(folder, lambda card: card.update({name: value}))
        refused(folder, str(folder))

    @pytest.mark.parametrize(
        "number", [10**6, -(10**6), 1e300, float("inf"), float("nan"), 10**4000]
    )
    def test_absurd_numbers(self, folder, number):
        change_card(folder, lambda card: card["model"]["encoder"].update(hidden=number))
        refused(folder, "holds the number")

    def test_absurd_products(self, folder):
        """Each number is allowed; together they would take petabytes."""

        def change(card):
            card["model"]["members"]["cl+fcm+t"].update(hidden=16384, layers=64)
            card["model"]["members"]["cl+fcm+t"]["partition"]["clusters"] = 16384

        change_card(folder, change)
        refused(folder, "missing or unknown|has shape")

    def test_thousands_of_layers(self, folder):
        change_card(folder, lambda card: card["model"]["encoder"].update(layers=10_000))
        refused(folder, "10000 layers")

    def test_deep_descriptions(self, folder):
        def change(card):
            nest = []
            for _ in range(50):
                nest = [nest]
            card["model"]["encoder"]["width"] = nest

        change_card(folder, change)
        refused(folder, "nested too deeply")

    def test_many_entries(self, folder):
        change_card(folder, lambda card: card["model"].update({str(i): i for i in range(1000)}))
        refused(folder, "too many entries")

    @pytest.mark.parametrize(
        "changes",
        [
            {"encoder": {"heads": 0}},
            {"encoder": {"width": -64}},
            {"encoder": {"width": 48}},
            {"members": {"a.b": {"kind": "flops"}}},
            {"members": {}},
            {"ensemble": ["flops"]},
            {"ensemble": [["cl"]]},
        ],
    )
    def test_impossible_models(self, folder, changes):
        change_card(folder, lambda card: card["model"].update(changes))
        refused(folder, "cannot be loaded")

    def loaded(self, folder):
        """Whether a card is taken; if so, the model must work."""
        with bounded():
            try:
                model, _ = load_model(folder)
            except WeightsError:
                return False
        outputs = model.outputs(store_of("nasbench101", 1))
        assert all(tensor.isfinite().all() for tensor in outputs.values())
        return True

    def test_mutations(self, folder):
        whole, rng = (folder / CARD_FILE).read_bytes(), random.Random(2)
        loaded = 0
        for _ in range(500):
            (folder / CARD_FILE).write_bytes(mutated_bytes(whole, rng, tokens=TOKENS))
            loaded += self.loaded(folder)
        assert 0 < loaded < 250

    @pytest.mark.slow
    def test_mutated_descriptions(self, folder):
        """Valid JSON all along: what the model consists of is damaged, not its file."""
        card, rng = json.loads((folder / CARD_FILE).read_text()), random.Random(3)
        loaded = 0
        for _ in range(250):
            description = mutated_json(card["model"], rng, nest=False)
            (folder / CARD_FILE).write_text(json.dumps({**card, "model": description}))
            loaded += self.loaded(folder)
        assert loaded < 125


def test_no_pickle_anywhere():
    """Nothing of ours unpickles: torch.load is called for tensors and plain values only."""
    loads = 0
    for folder in ("core", "adapters", "gennape_plugin"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [
                    alias.name for alias in getattr(node, "names", []) if hasattr(alias, "name")
                ]
                modules = [getattr(node, "module", None) or "", *names]
                if isinstance(node, ast.Import | ast.ImportFrom):
                    assert not {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve"} & set(
                        modules
                    ), path
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("torch.load"):
                    options = {k.arg: ast.unparse(k.value) for k in node.keywords}
                    assert options.get("weights_only") == "True", path
                    loads += 1
                if isinstance(node, ast.Call):
                    allow = [k for k in node.keywords if k.arg == "allow_pickle"]
                    assert all(ast.unparse(k.value) == "False" for k in allow), path
    assert loads >= 1
