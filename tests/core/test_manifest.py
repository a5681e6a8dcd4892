import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from manifests import table

import mammo
from mammo.core.manifest import class_indices, image_kind, patches_of, patient_ids, rows_in_split
from mammo.data.image_loader import ImageLoader


def test_a_leaking_patient_raises_everywhere(tmp_path):
    leaking = mammo.split_by_patient(table())
    row = leaking.index[leaking.split == "train"][0]
    leaking.loc[row, "split"] = "test"
    for use in (
        mammo.check_manifest,
        lambda m: mammo.save_manifest(m, tmp_path / "m.csv"),
        lambda m: rows_in_split(m, "train"),
        lambda m: mammo.evaluate(m.assign(probability=0.5)),
    ):
        with pytest.raises(mammo.MammoError, match="more than one split"):
            use(leaking)
    assert not (tmp_path / "m.csv").exists()


@pytest.mark.parametrize(("one", "other"), [(1, "1"), (1.0, "1"), ("1.0", 1), ("1", " 1"), ("\u00fc", "u\u0308")])
def test_ids_of_two_types_are_one_patient(one, other):
    rows = table(4).assign(patient_id=pd.Series([one, 2, other, 2] * 2, dtype=object), split=["train", "test"] * 4)
    rows["split"] = ["train", "validation", "test", "validation"] * 2
    with pytest.raises(mammo.MammoError, match="1 patients are in more than one split"):
        mammo.check_manifest(rows)
    whole = mammo.check_manifest(rows.assign(split="train"))
    assert whole is None, "in one split they leak nothing"


def test_zeros_in_front_and_capitals_tell_patients_apart(tmp_path):
    rows = table(2, images=2).assign(patient_id=["1", "01", "p1", "P1"])
    assert patient_ids(rows).tolist() == ["1", "01", "p1", "P1"]
    assert patient_ids(rows.assign(patient_id=[1, 2.5, np.nan, "a.0"])).tolist()[:2] == ["1", "2.5"]
    assert patient_ids(rows.assign(patient_id=[1, 2.5, np.nan, "a.0"])).isna().tolist() == [False, False, True, False]


def test_ids_of_two_types_are_split_saved_and_loaded_as_text(demo, tmp_path):
    number = demo["patient_id"].str[-4:].astype(int).astype(object)
    mixed = number.where(np.arange(len(demo)) % 2 == 0, number.astype(str))
    split = mammo.split_by_patient(demo.assign(patient_id=mixed))
    assert split.groupby(number)["split"].nunique().max() == 1
    assert rows_in_split(split, "train")["patient_id"].map(type).unique().tolist() == [str]
    loaded = mammo.load_manifest(mammo.save_manifest(split, tmp_path / "m.csv"))
    assert loaded["patient_id"].tolist() == number.astype(str).tolist()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("label", ["benign", "malignant"])
def test_a_split_with_one_class_is_named(demo, split, label):
    rows = demo.assign(label=demo["label"].mask(demo["split"] == split, label))
    with pytest.raises(mammo.MammoError, match=f"images of the {split} split are {'not ' * (label == 'benign')}malig"):
        rows_in_split(rows, split)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.drop(columns="patient_id"), "no column patient_id"),
        (lambda m: m.assign(label="cancer"), "Unknown labels"),
        (lambda m: m.assign(split="training"), "Unknown splits"),
        (lambda m: m.assign(label=["benign", "cancer", 1, None, *m.label[4:]]), "no label in 1 rows"),
        (
            lambda m: m.assign(label=["benign", "cancer", 1, True, *m.label[4:]]),
            "Unknown labels 'cancer', 1, True; use",
        ),
        (lambda m: m.assign(label=[["benign"], *m.label[1:]]), "Unknown labels"),
        (lambda m: m.assign(split=["train", 0, *["val"] * (len(m) - 2)]), "Unknown splits 'val', 0; use"),
        (lambda m: m.assign(path="same.png"), "listed twice"),
        (lambda m: m.assign(path=["\u00fc", "u\u0308", *m.path[2:]]), "listed twice"),
        (lambda m: m.assign(path=[1, *m.path[1:]]), "path that is no text"),
        (lambda m: m.iloc[:0], "no rows"),
        (lambda m: m[[*m.columns, "label"]], "the column label twice"),
        (
            lambda m: m.assign(patient_id=["a", "b\nc", *m.patient_id[2:]]),
            "line break in patient_id in 1 rows, first row 2",
        ),
        (lambda m: m.assign(source=["a", "b\r\nc", *m.label[2:]]), "line break in source in 1 rows"),
        (lambda m: m.assign(split=["train", None, *["train"] * (len(m) - 2)]), "1 rows have no split, first row 2"),
        (lambda m: m.assign(split=[None, None, *["train"] * (len(m) - 2)]), "2 rows have no split, first row 1"),
        (
            lambda m: m.assign(x=["1", "12,5", *["2"] * (len(m) - 2)]),
            "x is no finite number in 1 rows, first row 2, .*: '12,5'",
        ),
        (
            lambda m: m.assign(y=[None, 1.0, np.inf, *[2.0] * (len(m) - 3)]),
            "y is no finite number in 1 rows, first row 3, .*: inf",
        ),
        (lambda m: m.assign(radius="nan"), "radius is no non-negative number in 60 rows, first row 1, .*: 'nan'"),
        (lambda m: m.assign(patient_id=[None, *m.patient_id[1:]]), "no patient_id in 1 rows"),
        (
            lambda m: m.assign(patient_id=["a", " ", *m.patient_id[2:]]),
            r"no patient_id in 1 rows, first row 2, counted from 1 without the header",
        ),
    ],
)
def test_check_names_what_is_wrong(change, message):
    with pytest.raises(mammo.MammoError, match=message):
        mammo.check_manifest(change(table()))


