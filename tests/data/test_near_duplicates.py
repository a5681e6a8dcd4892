import numpy as np
import pandas as pd
import pytest
from files import breakhis_replica
from PIL import Image

import mammo
from mammo.data import near_duplicates
from mammo.data.near_duplicates import NEAR
from mammo.datasets import breakhis


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """80 images of 20 patients, 320 x 240, PNG of 8 bits."""
    folder = tmp_path_factory.mktemp("films") / "data"
    return mammo.generate_dataset(folder, patients=20, seed=4, image_size=(320, 240), formats=["png8"], processes=1)


@pytest.fixture
def copied(films, tmp_path, write_dicom):
    """The films, and five of them once more in other shapes, as other patients of the test split."""
    films = films[:24].assign(split="train")
    pixels = [np.asarray(Image.open(path)) for path in films["path"][:5]]
    wide = pixels[3].astype(np.uint16) * 257
    Image.fromarray(pixels[0]).save(tmp_path / "same.png")
    Image.fromarray(pixels[1]).resize((120, 160), Image.LANCZOS).save(tmp_path / "half.png")
    Image.fromarray(pixels[2][:, ::-1]).save(tmp_path / "mirrored.jpg", quality=60)
    Image.fromarray(wide[:, ::-1]).save(tmp_path / "sixteen.tiff")
    write_dicom(pixels[4].astype(np.uint16) * 16, "negative.dcm", bits=12)
    paths = [str(tmp_path / n) for n in ("same.png", "half.png", "mirrored.jpg", "sixteen.tiff", "negative.dcm")]
    more = films[:5].assign(path=paths, patient_id=[f"other{i}" for i in range(5)], split="test")
    return pd.concat([films, more], ignore_index=True)


def test_the_same_film_in_another_shape_is_found_across_splits_first(copied, films):
    again = copied["path"][24] + ".png"
    Image.open(films["path"][8]).save(again)
    within = copied.iloc[[8]].assign(path=again, patient_id="third")
    pairs = mammo.find_duplicates(pd.concat([copied, within], ignore_index=True))
    assert len(pairs) == 6
    assert set(zip(pairs["path"][:5], pairs["other"][:5], strict=True)) == set(
        zip(copied["path"][:5], copied["path"][24:], strict=True)
    )
    assert pairs["across_splits"].tolist() == [True] * 5 + [False]
    assert pairs["distance"][:5].is_monotonic_increasing
    assert pairs["distance"][5] == 0, "the nearest of all comes last, since it is within a split"
    assert set(pairs["other_split"][:5]) == {"test"}


def test_patches_of_one_film_are_no_duplicates(films):
    patches = mammo.lesion_patches(films.dropna(subset=["x"]).head(3))
    assert mammo.find_duplicates(pd.concat([patches, patches.assign(x=patches["x"] + 5)], ignore_index=True)).empty


def test_different_breasts_are_not_the_same_film(films):
    """80 images: no pair, and those of one woman, left and right, are well apart."""
    assert mammo.find_duplicates(films).empty
    bits = near_duplicates.perceptual_hashes(films["path"])
    apart = (bits[:, None] != bits).mean(axis=2)
    same = films["patient_id"].to_numpy()[:, None] == films["patient_id"].to_numpy()
    assert apart[same & ~np.eye(80, dtype=bool)].min() > NEAR + 0.05
    assert apart[~same].mean() == pytest.approx(0.5, abs=0.03), "as if by lot"


@pytest.mark.parametrize(("bits_apart", "found"), [(0, True), (143, True), (144, False), (172, False)])
def test_a_pair_differs_in_a_quarter_of_the_bits_at_most(films, monkeypatch, bits_apart, found):
    """575 bits; 0.25 lies between the same film written again and two images of one breast, the nearest at 0.325."""
    bits = np.zeros((2, 575), bool)
    bits[1, :bits_apart] = True
    monkeypatch.setattr(near_duplicates, "perceptual_hashes", lambda *_: bits)
    assert len(mammo.find_duplicates(films[:2])) == found


@pytest.mark.parametrize("near", ["0.25", None, np.nan, -1, 25])
def test_what_is_no_share_of_the_bits_is_refused(films, near):
    with pytest.raises(mammo.MammoError, match=r"near is a share from 0 to 1, such as 0\.25, not"):
        mammo.find_duplicates(films[:2], near=near)


def test_blocks_find_what_every_pair_compared_finds(monkeypatch):
    rng = np.random.default_rng(0)
    bits = rng.random((50, 100)) < 0.5
    bits[[7, 23, 49]] = bits[[6, 3, 0]]
    monkeypatch.setattr(near_duplicates, "BLOCK", 7)
    first, second, distance = near_duplicates._near_pairs(bits, 0.4)
    slow = {(i, j): np.mean(bits[i] != bits[j]) for i in range(50) for j in range(i + 1, 50)}
    expected = {pair: d for pair, d in slow.items() if d <= 0.4}
    assert len(expected) > 3
    found = dict(zip(zip(first.tolist(), second.tolist(), strict=True), distance, strict=True))
    assert found.keys() == expected.keys()
    assert [found[pair] for pair in expected] == pytest.approx(list(expected.values()), abs=1e-6)


def test_what_the_manifest_need_not_say(copied):
    """Without splits all pairs are within one; and a manifest that leaks is looked at all the same."""
    pairs = mammo.find_duplicates(copied.drop(columns="split"))
    assert len(pairs) == 5
    assert not pairs["across_splits"].any()
    assert mammo.find_duplicates(copied[:1].drop(columns="split")).empty
    leaking = copied.assign(patient_id="one")
    assert mammo.find_duplicates(leaking)["across_splits"].all()


def test_a_file_that_shows_no_breast_is_named(copied, write_png):
    blank = write_png(np.zeros((64, 64), np.uint8), "blank.png")
    with pytest.raises(mammo.MammoError, match=r"blank\.png"):
        mammo.find_duplicates(copied[:3].assign(path=[*copied["path"][:2], str(blank)]))


def test_micrographs_that_are_there_twice_are_found(films, tmp_path):
    """As slide 14-13412 of BreakHis is, under two names."""
    root = breakhis_replica(tmp_path, patients=4, pictures=1)
    files = sorted(root.resolve().rglob("*-001.png"))
    copies = [file.with_name(file.name.replace("-001.png", "-002.png")) for file in files]
    Image.open(files[5]).save(copies[5])
    stained = np.clip(np.asarray(Image.open(files[0])) * [1.1, 0.9, 1.0], 0, 255).astype(np.uint8)
    Image.fromarray(stained).resize((350, 230)).save(copies[0])
    manifest = breakhis.manifest(root, partial=True)
    pairs = mammo.find_duplicates(manifest)
    found = {tuple(sorted(pair)) for pair in zip(pairs["path"], pairs["other"], strict=True)}
    assert found == {(str(files[at]), str(copies[at])) for at in (0, 5)}
    with pytest.raises(mammo.MammoError, match="one table for each kind"):
        mammo.find_duplicates(pd.concat([manifest, films]))
