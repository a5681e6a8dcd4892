import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import mammo
from mammo.data import preprocessing
from mammo.data.image_loader import load_images
from mammo.evaluation.calibration import Calibration
from mammo.evaluation.prediction_sets import PredictionSetLimits
from mammo.evaluation.results import ResultRule
from mammo.inference.classifier import Assessment, model_input_of


def test_a_file_is_predicted_as_in_training(model, classifier, demo, report):
    """The saved and loaded model on a file, against the training pipeline on the same image."""
    rows = demo.head(4)
    in_training = Calibration(**report["calibration"])(mammo.predict_manifest(model, rows).probability)
    predicted = [classifier.predict(path).probability for path in rows.path]
    np.testing.assert_allclose(predicted, in_training, atol=1e-5)
    assert len(set(predicted)) == 4


def test_the_second_class_is_malignant(model, demo):
    """The probability is the model's output number 1, and evaluation counts label malignant as 1."""
    out = model.predict_on_batch(load_images(demo.head(3), (64, 64)))
    np.testing.assert_allclose(mammo.predict_manifest(model, demo.head(3)).probability, out[:, 1], atol=1e-6)


def test_a_prediction_has_all_that_is_needed_to_judge_it(classifier, demo):
    prediction = classifier.predict(demo.path[0])
    assert 0 <= prediction.probability <= 1
    assert prediction.threshold == pytest.approx(classifier.card.operating_point.threshold)
    assert prediction.probabilities == {"benign": 1 - prediction.probability, "malignant": prediction.probability}
    assert prediction.heatmap.shape == prediction.mammogram.image.shape
    assert any("synthetic" in warning for warning in prediction.warnings)


def test_print_gives_five_lines_and_a_notebook_the_same_as_a_card(classifier, demo):
    prediction = classifier.predict(demo.path[0], prevalence=0.05)
    prediction = replace(prediction, doubts=("Grey & <white>.",))
    lines = str(prediction).splitlines()
    assert len(lines) == 5
    assert lines[0] == f"{prediction.mammogram.file}: uncertain (grey & <white>)."
    assert f"malignant {prediction.probability:.3f}, benign {1 - prediction.probability:.3f}" in lines[1]
    assert "At a prevalence of 5.0%" in lines[2]
    assert "Grey & <white>." in lines[3]
    assert "no diagnosis" in lines[4]
    card = prediction._repr_html_()
    for part in (
        "Result: uncertain",
        f"{prediction.mammogram.file}: grey &amp; &lt;white&gt;.",
        "At a prevalence of 5.0%",
        "Grey &amp; &lt;white&gt;.",
    ):
        assert part in card
    assert prediction.disclaimer in card
    assert "<white>" not in card
    assert len(repr(prediction)) < 200


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0.0%"), (4e-7, "0.00004%"), (0.0004, "0.04%"), (0.006, "0.6%"), (0.125, "12.5%"), (1, "100.0%")],
)
def test_a_small_share_is_not_printed_as_0(classifier, demo, share, shown):
    prediction = classifier.predict(demo.path[0], prevalence=share)
    prediction = replace(prediction, predictive_value=(share, 0.95))
    worth = shown.replace("12.5", "12").replace(".0%", "%") if share >= 0.1 else shown
    assert f"At a prevalence of {shown}, {worth} to 95% of positive results" in str(prediction)


def test_the_line_on_the_range_where_a_result_is_never_given(classifier, demo):
    prediction = classifier.predict(demo.path[0])
    always_both = PredictionSetLimits(coverage=0.9, benign_up_to=1.0, malignant_from=0.0)
    text = str(replace(prediction, rule=ResultRule(0.4, always_both)))
    assert "never negative, never positive" in text


