import numpy as np

from mammo.data import augmentation
from mammo.data.augmentation import augment


def test_augmentations_keep_range_and_chest_wall():
    image = np.zeros((64, 64, 1), np.float32)
    image[:, :20] = 1
    image[:20, :10] = 0.5
    changed = np.stack([augment(image, np.random.default_rng(seed)) for seed in range(16)])
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not any(np.allclose(x, image) for x in changed)
    assert changed[:, 16:48, :14].mean() > 0.6
    assert changed[:, :, 44:].mean() < 0.1
    upside_down = changed[:, 54:62, 6].mean(axis=(1, 2)) < changed[:, 2:10, 6].mean(axis=(1, 2))
    assert 3 < upside_down.sum() < 13


def test_an_augmentation_is_turned_about_its_middle():
    """A spot in the middle moves by no more than the shift, wherever the image is turned and however near it is."""
    image = np.zeros((96, 64, 1), np.float32)
    image[46:50, 30:34] = 1
    for seed in range(8):
        rows, columns = np.nonzero(augment(image, np.random.default_rng(seed))[..., 0] > 0.3)
        assert abs(rows.mean() - 47.5) < 0.05 / 0.9 * 96 + 1
        assert abs(columns.mean() - 31.5) < 0.05 / 0.9 * 64 + 1


def test_who_changes_the_augmentation_must_raise_the_recipe():
    """Caches know old features by the recipe number: means of 24 x 16 pixels, as of RECIPE 1."""
    image = np.linspace(1, 0, 96 * 64, dtype=np.float32).reshape(96, 64, 1)
    expected = {
        1: [
            [0.536, 0.624, 0.708, 0.491],
            [0.680, 0.691, 0.660, 0.544],
            [0.327, 0.430, 0.399, 0.368],
            [0.094, 0.168, 0.137, 0.108],
        ]
    }
    changed = augment(image, np.random.default_rng(5))
    np.testing.assert_allclose(
        changed.reshape(4, 24, 4, 16).mean(axis=(1, 3)), expected[augmentation.RECIPE], atol=2e-3
    )
