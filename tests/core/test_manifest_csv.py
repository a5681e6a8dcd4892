"""What spreadsheets make of a manifest, and what is said about it."""

import pytest

import mammo

ROW = "a.png,benign,P1"


def refused(folder, content, message, name="m.csv", encoding="utf-8"):
    (folder / name).write_bytes(content.encode(encoding))
    with pytest.raises(mammo.MammoError, match=message):
        mammo.load_manifest(folder / name)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("path;label;patient_id;x", r"has 'path;label;patient_id;x'\. The separator is ';'.*decimal='"),
        ("path\tlabel\tpatient_id\tx", r"separator is '\\t'"),
        ("Path,Label,Patient_ID", "rename 'Path' to path, 'Label' to label, 'Patient_ID' to patient_id"),
        (
            "path, label,Patient ID",
            "no column label, patient_id; .* rename ' label' to label, 'Patient ID' to patient_id",
        ),
        ("path,label,patient", r"no column patient_id; .* and has 'path', 'label', 'patient'\.$"),
    ],
)
def test_a_missing_column_is_said_with_those_that_are_there(tmp_path, header, message):
    refused(tmp_path, f"{header}\n{ROW}\n", message)
    refused(tmp_path, f"{header}\na.png;benign;P1;12,5\n", message)


def test_many_columns_are_not_all_named(tmp_path):
    refused(tmp_path, ",".join(f"c{n}" for n in range(99)), r"'c11' and more\.$")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_says_how_to_save_it(tmp_path, encoding):
    refused(tmp_path, f"path,label,patient_id\n{ROW}\u00fc\n", "not text in UTF-8.*CSV UTF-8", encoding=encoding)


def test_a_workbook_and_a_folder_are_named(tmp_path):
    refused(tmp_path, "PK\3\4", "m.XLSX is a workbook, not a CSV table.*CSV UTF-8", name="m.XLSX")
    with pytest.raises(mammo.MammoError, match="is a folder"):
        mammo.load_manifest(tmp_path)
    refused(tmp_path, "", "cannot be read as a CSV table")


@pytest.mark.parametrize("rows", [f"{ROW},12,5\n", f"{ROW},3\n{ROW},12,5\n"])
def test_a_decimal_comma_makes_a_cell_too_many(tmp_path, rows):
    refused(tmp_path, f"path,label,patient_id,x\n{rows}", "a number a decimal point")


def test_a_decimal_comma_in_quotes_is_named(tmp_path):
    refused(
        tmp_path,
        f'path,label,patient_id,x\n{ROW},3\n{ROW},"12,5"\n',
        "x is no finite number in 1 rows, first row 2, .*: '12,5'",
    )


@pytest.mark.parametrize("row", ['{}.png,benign,"P{},L', '{}.png,benign,P{},"L'])
def test_quotes_that_are_not_closed_lose_no_rows(tmp_path, row):
    """Each is closed by that of the next row: of eight rows there would be four."""
    rows = "\n".join(row.format(number, number) for number in range(8))
    refused(tmp_path, f"path,label,patient_id,laterality\n{rows}\n", "line break in .* in 4 rows, first row 1")


def test_the_row_that_is_named_is_counted_as_it_is_seen(tmp_path):
    rows = [ROW] * 8 + ["a.png,,P1"]
    refused(
        tmp_path, "\n".join(["path,label,patient_id", *rows]), "no label in 1 rows, first row 9, counted from 1 witho"
    )
