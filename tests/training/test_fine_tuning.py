import errno
import os
import re
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import mammo
from mammo.data import image_loader
from mammo.models.resnet50 import HEAD
from mammo.training import checkpoint
from mammo.training.checkpoint import Checkpoint
from mammo.training.feature_batches import FeatureBatches, TrainingData, class_weights

pytestmark = pytest.mark.training


STEPS = [mammo.train_head, partial(mammo.fine_tune, stages=1), mammo.fine_tune]
NAMES = ["head", "last stage", "all stages"]
RUNS = Path(os.environ["MAMMO_CACHE"]) / "runs"  # of the cache that all of these tests share


def interrupt(monkeypatch, after):
    """Saves each epoch and stops as Ctrl-C does at the end of the epoch `after`, counted from 1."""
    inner = Checkpoint.on_epoch_end

    def stopped(self, epoch, logs=None):
        inner(self, epoch, logs)
        if epoch + 1 == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "SAVE_EVERY_S", -1)
    monkeypatch.setattr(Checkpoint, "on_epoch_end", stopped)


def weights_by_layer(model):
    return {layer.name: [w.copy() for w in layer.get_weights()] for layer in model.layers}


def changed_layers(before, after):
    return {name for name in before if any((a != b).any() for a, b in zip(before[name], after[name], strict=True))}


def test_the_head_learns_and_the_backbone_stays(fresh_model, demo):
    before = weights_by_layer(fresh_model)
    history = mammo.train_head(fresh_model, demo, epochs=2, n_augmentations=1)
    assert changed_layers(before, weights_by_layer(fresh_model)) == set(HEAD)
    assert {"loss", "val_loss", "auc", "val_auc"} <= set(history)
    assert len(history["loss"]) == 2


@pytest.mark.parametrize("step", STEPS, ids=NAMES)
@pytest.mark.parametrize("interrupted", [False, True])
def test_no_training_leaves_its_variables_in_memory(fresh_model, demo, tmp_path, monkeypatch, step, interrupted):
    """TensorFlow keeps the handles of a traced step's variables, and the batches, until Python ends."""
    trained, fit = [], keras.Model.fit
    given, batches = [], TrainingData.batches
    monkeypatch.setattr(TrainingData, "batches", lambda *args: given.append(batches(*args)) or given[-1])
    monkeypatch.setattr(keras.Model, "fit", lambda net, *given, **more: [trained.append(net), fit(net, *given, **more)])
    if interrupted:
        interrupt(monkeypatch, after=1)
    with pytest.raises(KeyboardInterrupt) if interrupted else nullcontext():
        step(fresh_model, demo, epochs=1, n_augmentations=0, cache=tmp_path)
    (net,) = trained
    assert len(given) > 1
    assert {kept.features for kept in given} == {None}, "the frozen network is kept with them"
    values = [variable.value for variable in [*net.variables, *net.optimizer.variables]]
    assert len(values) > 10
    assert {tf.size(tf.raw_ops.ReadVariableOp(resource=v.handle, dtype=v.dtype)).numpy() for v in values} == {0}
    assert all(np.isfinite(weights).all() for weights in fresh_model.get_weights())


@pytest.mark.parametrize(("stages", "learned"), [(1, "5"), (5, "12345")])
def test_fine_tuning_changes_the_last_stages_and_no_batchnorm(fresh_model, tmp_path, monkeypatch, stages, learned):
    """... and like the head's training it never opens a test image: here they are gone."""
    table = mammo.generate_dataset(tmp_path / "d", patients=20, seed=4, image_size=(192, 144), processes=1)
    for path in table.path[table.split == "test"]:
        Path(path).unlink()
    mammo.train_head(fresh_model, table, epochs=1, n_augmentations=0)
    at_the_start, evaluate = [{"auc": -1.0}], keras.Model.evaluate  # so that it is kept
    monkeypatch.setattr(
        keras.Model,
        "evaluate",
        lambda *given, **more: at_the_start.pop() if at_the_start else evaluate(*given, **more),
    )
    before = weights_by_layer(fresh_model)
    assert not mammo.fine_tune(fresh_model, table, stages, epochs=1, n_augmentations=0)["restored"]
    changed = changed_layers(before, weights_by_layer(fresh_model))
    assert {name.split("_")[0] for name in changed - {*HEAD}} == {f"conv{stage}" for stage in learned}
    assert {"conv5_block1_1_conv", "conv5_block3_3_conv", *HEAD} <= changed
    assert not any(isinstance(fresh_model.get_layer(name), keras.layers.BatchNormalization) for name in changed)