def test_saved_and_loaded_it_is_the_same(demo, tmp_path):
    loaded = mammo.load_manifest(mammo.save_manifest(demo, tmp_path / "sub" / "manifest.csv"))
    pd.testing.assert_frame_equal(loaded, demo, check_dtype=False)


def test_paths_on_disk_are_relative(demo):
    from pathlib import Path

    folder = Path(demo.path[0]).parent.parent
    assert pd.read_csv(folder / "manifest.csv").path[0].startswith("images/")


@pytest.mark.parametrize("name", ["m.csv.gz", "m.ZIP"])
def test_a_table_is_not_written_under_the_name_of_an_archive(demo, tmp_path, name):
    with pytest.raises(mammo.MammoError, match=f"{name}: a manifest is written uncompressed"):
        mammo.save_manifest(demo, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_numeric_patient_ids_stay_text(tmp_path, demo):
    rows = demo.assign(patient_id=[f"{int(p[-4:]):04d}" for p in demo.patient_id])
    loaded = mammo.load_manifest(mammo.save_manifest(rows, tmp_path / "m.csv"))
    assert loaded.patient_id[0] == "0000"


@pytest.mark.parametrize("patient", ["NA", "None", "nan", "01", "1e3"])
def test_a_patient_may_have_any_name(demo, tmp_path, patient):
    rows = demo.replace({"patient_id": {demo["patient_id"].iloc[0]: patient}})
    read = mammo.load_manifest(mammo.save_manifest(rows, tmp_path / "m.csv"))
    assert read["patient_id"].tolist() == rows["patient_id"].tolist()


def test_missing_images_are_named(tmp_path):
    path = tmp_path / "m.csv"
    table().to_csv(path, index=False)
    with pytest.raises(mammo.MammoError, match=r"60 images that do not exist, first .*0_0\.png"):
        mammo.load_manifest(path)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for name, why in {"folder.png": "are no files", "loop.png": r"cannot be opened \(Too many levels"}.items():
        table(1, 1).assign(path=name).to_csv(path, index=False)
        with pytest.raises(mammo.MammoError, match=f"1 images that {why}.*{name}"):
            mammo.load_manifest(path)
    with pytest.raises(mammo.MammoError, match="no such manifest"):
        mammo.load_manifest(tmp_path / "none.csv")


def test_a_name_in_another_unicode_form_is_found(demo, tmp_path):
    shutil.copy(demo.path[0], tmp_path / "Mu\u0308ller.png")
    table(1, 1).assign(path="M\u00fcller.png", mask_path="M\u00fcller.png").to_csv(tmp_path / "m.csv", index=False)
    loaded = mammo.load_manifest(tmp_path / "m.csv")
    assert loaded["path"][0] == loaded["mask_path"][0] == str(tmp_path / "Mu\u0308ller.png")


def test_rows_with_more_cells_than_columns_are_refused(tmp_path):
    """Pandas would take the first column for the names of the rows, and move all others."""
    text = table(2).to_csv(index=False).splitlines()
    (tmp_path / "m.csv").write_text("\n".join([text[0], *(f"{line}," for line in text[1:])]))
    with pytest.raises(mammo.MammoError, match="more cells than the table has columns"):
        mammo.load_manifest(tmp_path / "m.csv")


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    (tmp_path / "m.csv").write_text(table(1, 1).assign(path="a\0.png").to_csv(index=False))
    with pytest.raises(mammo.MammoError, match=r"no name of a file|do not exist"):  # pandas 2 cuts it off at the zero
        mammo.load_manifest(tmp_path / "m.csv")


def test_what_the_disk_refuses_is_said(demo, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(mammo.MammoError, match=r"cannot be written \(.*(File exists|Not a directory).*another folder"):
        mammo.save_manifest(demo, tmp_path / "file" / "m.csv")

    def refused(*given, **options):
        raise PermissionError(13, "Permission denied", str(tmp_path / "file"))

    monkeypatch.setattr(pd, "read_csv", refused)
    with pytest.raises(mammo.MammoError, match=r"file may not be read \(Permission denied\)"):
        mammo.load_manifest(tmp_path / "file")


def test_normal_counts_as_not_malignant():
    rows = pd.DataFrame({"label": ["normal", "benign", "malignant"]})
    np.testing.assert_array_equal(class_indices(rows), [0, 0, 1])
    assert mammo.CLASS_NAMES == ("benign", "malignant")


def test_patches_may_be_several_of_an_image_but_not_the_same(demo):
    lesions = demo.dropna(subset=["x"]).head(2)
    twice = pd.concat([lesions, lesions.assign(x=lesions["x"] + 5), lesions])
    patches = mammo.lesion_patches(twice)
    assert len(patches) == 4
    assert len(patches_of(patches)) == 4
    assert patches_of(lesions) == [None, None]
    with pytest.raises(mammo.MammoError, match="listed twice"):
        mammo.check_manifest(pd.concat([patches, patches]))
    with pytest.raises(mammo.MammoError, match="no column radius: nobody has located them"):
        mammo.lesion_patches(lesions.drop(columns="radius"))
    with pytest.raises(mammo.MammoError, match="has no rows"):
        mammo.lesion_patches(lesions.assign(x=None))
    assert mammo.lesion_patches(lesions, side=100)["patch_size"].tolist() == [100.0, 100.0]
    unnamed = lesions.assign(label=[None, *lesions["label"].iloc[1:]])
    assert len(mammo.lesion_patches(unnamed)) == 1, "what nobody has named is left out"
    for labels in (["benign", "malignant"], ["malignant", "benign"]):
        same = pd.concat([lesions.head(1)] * 2).assign(label=labels)
        assert mammo.lesion_patches(same)["label"].tolist() == ["malignant"], "of two at one position the most severe"
    with pytest.raises(mammo.MammoError, match="Unknown labels 'cyst'"):
        mammo.lesion_patches(lesions.assign(label="cyst"))
    with pytest.raises(mammo.MammoError, match="no column label"):
        mammo.lesion_patches(lesions.drop(columns="label"))


def test_patches_survive_the_csv(demo, tmp_path):
    patches = mammo.lesion_patches(demo)
    again = mammo.load_manifest(mammo.save_manifest(patches, tmp_path / "patches.csv"))
    assert patches_of(again) == patches_of(patches)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": None}, "whole images, or patches"),
        ({"y": "left"}, "y is no finite number in 1 rows, first row 1, .*: 'left'.*decimal point"),
        ({"patch_size": 0.0}, r"patch_size is no positive number in 1 rows, first row 1, .*: 0\.0"),
    ],
)
def test_patches_and_whole_images_are_not_in_one_table(change, message):
    patches = table(4).assign(x=10.0, y=12.0, patch_size=32.0)
    mammo.check_manifest(patches)
    row = patches.iloc[:1].assign(**change)
    with pytest.raises(mammo.MammoError, match=message):
        mammo.check_manifest(pd.concat([row, patches.iloc[1:]]))
    for column in {"x", "y"} & set(change):
        with pytest.raises(mammo.MammoError, match="whole images, or patches"):
            mammo.check_manifest(patches.drop(columns=column))