@pytest.mark.parametrize(
    ("probability", "doubts", "result"),
    [
        (0.1, (), "negative"),
        (0.9, (), "positive"),
        (0.35, (), "uncertain"),
        (0.1, ("x",), "uncertain"),
        (0.9, ("x",), "uncertain"),
    ],
)
def test_the_result_follows_from_the_probability_and_the_warnings(classifier, demo, probability, doubts, result):
    rule = ResultRule(0.4, PredictionSetLimits(coverage=0.9, benign_up_to=0.5, malignant_from=0.2))
    prediction = replace(classifier.predict(demo.path[0]), probability=probability, rule=rule, doubts=doubts)
    assert prediction.result == result
    assert (len(prediction.prediction_set) == 2) == (result == "uncertain")
    assert str(prediction).startswith(f"{prediction.mammogram.file}: {result} (")


def test_the_same_pixels_give_the_same_probability_in_any_format(classifier, demo, write_png, write_dicom):
    pixels = np.asarray(Image.open(demo.path[0]))
    wide = pixels.astype(np.uint16) * 257
    probabilities = [
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
    np.testing.assert_allclose(probabilities, probabilities[0], atol=1e-4)


def test_the_warnings_of_the_file_are_in_the_prediction(classifier, demo, write_dicom):
    pixels = np.asarray(Image.open(demo.path[0])).astype(np.uint16)
    raw = write_dicom(pixels, bits=8, PresentationIntentType="FOR PROCESSING")
    assert any("For Processing" in warning for warning in classifier.predict(raw).warnings)


def test_the_prediction_has_the_card_s_rule_and_predictive_value(classifier, demo):
    card = classifier.card
    for path in demo.path[:12]:
        prediction = classifier.predict(path, prevalence=0.3)
        assert prediction.rule == card.result_rule
        names = tuple(np.array(mammo.CLASS_NAMES)[card.conformal.prediction_set(prediction.probability)])
        assert prediction.prediction_set == (mammo.CLASS_NAMES if prediction.doubts else names)
        assert prediction.predictive_value == card.predictive_value(0.3)


def test_the_views_of_a_patient_are_combined(classifier, demo, write_dicom):
    views = demo[demo.patient_id == demo.patient_id[0]]
    paths = [
        write_dicom(np.asarray(Image.open(row.path)), f"{i}.dcm", bits=8, ImageLaterality=row.laterality)
        for i, row in enumerate(views.itertuples())
    ]
    table, predictions = classifier.predict_patient(paths)
    combined = table.set_index("of").probability
    assert [each.mammogram.file for each in predictions] == [path.name for path in paths]
    assert combined["patient"] == pytest.approx(max(combined["L breast"], combined["R breast"]))
    left = [each.probability for each in predictions if each.mammogram.laterality == "L"]
    odds = [np.log(p / (1 - p)) for p in left]
    assert np.log(combined["L breast"] / (1 - combined["L breast"])) == pytest.approx(np.mean(odds))
    with pytest.raises(mammo.MammoError, match="Which breast"):
        classifier.predict_patient([*paths, demo.path[0]])
    with pytest.raises(mammo.MammoError, match="no file"):
        classifier.predict_patient([])
    with pytest.raises(mammo.MammoError, match="NoneType is no path"):
        classifier.predict_patient(None)
    for alone in (paths[0], str(paths[0])):
        assert [each.probability for each in classifier.predict_patient(alone)[1]] == [predictions[0].probability]


def test_a_laterality_that_contradicts_the_image_gives_a_warning(classifier, demo, write_dicom):
    """The first demo image is a left breast, its chest wall on the left."""
    pixels = np.asarray(Image.open(demo.path[0]))
    assert demo.laterality[0] == "L"

    def warns(pixels, **tags):
        prediction = classifier.predict(write_dicom(pixels, bits=8, **tags))
        return any("other breast" in warning for warning in prediction.warnings)

    assert not warns(pixels)
    assert not warns(pixels, ImageLaterality="L")
    assert warns(pixels, ImageLaterality="R")
    assert warns(np.ascontiguousarray(pixels[:, ::-1]), ImageLaterality="L")
    assert not warns(np.ascontiguousarray(pixels[:, ::-1]), ImageLaterality="L", PatientOrientation=["P", "L"])


def test_a_frame_of_tomosynthesis_is_chosen_and_predicted(classifier, demo, write_dicom):
    frames = np.stack([np.asarray(Image.open(path)) for path in demo.path[:2]])
    path = write_dicom(frames, bits=8)
    with pytest.raises(mammo.MammoError, match="2 frames"):
        classifier.predict(path)
    for frame in (0, 1):
        alone = classifier.predict(write_dicom(frames[frame], "alone.dcm", bits=8))
        assert classifier.predict(path, frame=frame).probability == pytest.approx(alone.probability, abs=1e-6)


def test_an_image_without_background_gives_a_warning(classifier, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    warnings = classifier.predict(tmp_path / "noise.png").warnings
    assert any("fills the image to both sides" in warning for warning in warnings)


def test_a_text_file_never_gets_a_probability(classifier, tmp_path):
    (tmp_path / "x.png").write_text("hello")
    with pytest.raises(mammo.MammoError, match="not an image"):
        classifier.predict(tmp_path / "x.png")


def test_the_error_for_a_missing_model_says_how_to_get_one(tmp_path):
    with pytest.raises(mammo.MammoError, match="Notebook 02"):
        mammo.load_classifier(tmp_path / "nothing")


def test_a_model_moves_with_its_folder(saved, classifier, tmp_path, demo):
    shutil.copytree(saved, tmp_path / "elsewhere")
    there = mammo.load_classifier(tmp_path / "elsewhere")
    assert classifier.predict(demo.path[0]).probability == pytest.approx(
        there.predict(demo.path[0]).probability, abs=1e-6
    )


def test_a_batch_is_assessed_as_its_images_alone(classifier, demo):
    images = [model_input_of(preprocessing.prepare(path, classifier.image_size)) for path in demo.path[:3]]
    for together, image in zip(classifier.assess(images), images, strict=True):
        (alone,) = classifier.assess([image])
        assert isinstance(together, Assessment)
        assert together.probability == pytest.approx(alone.probability, abs=1e-5)
        assert together.doubts == alone.doubts
        np.testing.assert_allclose(together.evidence, alone.evidence, atol=1e-4)


def another_recipe(monkeypatch):
    monkeypatch.setattr(preprocessing, "RECIPE", preprocessing.RECIPE + 1)


def another_library(monkeypatch):
    version = preprocessing.version
    monkeypatch.setattr(preprocessing, "version", lambda name: "0.0.1" if name == "pydicom" else version(name))


def test_the_id_stands_for_the_card(saved, classifier):
    assert classifier.id == mammo.load_classifier(saved).id
    assert len(classifier.id) == 12
    for card in (replace(classifier.card, seed=123), replace(classifier.card, ood_sha256="0" * 64)):
        assert replace(classifier, card=card).id != classifier.id


@pytest.mark.parametrize("change", [another_recipe, another_library])
def test_the_id_stands_for_the_preprocessing(classifier, monkeypatch, change):
    before = classifier.id
    change(monkeypatch)
    assert classifier.id != before


def test_of_a_model_of_drawings_a_file_that_is_no_drawing_gets_no_result(classifier, demo, tmp_path):
    """The same pixels: with the mark of this package's PNGs there is a result, without it there is none."""
    certain = ResultRule(0.5, PredictionSetLimits(benign_up_to=0.5, malignant_from=0.5, coverage=0.9))
    path = next(path for path in demo.path if path.endswith(".png"))
    with Image.open(path) as picture:
        picture.save(tmp_path / "copy.png")
    marked, copy = (classifier.predict(file) for file in (path, tmp_path / "copy.png"))
    assert marked.mammogram.synthetic
    assert not copy.mammogram.synthetic
    assert copy.probability == pytest.approx(marked.probability)
    doubts = set(copy.doubts) - set(marked.doubts)
    assert [doubt for doubt in doubts if "trained on synthetic images only" in doubt] == list(doubts)
    assert len(doubts) == 1
    reason = "the model was trained on synthetic images only"
    assert replace(copy, doubts=tuple(doubts)).reason == reason
    for shown in (copy.reason, str(copy).splitlines()[0], copy._repr_html_()):
        assert reason in shown
    assert reason not in marked.reason
    assert replace(copy, rule=certain).result == "uncertain"
    assert replace(marked, rule=certain, doubts=()).result != "uncertain"
    assert len(copy.warnings) == len(set(copy.warnings))
