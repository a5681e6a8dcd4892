import numpy as np
import pytest

from mammo.data.image_loader import ImageLoader
from mammo.models.resnet50 import build_model
from mammo.training.augmented_images import AugmentedImages
from mammo.training.feature_cache import FeatureCache
from mammo.training.frozen_backbone import STAGES, frozen_stages


@pytest.fixture(scope="module")
def prepared(demo, tmp_path_factory):
    """Three images at 64 x 64, as a network passes them on that has no frozen stage."""
    network = frozen_stages(build_model(None, (64, 64), quiet=True), "float32", STAGES)
    return FeatureCache(network, ImageLoader(demo.head(3), (64, 64)), tmp_path_factory.mktemp("cache"))


def test_images_as_they_are_and_augmentations_of_them(demo, prepared):
    images = AugmentedImages(prepared, [2, 0, 1])
    assert len(images) == 6
    assert images.rows.tolist() == [0, 0, 0, 1, 2, 2]
    assert images.version.tolist() == [0, 1, 2, 0, 0, 1]
    np.testing.assert_allclose(images[[0, 3, 4]], ImageLoader(demo.head(3), (64, 64))[[0, 1, 2]], atol=0.0005)
    first = images[[0, 1, 2]]
    assert (first[0] != first[1]).any()
    assert (first[1] != first[2]).any()


def test_every_epoch_has_augmentations_of_its_own_and_always_the_same(prepared):
    images = AugmentedImages(prepared, [1, 1, 1], seed=3)
    first = images[np.arange(6)]
    images.set_epoch(1)
    second = images[np.arange(6)]
    np.testing.assert_array_equal(first[::2], second[::2])
    assert all((a != b).any() for a, b in zip(first[1::2], second[1::2], strict=True))
    np.testing.assert_array_equal(images[[5, 1]], second[[5, 1]])
    other = AugmentedImages(prepared, [1, 1, 1], seed=4)
    other.set_epoch(1)
    assert (other[1] != second[1]).any()


def test_items_have_keys_that_tell_versions_and_seeds_apart(prepared):
    images, other = (AugmentedImages(prepared, [2, 2, 2], seed) for seed in (0, 1))
    assert len({*images.keys, *other.keys}) == 18
    assert images.paths == prepared.paths