@pytest.mark.parametrize("options", [{"margin": margin} for margin in (-5, 0, np.nan, "2", None)])
@pytest.mark.parametrize("name", ["margin", "side"])
def test_a_margin_or_side_that_is_none_is_refused(demo, name, options):
    value = options["margin"]
    if (name, value) == ("side", None):
        return
    with pytest.raises(mammo.MammoError, match=f"{name} is a positive number, not {value!r}"):
        mammo.lesion_patches(demo, **{name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": -3}, "radius is no non-negative number in 2 rows, first row 1, .*: -3"),
        ({"radius": np.inf}, "radius is no non-negative number in 2 rows, first row 1, .*: inf"),
        ({"x": [3.0, np.inf]}, "x is no finite number in 1 rows, first row 2, .*: inf"),
        (
            {"x": [None, "12,5"]},
            "x is no finite number in 1 rows, first row 2, .*: '12,5'.*decimal point, such as 12.5",
        ),
    ],
)
def test_a_place_that_is_none_is_named(demo, change, message):
    lesions = demo.dropna(subset=["x"]).head(2)
    with pytest.raises(mammo.MammoError, match=message):
        mammo.lesion_patches(lesions.assign(**change))


def test_a_point_has_a_radius_of_0_and_places_may_be_text(demo):
    """INbreast has calcifications that are a single point."""
    lesions = demo.dropna(subset=["x"]).head(2)
    assert mammo.lesion_patches(lesions.assign(radius=0))["patch_size"].tolist() == [32.0, 32.0]
    assert patches_of(mammo.lesion_patches(lesions.astype({"x": str, "radius": str}))) == patches_of(
        mammo.lesion_patches(lesions)
    )


