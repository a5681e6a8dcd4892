import shutil

import numpy as np
import pandas as pd
import pytest
from files import breakhis_replica
from PIL import Image

import mammo
from mammo.data.augmentation import augment
from mammo.data.image_loader import ImageLoader, load_images
from mammo.datasets import breakhis

NAMES = [
    "benign/SOB/adenosis/SOB_B_A_14-22549AB/40X/SOB_B_A-14-22549AB-40-001.png",
    "benign/SOB/adenosis/SOB_B_A_14-22549CD/100X/SOB_B_A-14-22549CD-100-001.png",
    "benign/SOB/fibroadenoma/SOB_B_F_14-21998CD/40X/SOB_B_F-14-21998CD-40-003.png",
    "benign/SOB/phyllodes_tumor/SOB_B_PT_14-21998AB/40X/SOB_B_PT-14-21998AB-40-039.png",
    "malignant/SOB/ductal_carcinoma/SOB_M_DC_14-13412/100X/SOB_M_DC-14-13412-100-026.png",
    "malignant/SOB/lobular_carcinoma/SOB_M_LC_14-13412/100X/SOB_M_LC-14-13412-100-026.png",
    "malignant/SOB/papillary_carcinoma/SOB_M_PC_15-190EF/400X/SOB_M_PC-15-190EF-400-014.png",
]


@pytest.fixture
def root(tmp_path):
    for name in NAMES:
        path = tmp_path / "BreaKHis_v1" / "histology_slides" / "breast" / name
        path.parent.mkdir(parents=True)
        Image.new("RGB", (140, 120), (200, 90, 160)).save(path)
    return tmp_path / "BreaKHis_v1"


def test_parts_of_one_case_are_one_patient(root):
    table = breakhis.manifest(root, partial=True)
    assert len(table) == 7
    assert set(table["patient_id"]) == {"14-22549", "14-21998", "14-13412", "15-190"}
    assert table["slide"].nunique() == 7, "what the owner counts as patients"
    assert table["label"].value_counts().to_dict() == {"benign": 4, "malignant": 3}
    assert set(table.loc[table["patient_id"] == "14-21998", "lesion_type"]) == {"fibroadenoma", "phyllodes tumor"}


def test_the_copy_on_kaggle_has_a_folder_more(root):
    (root / "BreaKHis_v1").mkdir()
    (root / "histology_slides").rename(root / "BreaKHis_v1" / "histology_slides")
    (root / "Folds.csv").write_text("fold,mag,grp,filename\n")
    assert len(breakhis.manifest(root, partial=True)) == 7


def test_one_magnification_can_be_chosen(root):
    assert set(breakhis.manifest(root, 40, partial=True)["magnification"]) == {40}
    with pytest.raises(mammo.MammoError, match="not 50"):
        breakhis.manifest(root, 50)


def test_what_is_short_is_counted_and_what_is_strange_named(root):
    with pytest.raises(mammo.MammoError, match="2,480 benign pictures were published, 4 found"):
        breakhis.manifest(root)
    (root / "holiday.png").touch()
    with pytest.raises(mammo.MammoError, match=r"holiday\.png"):
        breakhis.manifest(root)
    with pytest.warns(UserWarning, match=r"holiday\.png"):
        assert len(breakhis.manifest(root, partial=True)) == 7
    with pytest.raises(mammo.MammoError, match="no files in"):
        breakhis.manifest(root / "nowhere")
    shutil.rmtree(root / "histology_slides")
    with pytest.raises(mammo.MammoError, match="no picture of BreakHis"), pytest.warns(UserWarning, match="holiday"):
        breakhis.manifest(root, partial=True)


def test_pictures_may_be_links_into_a_store(root, tmp_path):
    """Twins share one file there, and its name says nothing."""
    before = breakhis.manifest(root, partial=True)
    (tmp_path / "store").mkdir()
    for path in root.rglob("*.png"):
        path.unlink()
        path.symlink_to(tmp_path / "store" / "blob")
    Image.new("RGB", (140, 120), (200, 90, 160)).save(tmp_path / "store" / "blob", "PNG")
    assert breakhis.manifest(root, partial=True).equals(before)


def test_pictures_are_taken_whole_and_in_colour(root):
    table = breakhis.manifest(root, partial=True)
    assert set(table["image_kind"]) == {"micrograph"}
    (x,) = load_images(table[:1], (60, 84))
    assert x.shape == (60, 84, 3)
    np.testing.assert_allclose(x[:, :70], np.broadcast_to(np.float32([200, 90, 160]) / 255, (60, 70, 3)), atol=1e-6)
    assert not x[:, 70:].any(), "the aspect is kept and the rest padded"


def test_only_micrographs_are_mirrored_when_augmented():
    left = np.zeros((64, 64, 3), np.float32)
    left[:, :16] = (0.9, 0.3, 0.6)
    for channels, sides in ((3, {True, False}), (1, {True})):
        images = [augment(left[..., :channels], np.random.default_rng(seed)) for seed in range(20)]
        assert {bool(x[:, :32].sum() > x[:, 32:].sum()) for x in images} == sides
        assert all(x.shape == (64, 64, channels) for x in images)
    assert images[0].max() == pytest.approx(0.9, abs=1e-3)