def test_validation_images_are_not_changed_and_training_images_are(fresh_model, demo, tmp_path, monkeypatch):
    seen = []

    def spy(x, rng):
        seen.append(x)
        return x

    monkeypatch.setattr(image_loader, "augment", spy)
    mammo.train_head(fresh_model, demo, epochs=1, n_augmentations=2, cache=tmp_path)
    assert len(seen) == 2 * int((demo.split == "train").sum())


def test_what_is_frozen_runs_once_whatever_the_epochs_and_the_stage(fresh_model, demo, tmp_path, monkeypatch):
    prepared = []
    inner = image_loader.prepare
    monkeypatch.setattr(
        image_loader, "prepare", lambda path, *given, **more: prepared.append(path) or inner(path, *given, **more)
    )
    mammo.train_head(fresh_model, demo, epochs=3, n_augmentations=1, cache=tmp_path)
    mammo.fine_tune(fresh_model, demo, stages=1, epochs=2, n_augmentations=1, cache=tmp_path)
    assert sorted(prepared) == sorted(map(Path, demo.path[demo.split != "test"]))


@pytest.mark.parametrize("step", STEPS, ids=NAMES)
def test_interrupted_training_goes_on_to_the_same_end(fresh_model, demo, monkeypatch, capsys, step):
    start, some = fresh_model.get_weights(), demo.groupby(["split", "label"]).head(6)

    def run():
        fresh_model.set_weights(start)
        return step(fresh_model, some, epochs=4, n_augmentations=1, learning_rate=1e-4)

    whole, end = run(), fresh_model.get_weights()
    with monkeypatch.context() as patched:
        interrupt(patched, after=2)
        with pytest.raises(KeyboardInterrupt):
            run()
    capsys.readouterr()
    resumed = run()
    assert whole.keys() == resumed.keys()
    for name, values in whole.items():
        assert resumed[name] == pytest.approx(values, rel=1e-3), name
    assert "Resumed after epoch 2." in capsys.readouterr().out
    moved = max(np.abs(there - here).max() for there, here in zip(end, start, strict=True))
    for there, here in zip(end, fresh_model.get_weights(), strict=True):
        np.testing.assert_allclose(there, here, atol=max(moved / 20, 1e-12))
    assert not list(RUNS.iterdir()), "a finished training leaves no checkpoint"


def test_resumed_training_remembers_its_best_epoch_and_its_patience(fresh_model, demo, monkeypatch):
    """The best epoch lies before the interruption, and nothing is better after it."""
    start = fresh_model.get_weights()

    def run():
        fresh_model.set_weights(start)
        options = {"epochs": 60, "patience": 3, "n_augmentations": 0, "learning_rate": 0.02}
        return mammo.train_head(fresh_model, demo, **options)

    whole, end = run(), fresh_model.get_weights()
    best = int(np.argmin(whole["val_loss"])) + 1
    assert best < len(whole["loss"]) < 60, "stopped early"
    with monkeypatch.context() as patched:
        interrupt(patched, after=best + 1)
        with pytest.raises(KeyboardInterrupt):
            run()
    resumed = run()
    assert len(resumed["loss"]) == len(whole["loss"])
    for there, here in zip(end, fresh_model.get_weights(), strict=True):
        np.testing.assert_allclose(there, here, atol=1e-4)


def test_training_with_other_settings_starts_anew(fresh_model, demo, monkeypatch, capsys):
    """Another patience, rate, batch size or seed, or an image that has moved from training to validation."""
    start = fresh_model.get_weights()
    with monkeypatch.context() as patched:
        interrupt(patched, after=2)
        with pytest.raises(KeyboardInterrupt):
            mammo.train_head(fresh_model, demo, epochs=3, n_augmentations=0)
    train = demo[demo["split"] == "train"]
    last = train["patient_id"] == train["patient_id"].iloc[-1]
    moved = pd.concat([train[~last], train[last].assign(split="validation"), demo[demo["split"] == "validation"]])
    for manifest, options in (
        (demo, {"patience": 2}),
        (demo, {"learning_rate": 2e-3}),
        (demo, {"batch_size": 16}),
        (demo, {"seed": 1}),
        (moved, {}),
    ):
        fresh_model.set_weights(start)
        mammo.train_head(fresh_model, manifest, epochs=3, n_augmentations=0, **options)
    assert "Resumed" not in capsys.readouterr().out
    (file,) = RUNS.iterdir()
    file.unlink()


