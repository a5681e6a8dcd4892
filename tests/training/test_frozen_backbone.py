import keras
import numpy as np
import pytest

import mammo
from mammo.core.backend import tf
from mammo.data.image_loader import load_images
from mammo.models.resnet50 import FEATURES, HEAD
from mammo.training.fine_tuning import unfreeze
from mammo.training.frozen_backbone import (
    STAGES,
    copy_of_head,
    copy_of_last_stages,
    copy_weights,
    frozen_features,
    frozen_stages,
)

pytestmark = pytest.mark.training


@pytest.fixture(scope="module", params=[(80, 112), (64, 160)])  # an odd and an even number of cells before the cut
def trained(request):
    """Weights as after a training: BatchNorm's are not those that it starts with."""
    return mammo.build_model("demo", image_size=request.param, quiet=True)


@pytest.mark.parametrize(("precision", "apart"), [("float32", 1e-5), ("bfloat16", 0.03)])
def test_the_parts_compute_what_the_whole_computes(trained, demo, precision, apart):
    x = load_images(demo.head(4), trained.input_shape[1:3])
    expected = keras.Model(trained.input, trained.get_layer(FEATURES).output).predict_on_batch(x)
    maps = frozen_stages(trained, precision).predict_on_batch(x)
    features = frozen_features(trained, precision).predict_on_batch(maps)
    assert maps.dtype == features.dtype == np.float32
    assert np.abs(features - expected).max() < apart * np.abs(expected).max()
    probabilities = trained.predict_on_batch(x)
    assert np.abs(copy_of_head(trained).predict_on_batch(features) - probabilities).max() < apart


@pytest.mark.parametrize(
    ("stages", "precision", "apart"),
    [*((stages, "float32", 1e-5) for stages in range(1, STAGES + 1)), (2, "bfloat16", 0.03), (2, "float16", 0.01)],
)
def test_the_network_cut_anywhere_gives_the_same_probabilities(trained, demo, stages, precision, apart):
    x = load_images(demo.head(4), trained.input_shape[1:3])
    maps = frozen_stages(trained, precision, stages).predict_on_batch(x)
    probabilities = copy_of_last_stages(trained, precision, stages).predict_on_batch(maps)
    assert maps.dtype == probabilities.dtype == np.float32
    assert np.abs(probabilities - trained.predict_on_batch(x)).max() < apart


@pytest.mark.parametrize(("stages", "cells"), [(1, 32), (2, 16), (3, 8), (4, 4), (5, 1)])
def test_of_the_map_before_a_stage_of_stride_two_a_quarter_is_kept(trained, stages, cells):
    rows, columns, _ = frozen_stages(trained, "float32", stages).output.shape[1:]
    height, width = trained.input_shape[1:3]
    assert (rows, columns) == (-(-height // cells), -(-width // cells))


# Convolutions of conv5, conv4, conv3, conv2 and conv1: He et al. 2016, table 1, and one in each first block's shortcut.
@pytest.mark.parametrize(("stages", "convolutions"), [(1, 10), (2, 29), (3, 42), (4, 52), (5, 53)])
def test_the_last_stages_and_the_head_learn_and_batchnorm_does_not(trained, stages, convolutions):
    part = unfreeze(copy_of_last_stages(trained, "bfloat16", stages))
    learning = {layer.name for layer in part.layers if layer.trainable_weights}
    assert {name.split("_")[0] for name in learning - {*HEAD}} == {f"conv{n}" for n in range(6 - stages, 6)}
    assert len(learning) == convolutions + 2
    assert not any("bn" in name for name in learning)
    assert {w.dtype for w in part.weights} == {"float32"}
    assert part.output.dtype == "float32"


@pytest.mark.parametrize("stages", [1, 2, 5])
@pytest.mark.parametrize(("precision", "apart"), [("float32", 1e-3), ("bfloat16", 0.2)])
def test_the_last_stages_learn_what_the_whole_would(trained, demo, stages, precision, apart):
    before = load_images(demo.head(4), trained.input_shape[1:3])
    maps = frozen_stages(trained, "float32", stages).predict_on_batch(before)
    whole, part = trained, unfreeze(copy_of_last_stages(trained, precision, stages))

    def gradients(network, x):
        learning = [network.get_layer(layer.name) for layer in part.layers if layer.trainable_weights]
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(tf.math.log(network(x, training=False)[:, 1]))
        found = tape.gradient(loss, [weight.value for layer in learning for weight in layer.weights])
        return [gradient.numpy().ravel() for gradient in found]

    here, there = (np.concatenate(parts) for parts in (gradients(part, maps), gradients(whole, before)))
    assert np.linalg.norm(here - there) <= apart * np.linalg.norm(there)


def test_what_was_learned_is_taken_over_and_nothing_else(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    part = copy_of_last_stages(copy, "float32")
    part.set_weights([w + 1 for w in part.get_weights()])
    copy_weights(part, copy)
    changed = {
        a.name
        for a, b in zip(copy.layers, model.layers, strict=True)
        if any((x != y).any() for x, y in zip(a.get_weights(), b.get_weights(), strict=True))
    }
    assert changed == {layer.name for layer in part.layers if layer.weights}
