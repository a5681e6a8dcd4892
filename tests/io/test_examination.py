"""Whether a header says breast, in codes or in words; special views are named."""

import numpy as np
import pydicom
import pytest
from files import stored
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

import mammo
from mammo.io.examination import SPECIAL_VIEWS, VIEWS

CR_STORAGE = uid.ComputedRadiographyImageStorage


def coded(value, meaning="", modifiers=()) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = value, meaning
    if modifiers:
        item.ViewModifierCodeSequence = [coded(each) for each in modifiers]
    return item


@pytest.fixture
def filed_as(write_dicom):
    """A film with these tags, of a storage class that says nothing of breasts."""

    def write(modality, **tags):
        tags = {"SOPClassUID": CR_STORAGE, "SpecificCharacterSet": "ISO_IR 192"} | tags
        return write_dicom(stored(12), bits=12, Modality=modality, **tags)

    return write


BREASTS = [
    {"BodyPartExamined": "BREAST"},
    {"BodyPartExamined": "LEFT BREAST"},
    {"BodyPartExamined": "MAMMA"},
    {"BodyPartExamined": "SENO"},
    {"AnatomicRegionSequence": [coded("76752008")]},
    {"AnatomicRegionSequence": [coded("T-04030")]},
    {"AnatomicRegionSequence": [coded("X", "Mamma links")]},
    {"PrimaryAnatomicStructureSequence": [coded("80248007")]},
    {"ViewCodeSequence": [coded("399368009")]},
    {"ViewPosition": "MLO", "BodyPartExamined": ""},
    {"SOPClassUID": uid.DigitalMammographyXRayImageStorageForPresentation},
    {"StudyDescription": "Mammographie beidseits"},
    {"StudyDescription": "MAMOGRAFÍA BILATERAL"},
    {"SeriesDescription": "Mammografia"},
    {"ProtocolName": "Mammogram screening"},
    {"BodyPartExamined": "BREAST_LEFT"},
    {"BodyPartExamined": "MAMMARY GLAND"},
    {"BodyPartExamined": "UNKNOWN", "StudyDescription": "Mammo"},
    {"StudyDescription": "маммография"},
    {"StudyDescription": "マンモグラフィ"},
]
OTHERS = [
    {},
    {"BodyPartExamined": "HAND", "ViewPosition": "PA"},
    {"BodyPartExamined": "CHEST", "StudyDescription": "breast screening"},
    {"AnatomicRegionSequence": [coded("51185008", "Chest")], "StudyDescription": "mammography"},
    {"StudyDescription": "RX SENOS PARANASALES"},
    {"StudyDescription": "BREASTBONE"},
    {"StudyDescription": "US BREAST LEFT"},
    {"StudyDescription": "ECOGRAFIA MAMA"},
]


@pytest.mark.parametrize("modality", ["CR", "DX", "SC", "OT", ""])
@pytest.mark.parametrize("tags", BREASTS, ids=str)
def test_a_radiograph_that_says_breast_is_read_with_a_warning(modality, tags, filed_as):
    (warning,) = mammo.read_mammogram(filed_as(modality, **tags)).warnings
    assert "says breast" in warning


@pytest.mark.parametrize("tags", OTHERS, ids=str)
def test_a_radiograph_of_something_else_is_refused(tags, filed_as):
    with pytest.raises(mammo.MammoError, match="not a mammogram"):
        mammo.read_mammogram(filed_as("CR", **tags))


@pytest.mark.parametrize("modality", ["CT", "US", "MR", "PT", "NM"])
def test_other_images_of_the_breast_are_refused(modality, filed_as):
    with pytest.raises(mammo.MammoError, match=f"modality {modality}, not a mammogram"):
        mammo.read_mammogram(filed_as(modality, BodyPartExamined="BREAST", ViewPosition="CC"))


def with_modifier(value, modifier) -> Dataset:
    item = coded(value)
    item.ViewModifierCodeSequence = [modifier]
    return item


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"ViewCodeSequence": [coded("399162004", "", ["399055006"])]}, "spot compression"),
        ({"ViewCodeSequence": [coded("R-10242", "", ["R-102D6"])]}, "magnification"),
        ({"ViewModifierCodeSequence": [coded("399209000")]}, "implant displaced"),
        ({"ViewPosition": "MLOID"}, "implant displaced"),
        ({"ViewPosition": "CC-M"}, "magnification"),
        ({"EstimatedRadiographicMagnificationFactor": "1.8"}, "magnification"),
        ({"PaddleDescription": "SPOT COMPRESSION"}, "spot compression"),
        ({"PartialView": "YES"}, "partial view"),
        ({"PartialViewCodeSequence": [coded("255551008")]}, "partial view"),
        ({"BreastImplantPresent": "YES"}, "implant"),
        ({"ViewCodeSequence": [coded("127457009")]}, "specimen"),
        ({"SeriesDescription": "L MLO Spot"}, "spot compression"),
        ({"SeriesDescription": "RMLOS"}, "spot compression"),
        ({"SeriesDescription": "Zielaufnahme re"}, "spot compression"),
        ({"SeriesDescription": "Compresión focalizada"}, "spot compression"),
        ({"SeriesDescription": "R CC MAG 1.8x"}, "magnification"),
        ({"SeriesDescription": "RMCC"}, "magnification"),
        ({"ProtocolName": "CC Vergrößerung"}, "magnification"),
        ({"AcquisitionDeviceProcessingDescription": "Magnificación"}, "magnification"),
        ({"SeriesDescription": "L CC ID"}, "implant displaced"),
        ({"SeriesDescription": "Eklund"}, "implant displaced"),
        ({"SeriesDescription": "LCC rolled"}, "rolled"),
        ({"SeriesDescription": "Specimen radiograph"}, "specimen"),
        ({"BodyPartExamined": "SPECIMEN"}, "specimen"),
        ({"ViewPosition": "CC SPOT"}, "spot compression"),
        ({"ViewCodeSequence": [coded("X", "cranio-caudal, spot compression")]}, "spot compression"),
        ({"ViewCodeSequence": [with_modifier("399162004", coded("", "Magnification"))]}, "magnification"),
    ],
    ids=str,
)
def test_views_that_are_not_the_usual_ones_are_named(tags, word, write_dicom):
    (warning,) = mammo.read_mammogram(
        write_dicom(stored(12), SpecificCharacterSet="ISO_IR 192", bits=12, **tags)
    ).warnings
    assert word in warning