def test_asking_for_fewer_epochs_keeps_the_checkpoint_of_more(fresh_model, demo, monkeypatch, capsys):
    start = fresh_model.get_weights()
    with monkeypatch.context() as patched:
        interrupt(patched, after=2)
        with pytest.raises(KeyboardInterrupt):
            mammo.train_head(fresh_model, demo, epochs=3, n_augmentations=0)
    for epochs, resumed in ((1, False), (3, True)):
        fresh_model.set_weights(start)
        capsys.readouterr()
        history = mammo.train_head(fresh_model, demo, epochs=epochs, n_augmentations=0)
        assert ("Resumed after epoch 2." in capsys.readouterr().out) == resumed
        assert len(history["loss"]) == epochs


def test_a_damaged_checkpoint_is_left_aside(fresh_model, demo, monkeypatch, capsys):
    start = fresh_model.get_weights()
    with monkeypatch.context() as patched:
        interrupt(patched, after=2)
        with pytest.raises(KeyboardInterrupt):
            mammo.train_head(fresh_model, demo, epochs=3, n_augmentations=0)
    (file,) = RUNS.iterdir()
    whole = file.read_bytes()
    for damaged in (whole[:1000], whole[:-1000], whole[:5000] + bytes(500) + whole[5500:], b"", b"no archive"):
        file.write_bytes(damaged)
        fresh_model.set_weights(start)
        assert len(mammo.train_head(fresh_model, demo, epochs=3, n_augmentations=0)["loss"]) == 3
        assert "Resumed" not in capsys.readouterr().out
        assert not file.exists(), "the training has ended"


def test_a_loss_that_is_no_number_is_reported(fresh_model, demo, monkeypatch):
    before = weights_by_layer(fresh_model)
    with pytest.raises(mammo.MammoError, match=r"not a number in epoch 1 at a learning rate of 1e\+30"):
        mammo.train_head(fresh_model, demo, epochs=3, n_augmentations=0, learning_rate=1e30)
    assert not changed_layers(before, weights_by_layer(fresh_model))


@pytest.mark.parametrize("step", STEPS[:2], ids=NAMES[:2])
def test_training_images_are_shuffled_in_every_epoch_and_validation_images_never(fresh_model, demo, monkeypatch, step):
    seen, inner = {}, FeatureBatches.__getitem__

    def spy(self, index):
        batch = inner(self, index)
        seen.setdefault((len(self.items), self.epoch), {})[index] = batch[0]
        return batch

    monkeypatch.setattr(FeatureBatches, "__getitem__", spy)
    step(fresh_model, demo, epochs=2, n_augmentations=0, learning_rate=0.0)
    train, validation = (int((demo.split == split).sum()) for split in ("train", "validation"))
    assert seen.keys() == {(train, 0), (train, 1), (validation, 0)}
    first, second = (np.concatenate(list(seen[train, epoch].values())) for epoch in (0, 1))
    assert first.shape == second.shape
    assert (first != second).any()


def weighted_loss(model, demo, split):
    """The mean loss of a split's images, in which both classes of the training images count the same."""
    weights = class_weights((demo[demo.split == "train"].label == "malignant").to_numpy().astype(int))
    scored = mammo.predict_manifest(model, demo[demo.split == split])
    malignant = (scored.label == "malignant").to_numpy()
    p = np.clip(np.where(malignant, scored.probability, 1 - scored.probability), 1e-7, 1)
    return np.mean(-np.log(p) * weights[malignant.astype(int)])


@pytest.mark.parametrize("step", STEPS[:2], ids=NAMES[:2])
def test_the_loss_that_trains_and_the_loss_that_stops_are_weighted_alike(fresh_model, demo, step):
    """A fifth of the images is malignant. At a rate of 0 nothing is learned, so the losses are those of the start."""
    history = step(fresh_model, demo, epochs=1, n_augmentations=0, learning_rate=0.0, precision="float32")
    assert history["loss"] == [pytest.approx(weighted_loss(fresh_model, demo, "train"), rel=0.01)]
    assert history["val_loss"] == [pytest.approx(weighted_loss(fresh_model, demo, "validation"), rel=0.01)]


@pytest.mark.parametrize("patience", [1, 3])
def test_the_heads_training_stops_when_the_patience_is_used_up(fresh_model, demo, patience):
    """At a rate of 0 no epoch is better than the first."""
    options = {"epochs": 9, "patience": patience, "n_augmentations": 0, "learning_rate": 0.0}
    assert len(mammo.train_head(fresh_model, demo, **options)["loss"]) == 1 + patience


