"""Elements of a header that are absent, empty or of the wrong type raise nothing."""

import pydicom
import pytest
from pydicom.dataset import Dataset

from mammo.io.header import codes, integer, items, number, numbers, text, value


def header_with(tag, held) -> Dataset:
    header = Dataset()
    header[tag] = pydicom.DataElement(tag, pydicom.datadict.dictionary_VR(tag), None)
    header[tag]._value = held
    return header


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (None, []),
        ("", []),
        ("1,5", [1.5]),
        (" 2.0\0", [2.0]),
        (["1,5", "2"], [1.5, 2.0]),
        (["1", "x"], [1.0, None]),
        ("nan", [None]),
        ("-inf", [None]),
        (b"\1\2", [None]),
        (7, [7.0]),
    ],
)
def test_numbers(held, expected):
    assert numbers(header_with("WindowCenter", held), "WindowCenter") == expected
    assert numbers(Dataset(), "WindowCenter") == []


def test_a_number_that_cannot_be_read_is_noted_and_one_that_is_absent_is_not():
    assert number(header_with("RescaleSlope", "x"), "RescaleSlope", 1, notes := []) == 1
    assert "RescaleSlope" in notes[0]
    assert number(Dataset(), "RescaleSlope", 1, notes := []) == 1
    assert not notes
    assert integer(header_with("Rows", "12.0"), "Rows") == 12
    assert integer(Dataset(), "Rows", 5) == 5


def test_a_sequence_that_is_none_has_no_items():
    for held in (b"", b"\0\1", "text", None):
        header = header_with("ViewCodeSequence", held)
        assert items(header, "ViewCodeSequence") == []
        assert codes(header, "ViewCodeSequence") == []


def test_an_element_that_pydicom_cannot_convert_counts_as_absent():
    class Damaged(Dataset):
        def get(self, *_):
            raise NotImplementedError("Unknown Value Representation")

    assert value(Damaged(), "BodyPartExamined") is None
    assert text(Damaged(), "BodyPartExamined") == ""
    assert integer(Damaged(), "Rows", 3) == 3
