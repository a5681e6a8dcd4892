import shutil
from dataclasses import replace

import numpy as np
import pytest

import mammo
from mammo.evaluation.calibration import calibrated
from mammo.evaluation.operating_point import positive_predictive_value
from mammo.evaluation.prediction_sets import prediction_set


def test_what_serves_is_what_was_trained(model, saved, demo, report):
    """Parity: the saved and reloaded model on a file, against the training pipeline on the same image."""
    classifier = mammo.load_classifier(saved)
    rows = demo.head(4)
    line = report["calibration"]["slope"], report["calibration"]["intercept"]
    trained = calibrated(mammo.predict_manifest(model, rows).probability, *line)
    served = [classifier.predict(path).probability for path in rows.path]
    np.testing.assert_allclose(served, trained, atol=1e-5)
    assert len(set(served)) == 4


def test_the_second_class_is_malignant(model, demo):
    """The probability is the model's output number 1, and evaluation counts label malignant as 1."""
    from mammo.data.image_loader import load_images

    out = model.predict_on_batch(load_images(demo.head(3), (64, 64)))
    np.testing.assert_allclose(mammo.predict_manifest(model, demo.head(3)).probability, out[:, 1], atol=1e-6)


def test_a_prediction_carries_all_that_is_needed_to_judge_it(saved, demo):
    prediction = mammo.load_classifier(saved).predict(demo.path[0])
    assert 0 <= prediction.probability <= 1
    assert prediction.threshold == pytest.approx(mammo.load_classifier(saved).card["threshold"])
    assert prediction.heatmap.shape == prediction.mammogram.image.shape
    assert prediction.above_threshold == (prediction.probability >= prediction.threshold)
    text = str(prediction)
    assert "no diagnosis" in text
    assert "threshold" in text
    assert "detected" not in text
    assert any("synthetic" in warning for warning in prediction.warnings)


@pytest.mark.parametrize(
    ("probability", "remains", "said"),
    [(0.3, "malignant", True), (0.3, "benign", False), (0.5, "benign", True), (0.5, "malignant", False)],
)
def test_where_the_threshold_and_what_remains_differ_the_answer_says_so(saved, demo, probability, remains, said):
    prediction = mammo.load_classifier(saved).predict(demo.path[0])
    prediction = replace(prediction, probability=probability, threshold=0.4, prediction_set=(remains,))
    assert ("says otherwise" in str(prediction)) == said


def test_the_same_pixels_give_the_same_answer_in_any_format(saved, demo, write_png, write_dicom):
    from PIL import Image

    pixels = np.asarray(Image.open(demo.path[0]))
    classifier = mammo.load_classifier(saved)
    wide = pixels.astype(np.uint16) * 257
    answers = [
        classifier.predict(path).probability
        for path in (
            write_png(pixels, "8.png"),
            write_png(wide, "16.png"),
            write_png(wide, "16.tif"),
            write_png(pixels, "8.pgm"),
            write_dicom(wide, "2.dcm"),
            write_dicom(65535 - wide, "1.dcm", PhotometricInterpretation="MONOCHROME1"),
            write_png(np.ascontiguousarray(pixels[:, ::-1]), "mirrored.png"),
        )
    ]
    np.testing.assert_allclose(answers, answers[0], atol=1e-4)


def test_the_warnings_of_the_file_are_in_the_answer(saved, demo, write_dicom):
    from PIL import Image

    pixels = np.asarray(Image.open(demo.path[0])).astype(np.uint16)
    raw = write_dicom(pixels, bits=8, PresentationIntentType="FOR PROCESSING")
    assert any("For Processing" in warning for warning in mammo.load_classifier(saved).predict(raw).warnings)


def test_the_answer_says_what_remains_possible_and_what_it_is_worth(saved, demo):
    classifier = mammo.load_classifier(saved)
    card = classifier.card
    for path in demo.path[:12]:
        prediction = classifier.predict(path, prevalence=0.3)
        names = tuple(np.array(mammo.CLASS_NAMES)[prediction_set(prediction.probability, card["conformal"])])
        assert prediction.prediction_set == names
        assert prediction.uncertain == (len(names) == 2)
        assert ("Uncertain" in str(prediction)) == prediction.uncertain
        worth = positive_predictive_value(card["sensitivity"], card["specificity"], 0.3)
        assert prediction.predictive_value == pytest.approx(worth)
        assert f"{worth:.1%}" in str(prediction)