def test_fine_tuning_runs_all_epochs_and_keeps_the_last(fresh_model, demo, monkeypatch):
    """... though the validation loss rises, as long as the classes are told apart no worse."""
    trained, fit = [], keras.Model.fit

    def rising(net, *given, **more):
        inner = Checkpoint.on_epoch_end

        def worse(self, epoch, logs=None):
            logs |= {"val_loss": 1.0 + epoch, "val_auc": 1.0}
            inner(self, epoch, logs)

        with monkeypatch.context() as patched:
            patched.setattr(Checkpoint, "on_epoch_end", worse)
            fit(net, *given, **more)
        trained.append(net.get_layer("conv5_block3_3_conv").get_weights())

    monkeypatch.setattr(keras.Model, "fit", rising)
    tuned = mammo.fine_tune(fresh_model, demo, stages=1, epochs=4, n_augmentations=0)
    assert tuned["val_loss"] == [1, 2, 3, 4]
    assert not tuned["restored"]
    for kept, last in zip(fresh_model.get_layer("conv5_block3_3_conv").get_weights(), trained[0], strict=True):
        np.testing.assert_array_equal(kept, last)


@pytest.mark.parametrize(
    ("step", "name"),
    [(step, name) for step in STEPS[:2] for name in ("epochs", "batch_size")] + [(STEPS[0], "patience")],
)
def test_settings_that_would_train_nothing_are_refused(model, demo, step, name):
    for value in (0, -1):
        with pytest.raises(mammo.MammoError, match=f"{name} is a whole number of at least 1, not {value}"):
            step(model, demo, **{name: value})


@pytest.mark.parametrize("step", STEPS[:2])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", -1e-3),
        ("learning_rate", "1e-3"),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("epochs", 1.5),
        ("epochs", "1"),
        ("batch_size", 2.5),
        ("n_augmentations", 0.5),
        ("seed", -1),
        ("seed", 2**32),
    ],
)
def test_settings_of_no_sense_are_refused(model, demo, step, name, value):
    """A negative rate would train uphill, without a word."""
    with pytest.raises(mammo.MammoError, match=f"{name} is a .*not {value!r}"):
        step(model, demo, **{name: value})


@pytest.mark.parametrize("step", STEPS[:2])
def test_what_is_no_model_is_not_trained(demo, step):
    with pytest.raises(mammo.MammoError, match=r"not str\. A loaded classifier holds its own as `classifier\.model`"):
        step("demo", demo)


def test_it_is_said_what_it_computes_in(fresh_model, demo, monkeypatch, capsys):
    monkeypatch.setenv("MAMMO_PRECISION", "float32")
    mammo.train_head(fresh_model, demo, epochs=1, n_augmentations=0)
    assert "Computing in float32." in capsys.readouterr().out
    mammo.train_head(fresh_model, demo, epochs=1, n_augmentations=0, precision="bfloat16")
    assert "Computing in bfloat16." in capsys.readouterr().out
    with pytest.raises(mammo.MammoError, match="not 'int8'"):
        mammo.train_head(fresh_model, demo, epochs=1, precision="int8")


def test_it_is_said_whether_the_network_waits_for_batches(fresh_model, demo, monkeypatch, capsys):
    mammo.train_head(fresh_model, demo, epochs=2, n_augmentations=0)
    assert re.search(r"took \d+% of the training time: the network did not wait", capsys.readouterr().out)
    inner = FeatureBatches.__getitem__

    def slow(self, index):
        self.seconds += 1000
        return inner(self, index)

    monkeypatch.setattr(FeatureBatches, "__getitem__", slow)
    mammo.train_head(fresh_model, demo, epochs=2, n_augmentations=0)
    assert "the network waited for them" in capsys.readouterr().out


@pytest.mark.parametrize(("precision", "stages"), [("bfloat16", 1), ("float16", 1)])
def test_half_the_digits_learn_the_same(fresh_model, demo, precision, stages):
    start = fresh_model.get_weights()

    def run(precision):
        fresh_model.set_weights(start)
        options = {"epochs": 2, "n_augmentations": 0, "learning_rate": 1e-5, "precision": precision}
        return mammo.fine_tune(fresh_model, demo, stages, **options)["loss"]

    assert run(precision) == pytest.approx(run("float32"), rel=0.05)


