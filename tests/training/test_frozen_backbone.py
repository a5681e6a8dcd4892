import keras
import numpy as np
import pytest

import mammo
from mammo.core.backend import tf
from mammo.data.image_loader import load_images
from mammo.models.resnet50 import FEATURES, HEAD
from mammo.training.fine_tuning import unfreeze
from mammo.training.frozen_backbone import (
    CUT,
    copy_of_head,
    copy_of_last_stage,
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
    assert np.abs(copy_of_last_stage(trained, precision).predict_on_batch(maps) - probabilities).max() < apart
    assert np.abs(copy_of_head(trained).predict_on_batch(features) - probabilities).max() < apart


def test_a_quarter_of_the_map_is_kept(trained):
    rows, columns, _ = frozen_stages(trained, "float32").output.shape[1:]
    height, width = trained.input_shape[1:3]
    assert (rows, columns) == (-(-height // 32), -(-width // 32))


def test_the_last_stage_and_the_head_learn_and_batchnorm_does_not(trained):
    part = unfreeze(copy_of_last_stage(trained, "bfloat16"))
    learning = {layer.name for layer in part.layers if layer.trainable_weights}
    assert learning == {n for n in learning if n.startswith("conv5_") or n in HEAD}
    assert len(learning) == 10 + 2  # ten convolutions in three blocks, and the head
    assert {w.dtype for w in part.weights} == {"float32"}
    assert part.output.dtype == "float32"


@pytest.mark.parametrize(("precision", "apart"), [("float32", 1e-4), ("bfloat16", 0.1)])
def test_the_last_stage_learns_what_the_whole_would(trained, demo, precision, apart):
    x = load_images(demo.head(4), trained.input_shape[1:3])
    cut = trained.get_layer(CUT).output
    whole, before = keras.Model(cut, trained.output), keras.Model(trained.input, cut).predict_on_batch(x)
    part, maps = unfreeze(copy_of_last_stage(trained, precision)), before[:, ::2, ::2]

    def gradients(network, x):
        learning = [network.get_layer(layer.name) for layer in part.layers if layer.trainable_weights]
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(tf.math.log(network(x, training=False)[:, 1]))
        found = tape.gradient(loss, [weight.value for layer in learning for weight in layer.weights])
        return [gradient.numpy() for gradient in found]

    for here, there in zip(gradients(part, maps), gradients(whole, before), strict=True):
        assert np.linalg.norm(here - there) <= apart * np.linalg.norm(there)


def test_what_was_learned_is_taken_over_and_nothing_else(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    part = copy_of_last_stage(copy, "float32")
    part.set_weights([w + 1 for w in part.get_weights()])
    copy_weights(part, copy)
    changed = {
        a.name
        for a, b in zip(copy.layers, model.layers, strict=True)
        if any((x != y).any() for x, y in zip(a.get_weights(), b.get_weights(), strict=True))
    }
    assert changed == {layer.name for layer in part.layers if layer.weights}
