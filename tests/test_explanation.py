import keras
import numpy as np
import pytest

import mammo
from mammo.model import HEAD, LAST_CONVOLUTION, read_folder


def x_of(demo):
    from mammo.preprocessing import load_images

    return load_images(demo.head(1), (64, 64))[0]


def test_shape_and_range(model, demo):
    heat = mammo.grad_cam(model, x_of(demo))
    assert heat.shape == (64, 64)
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    assert heat.max() <= 1


def test_it_works_after_saving_and_loading(model, saved, demo):
    loaded, _ = read_folder(saved)
    np.testing.assert_allclose(mammo.grad_cam(loaded, x_of(demo)), mammo.grad_cam(model, x_of(demo)), atol=1e-4)


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
    """With one feature deciding, the heatmap must be the map of that feature, enlarged."""
    from PIL import Image

    x = x_of(demo)
    maps = np.asarray(keras.Model(fresh_model.input, fresh_model.get_layer(LAST_CONVOLUTION).output)(x[None]))[0]
    channel = int(np.argmax(maps.max(axis=(0, 1)) - maps.min(axis=(0, 1))))
    one_feature_head(fresh_model, channel, sign=1.0)
    expected = np.asarray(Image.fromarray(maps[..., channel]).resize((64, 64), Image.BICUBIC))
    heat = mammo.grad_cam(fresh_model, x)
    np.testing.assert_allclose(heat, np.clip(expected / expected.max(), 0, 1), atol=1e-3)
    one_feature_head(fresh_model, channel, sign=-1.0)
    assert mammo.grad_cam(fresh_model, x).max() == pytest.approx(0, abs=1e-6), "what lowers the score is not shown"