def test_the_views_of_a_patient_are_combined(saved, demo, write_dicom):
    from PIL import Image

    classifier = mammo.load_classifier(saved)
    views = demo[demo.patient_id == demo.patient_id[0]]
    paths = [
        write_dicom(np.asarray(Image.open(row.path)), f"{i}.dcm", bits=8, ImageLaterality=row.laterality)
        for i, row in enumerate(views.itertuples())
    ]
    table, answers = classifier.predict_patient(paths)
    said = table.set_index("of").probability
    assert [answer.mammogram.file for answer in answers] == [path.name for path in paths]
    assert said["patient"] == pytest.approx(max(said["L breast"], said["R breast"]))
    odds = [np.log(a.probability / (1 - a.probability)) for a in answers if a.mammogram.laterality == "L"]
    assert np.log(said["L breast"] / (1 - said["L breast"])) == pytest.approx(np.mean(odds))
    with pytest.raises(mammo.MammoError, match="Which breast"):
        classifier.predict_patient([*paths, demo.path[0]])
    with pytest.raises(mammo.MammoError, match="no file"):
        classifier.predict_patient([])


def test_a_side_that_contradicts_the_header_is_doubted(saved, demo, write_dicom):
    """The first demo image is a left breast, its chest wall on the left."""
    from PIL import Image

    pixels = np.asarray(Image.open(demo.path[0]))
    assert demo.laterality[0] == "L"
    classifier = mammo.load_classifier(saved)

    def doubted(pixels, **tags):
        prediction = classifier.predict(write_dicom(pixels, bits=8, **tags))
        return any("other breast" in warning for warning in prediction.warnings)

    assert not doubted(pixels)
    assert not doubted(pixels, ImageLaterality="L")
    assert doubted(pixels, ImageLaterality="R")
    assert doubted(np.ascontiguousarray(pixels[:, ::-1]), ImageLaterality="L")
    assert not doubted(np.ascontiguousarray(pixels[:, ::-1]), ImageLaterality="L", PatientOrientation=["P", "L"])


def test_a_frame_of_tomosynthesis_is_asked_for_and_judged(saved, demo, write_dicom):
    from PIL import Image

    frames = np.stack([np.asarray(Image.open(path)) for path in demo.path[:2]])
    path, classifier = write_dicom(frames, bits=8), mammo.load_classifier(saved)
    with pytest.raises(mammo.MammoError, match="2 frames"):
        classifier.predict(path)
    for frame in (0, 1):
        alone = classifier.predict(write_dicom(frames[frame], "alone.dcm", bits=8))
        assert classifier.predict(path, frame=frame).probability == pytest.approx(alone.probability, abs=1e-6)


def test_a_picture_without_background_is_doubted(saved, tmp_path):
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    warnings = mammo.load_classifier(saved).predict(tmp_path / "noise.png").warnings
    assert any("fills the image to both sides" in warning for warning in warnings)


def test_a_text_file_never_gets_a_probability(saved, tmp_path):
    (tmp_path / "x.png").write_text("hello")
    with pytest.raises(mammo.MammoError, match="not an image"):
        mammo.load_classifier(saved).predict(tmp_path / "x.png")


def test_no_model_is_an_error_that_says_how_to_get_one(tmp_path):
    with pytest.raises(mammo.MammoError, match="Notebook 02"):
        mammo.load_classifier(tmp_path / "nothing")


def test_a_model_moves_with_its_folder(saved, tmp_path, demo):
    shutil.copytree(saved, tmp_path / "elsewhere")
    here, there = mammo.load_classifier(saved), mammo.load_classifier(tmp_path / "elsewhere")
    assert here.predict(demo.path[0]).probability == pytest.approx(there.predict(demo.path[0]).probability, abs=1e-6)
