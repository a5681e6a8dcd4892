import shutil
import threading

import numpy as np
import pandas as pd
import pytest

import mammo
from mammo.data import augmentation, preprocessing
from mammo.data.image_loader import BATCH_PIXELS, ImageLoader, fitting_batch, in_batches, load_images, prefetch
from mammo.data.preprocessing import prepare


def test_images_come_in_the_order_asked_for(demo):
    rows = demo.head(5)
    images = load_images(rows, (64, 48))
    assert images.shape == (5, 64, 48, 1)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images[3], prepare(rows.path.iloc[3], (64, 48)).model_input)
    np.testing.assert_array_equal(ImageLoader(rows, (64, 48))[[3, 0, 3]], images[[3, 0, 3]])


def test_every_image_is_followed_by_its_augmentations(demo):
    some = ImageLoader(demo.head(3), (64, 48), n_augmentations=[2, 0, 1], seed=1)
    assert len(some) == 6
    assert list(some.rows) == [0, 0, 0, 1, 2, 2]
    assert list(some.version) == [0, 1, 2, 0, 0, 1]
    images, plain = some[np.arange(6)], load_images(demo.head(3), (64, 48))
    np.testing.assert_array_equal(images[[0, 3, 4]], plain)
    assert len({image.tobytes() for image in images}) == 6
    np.testing.assert_array_equal(some[5][0], images[5])
    other = ImageLoader(demo.head(3), (64, 48), n_augmentations=[2, 0, 1], seed=2)[np.arange(6)]
    assert [np.array_equal(a, b) for a, b in zip(images, other, strict=True)] == [True, False, False, True, True, False]


def test_a_key_stands_for_all_that_an_input_depends_on(demo, tmp_path, monkeypatch):
    def keys(rows, size=(64, 48), **options):
        return ImageLoader(rows, size, **options).keys

    rows = demo.head(2)
    (tmp_path / "elsewhere").mkdir()
    moved = [shutil.copy(path, tmp_path / "elsewhere") for path in rows.path]
    assert keys(rows) == keys(rows.assign(path=moved)), "the content counts, not the name"
    before = keys(rows, n_augmentations=1, seed=1)
    assert len(set(before)) == 4
    assert not set(before) & set(keys(rows, (64, 64), n_augmentations=1, seed=1))
    other_seed = keys(rows, n_augmentations=1, seed=2)
    assert set(before) & set(other_seed) == set(keys(rows)), "only augmentations depend on the seed"
    for changed in (preprocessing, augmentation):
        with monkeypatch.context() as patch:
            patch.setattr(changed, "RECIPE", changed.RECIPE + 1)
            assert not set(before) & set(keys(rows, n_augmentations=1, seed=1))
    monkeypatch.setattr(preprocessing, "version", lambda name: "another")
    assert not set(before) & set(keys(rows, n_augmentations=1, seed=1)), "other libraries may decode otherwise"


def test_all_files_that_cannot_be_used_are_named_at_once(demo, tmp_path):
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_text("no image")
    rows = demo.head(4).assign(path=[demo.path[0], str(tmp_path / "one.png"), str(tmp_path / "two.png"), demo.path[1]])
    batches = in_batches(ImageLoader(rows, (64, 64)), range(4), 1, "reading")
    assert [list(next(batches)[0]) for _ in range(2)] == [[0], [3]], "the others are worked on"
    with pytest.raises(mammo.MammoError, match=r"2 images(.|\n)*one\.png(.|\n)*two\.png"):
        next(batches)


def test_a_name_may_have_another_unicode_form(demo, tmp_path):
    shutil.copy(demo.path[0], tmp_path / "u\u0308.png")
    rows = demo.head(2).assign(path=[demo.path[0], str(tmp_path / "\u00fc.png")])
    first, second = ImageLoader(rows, (64, 64))[[0, 1]]
    np.testing.assert_array_equal(first, second)


def test_files_that_cannot_be_read_never_share_a_key(demo, tmp_path):
    """What is cached under a key is used for every file with the same key."""
    rows = demo.head(2).assign(path=[str(tmp_path / "one.png"), str(tmp_path / "two.png")])
    first, second = ImageLoader(rows, (64, 64)).keys
    assert first != second
    assert not {first, second} & set(ImageLoader(rows, (64, 64)).keys)


def test_the_next_one_is_read_meanwhile_and_no_more():
    read, released = [], threading.Event()

    def slow(part):
        read.append(part)
        if part == 1:
            released.wait(5)
        return -part

    parts = prefetch(slow, range(4))
    assert next(parts) == (0, 0)
    released.set()
    assert [*parts] == [(1, -1), (2, -2), (3, -3)]
    assert read == [0, 1, 2, 3]
    parts = prefetch(slow, range(100, 200))
    next(parts)
    parts.close()
    assert len(read) <= 4 + 3, "only what comes next is held in memory"


@pytest.mark.parametrize(
    ("image_size", "expected"),
    [((224, 224), 32), ((384, 288), 32), ((1024, 1024), 4), ((1536, 1152), 2), ((4000, 3000), 1), ((2048,), 32)],
)
def test_a_batch_of_large_inputs_is_small(image_size, expected):
    assert fitting_batch(32, image_size) == expected
    assert expected == 1 or expected * np.prod(image_size) <= BATCH_PIXELS


def test_the_ics_file_beside_a_film_is_part_of_its_key(request, tmp_path):
    film = tmp_path / "A_1141_1.LEFT_CC.LJPEG"
    shutil.copy(request.path.parents[1] / "samples" / "film_12_bits.LJPEG", film)
    rows = pd.DataFrame({"path": [str(film)]})
    without = ImageLoader(rows, (64, 64)).keys
    (tmp_path / "A-1141-1.ics").write_text("DIGITIZER DBA")
    first = ImageLoader(rows, (64, 64)).keys
    (tmp_path / "A-1141-1.ics").write_text("DIGITIZER HOWTEK")
    assert len({*without, *first, *ImageLoader(rows, (64, 64)).keys}) == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pd.DataFrame({"path": []}), "no rows"),
        (pd.DataFrame({"label": ["benign"]}), "no column path"),
        (pd.DataFrame({"path": ["a.png", None]}), "no path in 1 rows, first row 2"),
    ],
)
def test_a_table_that_names_no_images_is_refused(rows, message, model):
    with pytest.raises(mammo.MammoError, match=message):
        mammo.predict_manifest(model, rows)