@pytest.mark.parametrize(
    "words", ["L CC", "R-MLO", "LMLO", "RML", "MAMMO MAGENTA", "Screening CC/MLO", "XCCL", "L MLO at 45", "C-View LCC"]
)
def test_words_for_usual_views_are_not_remarked_on(words, write_dicom):
    assert not mammo.read_mammogram(write_dicom(stored(12), bits=12, SeriesDescription=words)).warnings


@pytest.mark.parametrize("view", ["CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM", "SIO", "FB"])
def test_usual_views_are_not_remarked_on(view, write_dicom):
    tags = {"ViewPosition": view, "EstimatedRadiographicMagnificationFactor": "1.05", "PartialView": "NO"}
    film = mammo.read_mammogram(write_dicom(stored(12), bits=12, BreastImplantPresent="NO", **tags))
    assert not film.warnings
    assert film.view == view


def test_codes_are_those_of_the_standard():
    """PS3.16, CID 4014 and 4015, as pydicom has them (SNOMED CT)."""
    views = {getattr(codes.cid4014, name).value for name in codes.cid4014.dir()}
    modifiers = {getattr(codes.cid4015, name).value for name in codes.cid4015.dir()}
    assert {snomed for snomed, _ in VIEWS.values()} == views
    assert {kinds[0] for kinds in SPECIAL_VIEWS.values()} == modifiers - {codes.cid4015.NippleInProfile.value}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"PixelSpacing": [0.1, 0.2]}, (0.1, 0.2)),
        ({"PixelSpacing": None, "ImagerPixelSpacing": [0.07, 0.07]}, (0.07, 0.07)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.07, 0.07]}, (0.07, 0.07)),
        ({"PixelSpacing": ["0.1"]}, None),
        ({"NominalScannedPixelSpacing": [0.05, 0.05]}, (0.05, 0.05)),
        ({}, None),
    ],
)
def test_spacing(tags, expected, write_dicom):
    assert mammo.read_mammogram(write_dicom(stored(12), bits=12, **tags)).pixel_spacing_mm == expected


def test_spacing_with_a_decimal_comma(write_dicom):
    path = write_dicom(stored(12), bits=12, PixelSpacing=["0.0700", "0.0700"])
    path.write_bytes(path.read_bytes().replace(b"0.0700", b"0,0700"))
    assert mammo.read_mammogram(path).pixel_spacing_mm == (0.07, 0.07)


@pytest.mark.parametrize(
    ("tag", "assumed"), [("SamplesPerPixel", 1), ("PhotometricInterpretation", "MONOCHROME2"), ("BitsStored", 16)]
)
def test_empty_elements_that_decoders_need_are_assumed(tag, assumed, write_dicom):
    path = write_dicom(stored(12), bits=12)
    expected = mammo.read_mammogram(path).image
    header = pydicom.dcmread(path)
    setattr(header, tag, None)
    header.save_as(path)
    film = mammo.read_mammogram(path)
    np.testing.assert_array_equal(film.image, expected)
    assert any(f"{tag} in the header has no value; {assumed}" in warning for warning in film.warnings)


def test_padding_that_covers_all_is_left_out(write_dicom):
    path = write_dicom(stored(12), bits=12, PixelPaddingValue=0, PixelPaddingRangeLimit=4095)
    film = mammo.read_mammogram(path)
    assert film.image.max() == 1
    assert any("padding" in warning for warning in film.warnings)
    header = pydicom.dcmread(path)
    header.add_new(0x00280121, "US", None)
    header.save_as(path)
    assert not mammo.read_mammogram(path).warnings


def test_padding_without_its_sign(write_dicom):
    """Some headers state -2000 as 63536."""
    pixels = (stored(12).astype(np.int32) - 1500).astype(np.int16)
    pixels[:30] = -2000
    path = write_dicom(pixels, bits=16)
    header = pydicom.dcmread(path)
    header.add_new(0x00280120, "US", 63536)
    header.save_as(path)
    image = mammo.read_mammogram(path).image
    assert (image[:30] == 0).all()
    assert image[30:].min() < 0.3
