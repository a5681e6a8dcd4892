import keras
import numpy as np
import pytest

import mammo
from mammo.models.resnet50 import LAST_CONVOLUTION


def test_the_layers_of_the_model(model):
    names = [layer.name for layer in model.layers]
    kinds = [type(layer).__name__ for layer in model.layers[-3:]]
    assert kinds == ["GlobalAveragePooling2D", "Dense", "Dense"]
    head, out = model.layers[-2:]
    assert (head.units, head.activation.__name__) == (1024, "relu")
    assert (out.units, out.activation.__name__) == (2, "softmax")
    assert LAST_CONVOLUTION in names
    assert not any(isinstance(layer, keras.Model | keras.layers.Lambda) for layer in model.layers), "one flat graph"
    reference = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3))
    assert model.count_params() == reference.count_params() + 2048 * 1024 + 1024 + 1024 * 2 + 2
    assert model.input_shape == (None, 64, 64, 1)


def test_the_model_preprocesses_once_as_resnet50_does(model):
    """Keras' own preprocess_input on RGB 0..255 must give what reaches the first convolution."""
    x = np.random.default_rng(0).uniform(0, 1, (2, 64, 64, 1)).astype(np.float32)
    reaches = keras.Model(model.input, model.get_layer("imagenet_scale").output)(x)
    expected = keras.applications.resnet50.preprocess_input(np.repeat(x, 3, axis=3) * 255)
    np.testing.assert_allclose(np.asarray(reaches), expected, atol=1e-3)
    after = model.layers[model.layers.index(model.get_layer("imagenet_scale")) + 1]
    assert after.name == "conv1_pad"


def test_image_size_is_a_parameter():
    assert mammo.build_model(weights=None, image_size=(96, 64)).input_shape == (None, 96, 64, 1)
    for wrong in ((16, 16), 320, "64x64", (64, 64, 3), (None, 64)):
        with pytest.raises(mammo.MammoError, match="image_size"):
            mammo.build_model(weights=None, image_size=wrong)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise Exception("URL fetch failure")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", fail)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path), raising=False)
    return tmp_path


def test_the_error_for_missing_imagenet_weights_names_the_file_and_the_alternatives(offline):
    with pytest.raises(mammo.MammoError) as error:
        mammo.build_model(weights="imagenet", image_size=(64, 64))
    for part in (str(offline), "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "https://", "None"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("name", "method"), [("resnet.weights.h5", "save_weights"), ("resnet_notop.h5", "save")], ids=["weights", "model"]
)
def test_weights_from_a_file(name, method, tmp_path):
    """In Keras' own format, and in the older one of the ImageNet file."""
    backbone = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3))
    getattr(backbone, method)(tmp_path / name)
    loaded = mammo.build_model(weights=tmp_path / name, image_size=(96, 64))
    for layer in ("conv1_conv", "conv5_block3_3_bn"):
        for ours, theirs in zip(
            loaded.get_layer(layer).get_weights(), backbone.get_layer(layer).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_weights_from_a_saved_classifier(model, saved):
    loaded = mammo.build_model(weights=saved, image_size=(96, 64))
    name = "conv3_block2_2_conv"
    np.testing.assert_array_equal(loaded.get_layer(name).get_weights()[0], model.get_layer(name).get_weights()[0])


def test_wrong_weights_are_refused(tmp_path):
    with pytest.raises(mammo.MammoError, match="no such weights"):
        mammo.build_model(weights="imagnet")
    (tmp_path / "text.weights.h5").write_text("no")
    with pytest.raises(mammo.MammoError, match="does not hold weights"):
        mammo.build_model(weights=tmp_path / "text.weights.h5", image_size=(64, 64))


def test_weights_in_a_folder_that_may_not_be_read_are_said(tmp_path, lock):
    lock(tmp_path)
    with pytest.raises(mammo.MammoError, match=r"w\.h5 may not be read \(Permission denied\)"):
        mammo.build_model(weights=tmp_path / "w.h5")


def test_the_head_starts_the_same_every_time():
    """Another process can then resume an interrupted training."""
    one, other = (mammo.build_model("demo", image_size=(64, 64), quiet=True).get_weights() for _ in range(2))
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)


def test_colours_reach_the_backbone_as_imagenet_has_them():
    """Red, green and blue in the order and on the scale of Keras' own preprocessing for ResNet50."""
    model = mammo.build_model(weights=None, image_size=(32, 48), quiet=True, channels=3)
    x = np.random.default_rng(0).random((2, 32, 48, 3), np.float32)
    scaled = keras.Model(model.input, model.get_layer("imagenet_scale").output)(x)
    np.testing.assert_allclose(scaled, keras.applications.resnet50.preprocess_input(255 * x), atol=1e-4)
    with pytest.raises(mammo.MammoError, match="1 for mammograms or 3 for micrographs, not 2"):
        mammo.build_model(weights=None, image_size=(32, 48), channels=2)