def test_the_kinds_are_not_mixed(root, demo):
    micrographs = breakhis.manifest(root, partial=True)
    with pytest.raises(mammo.MammoError, match="one table for each kind"):
        ImageLoader(pd.concat([micrographs, demo]), (64, 64))
    with pytest.raises(mammo.MammoError, match="colour"):
        mammo.read_mammogram(micrographs["path"][0])
    with pytest.raises(mammo.MammoError, match="Unknown kinds of images 'x-ray'"):
        mammo.check_manifest(demo.assign(image_kind="x-ray"))


@pytest.fixture(scope="module")
def replica(tmp_path_factory):
    """192 pictures of 24 patients; hue tells the classes apart, and grey does not."""
    table = breakhis.manifest(breakhis_replica(tmp_path_factory.mktemp("replica")), partial=True)
    return mammo.split_by_patient(table, (0.5, 0.25, 0.25))


@pytest.fixture(scope="module")
def trained(replica, tmp_path_factory):
    """The folder of a classifier of micrographs, and its report. Demo weights have only seen greys."""
    import keras

    keras.utils.set_random_seed(0)
    model = mammo.build_model(None, (64, 96), quiet=True, channels=3)
    mammo.train_head(model, replica, epochs=20, n_augmentations=1)
    mammo.fine_tune(model, replica[replica["magnification"] == 40], stages=1, epochs=1, n_augmentations=0)
    report = mammo.evaluate(mammo.predict_manifest(model, replica))
    folder = tmp_path_factory.mktemp("saved") / "model"
    mammo.save_classifier(folder, model, report, ood_detector=mammo.fit_ood_detector(model, replica))
    return folder, report


@pytest.mark.training
def test_micrographs_are_trained_on_saved_and_predicted(replica, trained, tmp_path):
    folder, report = trained
    assert report["auc"] > 0.95, "colour is all that tells them apart"
    classifier = mammo.load_classifier(folder)
    assert (classifier.card.image_kind, classifier.card.channels) == ("micrograph", 3)
    text = (folder / "MODEL_CARD.md").read_text()
    assert "for one micrograph" in text
    assert "64 x 96, RGB" in text
    classifier.warm_up()
    test = replica[replica["split"] == "test"]
    predictions = [classifier.predict(path) for path in test["path"][:4]]
    assert not [text for each in predictions for text in each.warnings if "out of distribution" not in text]
    figure = mammo.notebook.figure_of(predictions[0])
    figure.canvas.draw()
    mammo.plots.close()
    for path in test["path"][:4]:
        shutil.copy(path, tmp_path)
    scores = mammo.score_folder(tmp_path, tmp_path / "scores.csv", classifier).set_index("file")
    for each in predictions:
        assert scores["probability"][each.mammogram.file] == pytest.approx(each.probability, abs=1e-4)
        assert scores["result"][each.mammogram.file] == each.result


@pytest.mark.training
def test_an_exported_classifier_of_micrographs_predicts_the_same(replica, trained, demo, tmp_path):
    for package in ("onnxruntime", "openvino", "tf2onnx"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    in_keras = mammo.load_classifier(trained[0])
    folder = in_keras.export(tmp_path / "fast")
    for runtime in ("onnx", "openvino"):
        fast = mammo.load_classifier(folder, runtime=runtime)
        fast.warm_up()
        for path in replica["path"][replica["split"] == "test"][:6]:
            one, other = in_keras.predict(path), fast.predict(path)
            assert other.probability == pytest.approx(one.probability, abs=1e-3)
            assert (other.result, other.warnings) == (one.result, one.warnings)
            np.testing.assert_allclose(other.heatmap, one.heatmap, atol=0.01)
        with pytest.raises(mammo.MammoError, match="has only greys, and a micrograph is a colour picture"):
            fast.predict(demo["path"][0])


@pytest.mark.training
def test_a_classifier_refuses_files_of_the_other_kind(replica, trained, classifier, demo, write_dicom, image):
    micrographs = mammo.load_classifier(trained[0])
    dicom = write_dicom((image * 4095).astype(np.uint16), bits=12)
    for path, reason in ((demo["path"][0], "has only greys"), (dicom, "is DICOM")):
        with pytest.raises(mammo.MammoError, match=f"{reason}, and a micrograph is a colour picture"):
            micrographs.predict(path)
    with pytest.raises(mammo.MammoError, match="is a colour picture, and a mammogram has only greys"):
        classifier.predict(replica["path"][0])


@pytest.mark.training
def test_a_model_of_the_other_kind_is_refused(replica, trained, model, tmp_path):
    with pytest.raises(mammo.MammoError, match=r"has micrographs, and the model takes 1 channels.*channels=3"):
        mammo.train_head(model, replica, epochs=1)
    with pytest.raises(mammo.MammoError, match="has micrographs, and the model takes 1"):
        mammo.predict_manifest(model, replica)
    with pytest.raises(mammo.MammoError, match="kind micrograph, and the model takes 1"):
        mammo.save_classifier(tmp_path / "model", model, trained[1])


def test_what_other_programs_leave_is_no_data(root, leave_junk):
    before = breakhis.manifest(root, partial=True)
    leave_junk(root)
    pd.testing.assert_frame_equal(breakhis.manifest(root, partial=True), before)
