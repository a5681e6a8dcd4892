import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score

import mammo
from mammo.synthetic import draw_patient, phantom
from mammo.synthetic.lesions import mass
from mammo.synthetic.texture import power_law_field

SIZE = (192, 144)


def digests(folder):
    return {p.relative_to(folder): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*.*"))}


def small(folder, **settings):
    return mammo.generate_dataset(
        folder, **({"patients": 16, "seed": 1, "image_size": SIZE, "processes": 1} | settings)
    )


def test_same_seed_same_bytes_however_many_processes(tmp_path):
    small(tmp_path / "one", processes=1)
    small(tmp_path / "two", processes=2)
    small(tmp_path / "other", seed=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert digests(tmp_path / "one") != digests(tmp_path / "other")


def test_a_patient_does_not_depend_on_the_others(tmp_path):
    few, many = small(tmp_path / "few"), small(tmp_path / "many", patients=24)
    for a, b in zip(few.path, many.path[: len(few)], strict=True):
        assert Path(a).read_bytes() == Path(b).read_bytes()


def test_what_the_manifest_says_is_in_the_images(demo):
    assert set(demo.label) == {"benign", "malignant"}
    assert demo.groupby("patient_id").size().eq(2).all()
    assert demo.groupby("patient_id").density.nunique().eq(1).all()
    for row in demo.itertuples():
        image, mask = mammo.read_mammogram(row.path).image, mammo.read_mammogram(row.mask_path).image > 0.5
        assert image.shape == mask.shape
        assert image[mask].min() > 0.1, "the mass lies in the breast"
        rows, columns = np.nonzero(mask)
        assert (row.y, row.x) == pytest.approx((rows.mean(), columns.mean()), abs=0.1)
        assert np.pi * row.radius**2 == pytest.approx(mask.sum(), rel=0.05)
        half = image.shape[1] // 2
        assert (image[:, :half].mean() > image[:, half:].mean()) == (row.laterality == "L")


def test_the_mass_is_what_the_mask_says():
    """The same breast with and without its mass differs inside the mask, and nowhere else by more than its haze."""
    patient = draw_patient(np.random.default_rng(5), "malignant", 0.2)
    healthy = type(patient)(**{**patient.__dict__, "lesion_contrast": 0.0})
    with_mass, mask = phantom(patient, "CC", SIZE, np.random.default_rng(6))
    without, _ = phantom(healthy, "CC", SIZE, np.random.default_rng(6))
    difference = with_mass - without
    assert difference[mask].mean() > 0.1
    assert np.abs(difference[~ndimage.binary_dilation(mask, iterations=4)]).max() < 0.05


def test_both_views_show_the_mass_at_the_same_depth(demo):
    width = SIZE[1]
    for _, views in demo.groupby("patient_id"):
        depth = [row.x if row.laterality == "L" else width - 1 - row.x for row in views.itertuples()]
        assert abs(depth[0] - depth[1]) < 0.08 * width


def test_malignant_margins_are_rough_and_benign_ones_smooth():
    def roughness(label, seed):
        _, mask = mass(label, 1500, 2.1, np.random.default_rng(seed))
        edge = mask & ~ndimage.binary_erosion(mask)
        return edge.sum() ** 2 / mask.sum()

    benign = [roughness("benign", seed) for seed in range(40)]
    malignant = [roughness("malignant", seed) for seed in range(40)]
    assert max(benign) < min(malignant)


def test_neither_peak_nor_sum_of_a_mass_tells_the_classes_apart():
    truth = np.repeat([0, 1], 60)
    drawn = [
        mass(label, 1500, 2.1, np.random.default_rng(s))[0] for s, label in enumerate(np.repeat(mammo.CLASS_NAMES, 60))
    ]
    for measure in (np.sum, np.max):
        values = np.array([measure(added) for added in drawn])
        assert values[truth == 1].mean() == pytest.approx(values[truth == 0].mean(), rel=0.05)


def test_no_giveaway(tmp_path):
    """Brightness, place, kind of breast, side, file size: none of them knows the label."""
    table = mammo.generate_dataset(tmp_path / "d", patients=150, seed=11, image_size=SIZE)
    truth = table.label == "malignant"
    images = [mammo.read_mammogram(path).image for path in table.path]
    cues = pd.DataFrame(
        {
            "mean": [image.mean() for image in images],
            "bright": [np.percentile(image, 99.5) for image in images],
            "area": [(image > 0.1).mean() for image in images],
            "corner": [image[:20].mean() for image in images],
            "bytes": [Path(path).stat().st_size for path in table.path],
            "density": table.density.map({"a": 0, "b": 1, "c": 2, "d": 3}),
            "left": table.laterality == "L",
            "x": table.x.where(table.laterality == "L", SIZE[1] - table.x),
            "y": table.y,
            "lesion_mm": table.lesion_mm,
            "number": table.patient_id.str[1:].astype(int),
        }
    )
    aucs = cues.apply(lambda cue: roc_auc_score(truth, cue))
    assert aucs.between(0.37, 0.63).all(), aucs  # 0.13 is three standard errors of 150 patients


def test_difficulty_lowers_the_contrast():
    contrast = [draw_patient(np.random.default_rng(0), "benign", d).lesion_contrast for d in (0, 0.3, 0.6, 0.9)]
    assert contrast == sorted(contrast, reverse=True)
    assert contrast[3] < 0.15 * contrast[0]


def test_the_spectrum_follows_the_power_law_asked_for():
    field = power_law_field(np.random.default_rng(0), (512, 512), 3.0)
    power = np.abs(np.fft.fft2(field)) ** 2
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512))
    band = (frequency > 0.01) & (frequency < 0.3)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert slope == pytest.approx(-3, abs=0.1)
    assert (field.mean(), field.std()) == pytest.approx((0, 1), abs=1e-3)


