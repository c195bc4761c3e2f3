import pytest
import torch
from gennape_plugin.core.encoder import CLEncoder, EncoderConfig
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.pretraining import ContrastiveConfig, embed, pretrain_encoder
from gennape_plugin.core.spectra import spectra
from gennape_plugin.core.training import seeded
from small_models import UnchangedRng, store_of

COUNT = 72
ENCODER = EncoderConfig(width=32, layers=2, heads=2, hidden=16)
CONFIG = ContrastiveConfig(epochs=3, batch_size=32, eigenvalues=9, projection=8)


def run(config=CONFIG, count=COUNT, **options):
    store = store_of("nasbench101", count)
    signatures = spectra(store, config.eigenvalues)
    return pretrain_encoder(store, signatures, encoder=ENCODER, config=config, **options)


def assert_equal(first, second):
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


class InterruptedRunError(Exception):
    pass


def raising_after(epoch):
    def progress(stage, done, epochs, losses):
        if done == epoch:
            raise InterruptedRunError

    return progress


@pytest.fixture(scope="module")
def whole():
    """An uninterrupted run."""
    return run()


def test_losses_fall():
    seen = []
    config = ContrastiveConfig(epochs=6, batch_size=50, eigenvalues=9, learning_rate=3e-3)
    run(config, count=200, progress=lambda *report: seen.append(report))
    assert [report[:3] for report in seen] == [("contrastive", e, 6) for e in range(1, 7)]
    losses = [report[3] for report in seen]
    assert losses[-1]["contrastive"] < losses[0]["contrastive"] - 0.1
    assert losses[-1]["flops"] < losses[0]["flops"] / 2


def test_a_seed_fixes_everything(whole):
    with UnchangedRng():
        again = run()
    assert_equal(again, whole)
    other = run(seed=1)
    assert not torch.equal(
        other.graph_layers.layers[0].lin_rel.weight, whole.graph_layers.layers[0].lin_rel.weight
    )


def test_every_epoch_has_an_order_of_its_own():
    store = store_of("nasbench101", COUNT).take(range(COUNT))
    cut, seen = store.batch, []

    def batch(rows):
        seen.append(tuple(rows))
        return cut(rows)

    store.batch = batch
    signatures = spectra(store_of("nasbench101", COUNT), CONFIG.eigenvalues)
    pretrain_encoder(store, signatures, encoder=ENCODER, config=CONFIG)
    assert len(seen) == len(set(seen)) == 6
    assert [len(rows) for rows in seen] == [32] * 6
    assert all(not set(a) & set(b) for a, b in zip(seen[::2], seen[1::2], strict=True))


def test_the_encoder_is_ready_for_use(whole):
    assert not whole.training
    assert {p.device.type for p in whole.parameters()} == {"cpu"}


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, whole, epoch):
    checkpoint = tmp_path / "encoder.checkpoint"
    with pytest.raises(InterruptedRunError):
        run(checkpoint=checkpoint, progress=raising_after(epoch))
    seen = []
    torch.manual_seed(12345)  # the surroundings of the resumed run differ
    resumed = run(checkpoint=checkpoint, progress=lambda *report: seen.append(report[1]))
    assert seen == list(range(epoch + 1, 4))
    assert_equal(resumed, whole)


def test_a_run_killed_within_an_epoch_repeats_it(tmp_path, whole):
    checkpoint = tmp_path / "encoder.checkpoint"
    store = store_of("nasbench101", COUNT).take(range(COUNT))
    cut, calls = store.batch, []

    def batch(rows):
        calls.append(1)
        if len(calls) == 4:  # the second batch of the second epoch
            raise InterruptedRunError
        return cut(rows)

    store.batch = batch
    signatures = spectra(store_of("nasbench101", COUNT), CONFIG.eigenvalues)
    options = {"encoder": ENCODER, "config": CONFIG, "checkpoint": checkpoint}
    with pytest.raises(InterruptedRunError):
        pretrain_encoder(store, signatures, **options)
    assert_equal(pretrain_encoder(store, signatures, **options), whole)


def test_a_finished_run_is_not_repeated(tmp_path, whole):
    checkpoint = tmp_path / "encoder.checkpoint"
    run(checkpoint=checkpoint)
    again = run(checkpoint=checkpoint, progress=raising_after(1))
    assert_equal(again, whole)


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"config": ContrastiveConfig(**{**CONFIG.to_dict(), "epochs": 4})},
        {"count": 71},
    ],
)
def test_other_settings_are_refused(tmp_path, changed):
    checkpoint = tmp_path / "encoder.checkpoint"
    with pytest.raises(InterruptedRunError):
        run(checkpoint=checkpoint, progress=raising_after(1))
    with pytest.raises(InvalidInputError, match="other settings"):
        run(checkpoint=checkpoint, **changed)


def test_one_signature_for_each_graph():
    store = store_of("nasbench101", 4)
    with pytest.raises(InvalidInputError, match="4 graphs and 3 signatures"):
        pretrain_encoder(store, torch.zeros(3, 9))


class TestEmbed:
    @pytest.mark.parametrize("batch_size", [1, 5, 256])
    def test_batches_do_not_matter(self, batch_size):
        store = store_of("nasbench101", 11)
        with seeded(0):
            encoder = CLEncoder(ENCODER).eval()
        expected = encoder(store.batch(range(11))).detach()
        found = embed(encoder, store, batch_size=batch_size)
        assert not found.requires_grad
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("training", [True, False])
    def test_the_mode_is_kept_and_dropout_is_off(self, training):
        with seeded(0):
            encoder = CLEncoder(ENCODER).train(training)
        store = store_of("nasbench101", 3)
        with UnchangedRng():
            first, second = embed(encoder, store), embed(encoder, store)
        assert torch.equal(first, second)
        assert encoder.training is training