def test_fine_tuning_that_does_not_help_is_undone(fresh_model, demo, capsys):
    mammo.train_head(
        fresh_model, demo, epochs=5, n_augmentations=0, learning_rate=3e-5
    )  # else one class for all is better
    before = weights_by_layer(fresh_model)
    assert mammo.fine_tune(fresh_model, demo, stages=1, epochs=1, n_augmentations=0, learning_rate=0.1)["restored"]
    assert not changed_layers(before, weights_by_layer(fresh_model))
    assert "left as it was" in capsys.readouterr().out


def test_fine_tuning_whose_loss_becomes_no_number_is_undone(fresh_model, demo, capsys, monkeypatch):
    before, inner = weights_by_layer(fresh_model), Checkpoint.on_epoch_end

    def broken(self, epoch, logs=None):
        inner(self, epoch, logs | {"val_auc": 1.0, "loss": np.nan if epoch == 1 else 0.5})

    monkeypatch.setattr(Checkpoint, "on_epoch_end", broken)
    assert mammo.fine_tune(fresh_model, demo, stages=1, epochs=2, n_augmentations=0)["restored"]
    assert not changed_layers(before, weights_by_layer(fresh_model))
    assert "not a number in epoch 2" in (said := capsys.readouterr().out)
    assert "the model is left as it was before" in said


@pytest.mark.parametrize("stages", [0, 6])
def test_stages_that_the_network_does_not_have_are_refused(model, demo, stages):
    with pytest.raises(mammo.MammoError, match=f"stages is .*{stages}"):
        mammo.fine_tune(model, demo, stages)


def test_the_learning_rate_rises_and_falls(fresh_model, demo, monkeypatch):
    """Ten epochs of one batch: the first warms up."""
    rates = []

    class Spy(keras.callbacks.LambdaCallback):
        def __init__(self, **_):
            super().__init__(on_epoch_end=lambda *_: rates.append(float(self.model.optimizer.learning_rate)))

    monkeypatch.setattr(keras.callbacks, "TerminateOnNaN", Spy)
    options = {"n_augmentations": 0, "learning_rate": 1e-6, "batch_size": 64}
    mammo.fine_tune(fresh_model, demo, stages=1, epochs=10, **options)
    assert len(rates) == 10
    assert rates[0] == max(rates) == pytest.approx(1e-6)
    assert sorted(rates, reverse=True) == rates
    assert rates[-1] < 1e-8


def test_it_learns_what_can_be_learned(fresh_model, demo):
    """Labels that follow the view, CC or MLO: for those a frozen random backbone is enough."""
    views = demo.assign(label=demo["view"].map({"CC": "benign", "MLO": "malignant"}), patient_id=demo.index.astype(str))
    history = mammo.train_head(
        fresh_model, mammo.split_by_patient(views, seed=0), epochs=40, n_augmentations=0, learning_rate=3e-5
    )
    assert max(history["val_auc"]) > 0.75


def test_the_seed_decides(fresh_model, demo):
    start = fresh_model.get_weights()

    def run(seed):
        fresh_model.set_weights(start)
        return mammo.train_head(fresh_model, demo, epochs=1, n_augmentations=1, seed=seed)["loss"]

    assert run(1) == pytest.approx(run(1), rel=1e-4)
    assert run(1) != pytest.approx(run(2), rel=1e-4)


def test_the_best_epoch_is_kept(fresh_model, demo):
    options = {"patience": 2, "n_augmentations": 0, "learning_rate": 1e-4, "precision": "float32"}
    history = mammo.train_head(fresh_model, demo, epochs=12, **options)
    assert weighted_loss(fresh_model, demo, "validation") == pytest.approx(min(history["val_loss"]), rel=0.01)


def test_a_manifest_without_splits_is_refused(model, demo):
    with pytest.raises(mammo.MammoError, match="Split it first"):
        mammo.train_head(model, demo.drop(columns="split"))


def test_training_goes_on_where_its_checkpoint_cannot_be_written(fresh_model, demo, monkeypatch, capsys):
    def full(path, arrays):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "SAVE_EVERY_S", -1)
    monkeypatch.setattr(checkpoint, "write_arrays", full)
    assert len(mammo.train_head(fresh_model, demo, epochs=3, seed=21)["loss"]) == 3
    assert capsys.readouterr().out.count("since its last checkpoint are lost: ") == 1


def test_a_negative_number_of_augmentations_is_refused(model, demo):
    with pytest.raises(mammo.MammoError, match=r"n_augmentations is .*-1"):
        mammo.train_head(model, demo, n_augmentations=-1)