def test_an_interrupted_set_is_completed(tmp_path):
    whole = digests(tmp_path / "a") if small(tmp_path / "a") is not None else None
    (tmp_path / "a" / "manifest.csv").unlink()
    for path in sorted((tmp_path / "a" / "images").iterdir())[3:]:
        path.unlink()
    (tmp_path / "a" / "images" / "S00003_L_CC.png.123.partial").write_bytes(b"half")
    kept = sorted((tmp_path / "a" / "images").iterdir())[0]
    before = kept.stat().st_mtime_ns
    small(tmp_path / "a")
    assert digests(tmp_path / "a") == whole
    assert kept.stat().st_mtime_ns == before, "what was there is not written again"


def test_a_finished_set_is_not_made_again(tmp_path):
    small(tmp_path / "a")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.png")}
    small(tmp_path / "a")
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.png")}


def test_other_settings_replace_the_set_but_foreign_files_are_safe(tmp_path):
    small(tmp_path / "a")
    (tmp_path / "a" / "notes.txt").write_text("mine too")
    assert len(small(tmp_path / "a", patients=20)) == 40
    assert (tmp_path / "a" / "notes.txt").exists()
    assert len(list((tmp_path / "a" / "images").iterdir())) == 40
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(mammo.MammoError, match="other files"):
        small(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_somebody_elses_dataset_json_is_no_claim(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "scan.png").touch()
    (tmp_path / "dataset.json").write_text('{"name": "another program"}')
    with pytest.raises(mammo.MammoError, match="other files"):
        small(tmp_path)
    assert (tmp_path / "images" / "scan.png").exists()


def test_a_lost_image_is_drawn_again(tmp_path):
    table = small(tmp_path / "a")
    whole = digests(tmp_path / "a")
    Path(table.path[3]).unlink()
    small(tmp_path / "a")
    assert digests(tmp_path / "a") == whole


def test_every_shape_that_is_allowed_can_be_drawn(tmp_path):
    small(tmp_path / "narrow", patients=40, image_size=(200, 120))


@pytest.mark.parametrize(
    "settings", [{"patients": 15}, {"difficulty": 1.5}, {"image_size": (64, 64)}, {"image_size": (512, 128)}]
)
def test_impossible_settings_are_refused(tmp_path, settings):
    with pytest.raises(mammo.MammoError):
        small(tmp_path / "a", **settings)
    assert not (tmp_path / "a").exists()


def test_noise_is_noise(tmp_path):
    table = mammo.noise_dataset(tmp_path / "noise", images=60, seed=0, image_size=(128, 128), processes=1)
    assert set(table.source) == {"noise"}
    assert table.patient_id.is_unique
    pixels = np.stack([mammo.read_mammogram(path).image for path in table.path])
    assert pixels.mean() == pytest.approx(0.5, abs=0.01)
    assert pixels.std() == pytest.approx(12**-0.5, abs=0.01)
    assert (table.label == "malignant").mean() == 0.5