def test_a_table_that_is_not_split_has_no_split(demo):
    mammo.check_manifest(demo.assign(split=None))
    with pytest.raises(mammo.MammoError, match="no train images"):
        rows_in_split(demo.assign(split=None), "train")


def test_categorical_columns_are_words(demo, tmp_path):
    rows = demo.assign(
        **{name: demo[name].astype("category") for name in ("label", "path", "patient_id", "laterality")}
    )
    split = mammo.split_by_patient(rows)
    pd.testing.assert_series_equal(split["split"], mammo.split_by_patient(demo)["split"])
    owners = split.assign(split=split["split"].replace("validation", "train").astype("category"))
    assert set(mammo.add_validation_split(owners)["split"]) == {"train", "validation", "test"}
    path = mammo.save_manifest(rows, tmp_path / "m.csv")
    assert mammo.load_manifest(path)["path"].tolist() == demo["path"].tolist()
    scored = rows.assign(probability=0.5)
    assert len(mammo.combine_views(scored, "breast")) == 2 * demo["patient_id"].nunique()


def test_a_folder_that_may_not_be_read_is_said(demo, lock):
    lock(Path(demo["path"][0]).parents[1])
    with pytest.raises(mammo.MammoError, match=r"manifest\.csv may not be read"):
        mammo.load_manifest(Path(demo["path"][0]).parents[1] / "manifest.csv")


@pytest.mark.parametrize("given", ["a folder", None, [1, 2], {"path": ["a"]}])
@pytest.mark.parametrize(
    "function",
    [
        mammo.check_manifest,
        mammo.evaluate,
        mammo.subgroup_metrics,
        mammo.find_duplicates,
        mammo.split_by_patient,
        mammo.add_validation_split,
        mammo.lesion_patches,
        mammo.combine_views,
        lambda given: mammo.compare_models(given, given),
        lambda given: mammo.save_manifest(given, table()),
        lambda given: ImageLoader(given, (64, 64)),
    ],
)
def test_what_is_no_table_is_refused(function, given):
    with pytest.raises(mammo.MammoError, match=f"^{type(given).__name__} is no table. Give"):
        function(given)


@pytest.mark.parametrize("kinds", [[None, None], [None, "mammogram"]])
def test_images_without_a_kind_are_mammograms_also_in_a_categorical_column(kinds):
    rows = pd.DataFrame({"image_kind": pd.Categorical(kinds)})
    assert image_kind(rows) == "mammogram"


def test_lesions_that_have_masks_can_be_located():
    with pytest.raises(mammo.MammoError, match=r"no column x, y, radius: nobody.*locate=True\) does, from their masks"):
        mammo.lesion_patches(table().assign(mask_path="mask.png"))


def test_a_link_in_the_table_keeps_its_name(demo, tmp_path):
    link = tmp_path / "named.png"
    link.symlink_to(demo["path"][0])
    rows = demo.iloc[:2].assign(path=[str(link), demo["path"][1]])
    path = mammo.save_manifest(rows, tmp_path / "m.csv")
    assert [Path(name).name for name in mammo.load_manifest(path)["path"]] == ["named.png", Path(demo["path"][1]).name]
