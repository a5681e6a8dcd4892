import re

import keras
import numpy as np
import pytest

import mammo
from mammo.core.backend import tf
from mammo.data.image_loader import load_images
from mammo.data.preprocessing import CELL
from mammo.models.gradcam import evidence
from mammo.models.resnet50 import HEAD, LAST_CONVOLUTION, build_model
from mammo.models.saved_model import load_saved_model


def model_input(demo):
    return load_images(demo.head(1), (64, 64))[0]


def test_shape_and_range(model, demo):
    heatmap = mammo.grad_cam(model, model_input(demo))
    assert heatmap.shape == (64, 64)
    assert heatmap.dtype == np.float32
    assert heatmap.min() >= 0
    assert heatmap.max() <= 1


def test_it_works_after_saving_and_loading(model, saved, demo):
    loaded, x = load_saved_model(saved).model, model_input(demo)
    np.testing.assert_allclose(mammo.grad_cam(loaded, x), mammo.grad_cam(model, x), atol=1e-4)


def test_the_evidence_equals_grad_cam_by_differentiation(model, demo):
    """Grad-CAM as its authors wrote it gives the same map."""
    x = model_input(demo)[None]
    head, out = (model.get_layer(name) for name in HEAD)
    maps = keras.Model(model.input, model.get_layer(LAST_CONVOLUTION).output)(x)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        logits = tf.matmul(head(tf.reduce_mean(maps, axis=(1, 2))), out.kernel) + out.bias
        score = logits[0, 1] - logits[0, 0]
    expected = tf.reduce_sum(tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True) * maps, axis=-1)
    found = keras.Model(model.input, evidence(model))(x)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    assert np.ptp(expected) > 1e-3


def one_feature_head(model, channel, sign):
    """Weights that let one feature alone raise (or lower) the score of malignant."""
    head, out = (model.get_layer(name) for name in HEAD)
    kernel, bias = (np.zeros_like(w) for w in head.get_weights())
    kernel[channel, 0] = 1
    head.set_weights([kernel, bias])
    kernel, bias = (np.zeros_like(w) for w in out.get_weights())
    kernel[0, 1] = sign
    out.set_weights([kernel, bias])


def test_it_shows_the_feature_that_raises_the_score(fresh_model, demo):
    """With one feature deciding, the heatmap must be the map of that feature, each cell where it looks."""
    x = model_input(demo)
    maps = np.asarray(keras.Model(fresh_model.input, fresh_model.get_layer(LAST_CONVOLUTION).output)(x[None]))[0]
    channel = int(np.argmax(maps.max(axis=(0, 1)) - maps.min(axis=(0, 1))))
    one_feature_head(fresh_model, channel, sign=1.0)
    expected = maps[..., channel] / maps[..., channel].max()
    np.testing.assert_allclose(mammo.grad_cam(fresh_model, x)[::CELL, ::CELL], expected, atol=1e-3)
    one_feature_head(fresh_model, channel, sign=-1.0)
    assert mammo.grad_cam(fresh_model, x).max() == pytest.approx(0, abs=1e-6), "what lowers the score is not shown"


@pytest.fixture(scope="module")
def large():
    """The convolutions of a model at 256 x 256."""
    keras.utils.set_random_seed(0)
    model = build_model(weights=None, image_size=(256, 256), quiet=True)
    return keras.Model(model.input, model.get_layer(LAST_CONVOLUTION).output)


@pytest.mark.parametrize("cell", [(2, 5), (4, 3)])
def test_a_cell_of_the_last_map_responds_to_the_pixel_that_the_heatmap_assigns_to_it(looks_at, large, cell):
    """Where a change of the input moves the cell most: around pixel 32 i, not half a cell further."""
    np.testing.assert_allclose(looks_at(large, cell), np.array(cell) * CELL, atol=5)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((1, 64, 64, 1), np.float32),
        np.zeros((32, 32, 1), np.float32),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((64, 64), np.float32),
        [[[0.0]]],
        "image.png",
        None,
    ],
)
def test_what_is_no_input_is_refused(model, x):
    message = f"an array of the shape (64, 64, 1), not {getattr(x, 'shape', type(x).__name__)}."
    with pytest.raises(mammo.MammoError, match=re.escape(message)):
        mammo.grad_cam(model, x)


def test_what_is_no_model_is_refused(saved, classifier):
    for wrong in (classifier, saved, None):
        with pytest.raises(mammo.MammoError, match=r"A Keras model is needed.*classifier\.model"):
            mammo.grad_cam(wrong, np.zeros((64, 64, 1), np.float32))
    other = keras.Sequential([keras.Input((64, 64, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    with pytest.raises(mammo.MammoError, match=r"is not a model of mammo\.build_model: it has no layer"):
        mammo.grad_cam(other, np.zeros((64, 64, 1), np.float32))
