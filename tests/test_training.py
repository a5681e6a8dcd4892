from pathlib import Path

import keras
import numpy as np
import pytest

import mammo
from mammo.model import HEAD
from mammo.training import AugmentedBatches, augmentation, class_weights, one_hot, unfreeze_last_stage


def weights_by_layer(model):
    return {layer.name: [w.copy() for w in layer.get_weights()] for layer in model.layers}


def changed_layers(before, after):
    return {name for name in before if any((a != b).any() for a, b in zip(before[name], after[name], strict=True))}


def test_the_head_learns_and_the_backbone_stays(fresh_model, demo):
    before = weights_by_layer(fresh_model)
    history = mammo.train_head(fresh_model, demo, epochs=2, copies=1)
    assert changed_layers(before, weights_by_layer(fresh_model)) == set(HEAD)
    assert {"loss", "val_loss", "auc", "val_auc"} <= set(history)
    assert len(history["loss"]) == 2


def test_fine_tuning_changes_the_last_stage_and_no_batchnorm(fresh_model, tmp_path, monkeypatch):
    """... and like the head's training it never opens a test image: here they are gone."""
    table = mammo.generate_dataset(tmp_path / "d", patients=20, seed=4, image_size=(192, 144), processes=1)
    for path in table.path[table.split == "test"]:
        Path(path).unlink()
    mammo.train_head(fresh_model, table, epochs=1, copies=0)
    monkeypatch.setattr(fresh_model, "set_weights", lambda weights: None)  # what was learned is not taken back
    before = weights_by_layer(fresh_model)
    mammo.fine_tune(fresh_model, table, epochs=1)
    changed = changed_layers(before, weights_by_layer(fresh_model))
    assert all(name.startswith("conv5_") or name in HEAD for name in changed)
    assert {"conv5_block1_1_conv", "conv5_block3_3_conv", *HEAD} <= changed
    assert not any(isinstance(fresh_model.get_layer(name), keras.layers.BatchNormalization) for name in changed)


def test_unfrozen_is_the_last_stage(fresh_model):
    unfreeze_last_stage(fresh_model)
    trainable = {layer.name for layer in fresh_model.layers if layer.trainable and layer.weights}
    assert trainable == {n for n in trainable if n.startswith("conv5_") or n in HEAD}
    assert len(trainable) == 10 + 2  # ten convolutions in three blocks, and the head


def test_validation_images_are_not_augmented_and_training_images_are(fresh_model, demo, monkeypatch):
    seen = []
    inner = augmentation

    def spy(seed=0):
        layers = inner(seed)

        def recorded(images, training=None):
            seen.append(len(images))
            return layers(images, training=training)

        return recorded

    monkeypatch.setattr("mammo.training.augmentation", spy)
    mammo.train_head(fresh_model, demo, epochs=1, copies=2)
    assert sum(seen) == 2 * int((demo.split == "train").sum())


def test_fine_tuning_that_does_not_help_is_undone(fresh_model, demo, capsys):
    before = weights_by_layer(fresh_model)
    mammo.fine_tune(fresh_model, demo, epochs=1, learning_rate=100.0)
    assert not changed_layers(before, weights_by_layer(fresh_model))
    assert "left as it was" in capsys.readouterr().out


def test_it_learns_what_can_be_learned(fresh_model, demo):
    """Labels that follow the view, CC or MLO: for those a frozen random backbone is enough."""
    views = demo.assign(label=demo["view"].map({"CC": "benign", "MLO": "malignant"}), patient_id=demo.index.astype(str))
    history = mammo.train_head(
        fresh_model, mammo.split_by_patient(views, seed=0), epochs=40, copies=0, learning_rate=3e-5
    )
    assert max(history["val_auc"]) > 0.9


def test_the_seed_decides(fresh_model, demo):
    start = fresh_model.get_weights()

    def run(seed):
        fresh_model.set_weights(start)
        return mammo.train_head(fresh_model, demo, epochs=1, copies=1, seed=seed)["loss"]

    assert run(1) == pytest.approx(run(1), rel=1e-4)
    assert run(1) != pytest.approx(run(2), rel=1e-4)


def test_the_best_epoch_is_kept(fresh_model, demo):
    history = mammo.train_head(fresh_model, demo, epochs=12, copies=0, patience=2, learning_rate=1e-4)
    scored = mammo.predict_manifest(fresh_model, demo[demo.split == "validation"])
    truth = (scored.label == "malignant").to_numpy()
    p = np.clip(np.where(truth, scored.probability, 1 - scored.probability), 1e-7, 1)
    assert -np.log(p).mean() == pytest.approx(min(history["val_loss"]), rel=0.01)


def test_augmentation_keeps_range_and_chest_wall():
    images = np.zeros((8, 64, 64, 1), np.float32)
    images[:, :, :20] = 1
    changed = np.asarray(augmentation(0)(images, training=True))
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not np.allclose(changed, images)
    assert changed[:, :, :20].mean() > 0.6
    assert changed[:, :, 44:].mean() < 0.1


def test_every_image_comes_once_an_epoch_and_in_another_order():
    images = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1) / 10 * np.ones((1, 8, 8, 1), np.float32)
    batches = AugmentedBatches(images, one_hot(np.arange(10) % 2), 4, seed=0)
    first = batches.order.copy()
    assert len(batches) == 3
    assert sum(len(batches[i][1]) for i in range(3)) == 10
    batches.on_epoch_end()
    assert sorted(batches.order) == sorted(first)
    assert (batches.order != first).any()


def test_class_weights_balance():
    classes = np.array([0] * 90 + [1] * 10)
    weights = class_weights(classes)
    assert weights[0] * 90 == pytest.approx(weights[1] * 10)
    assert class_weights(np.array([0, 1])) == {0: 1, 1: 1}


def test_a_manifest_without_splits_is_refused(model, demo):
    with pytest.raises(mammo.MammoError, match="Split it first"):
        mammo.train_head(model, demo.drop(columns="split"))
