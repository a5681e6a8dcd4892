"""Downloads from a local S3 server that holds small DICOM replicas under the real keys of IDC's real index."""

import errno
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter, defaultdict
from pathlib import Path
from types import SimpleNamespace

import boto3
import numpy as np
import pandas as pd
import pytest
import requests
from files import write_dicom
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from pydicom.dataset import Dataset
from werkzeug.serving import make_server

import mammo
from mammo.core.files import write_atomically
from mammo.datasets import _idc_series, cbis_ddsm, cmmd, download

CODES = {"CC": "399162004", "MLO": "399368009"}
SIDE = 600  # of a replica; a file has 360 kB, more than one block
KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}


class Server:
    """The app of moto, with the requests it got and the faults it is told to have."""

    def __init__(self, app):
        self.app, self.files, self.status, self.cut, self.slow = app, Counter(), {}, {}, 0.0

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] == "GET" and path.endswith(".dcm"):
            self.files[path] += 1
            if self.status.get(path):
                start_response(f"{self.status[path].pop()} Fault", [("Content-Length", "0")])
                return [b""]
        body = b"".join(self.app(environ, start_response))
        if not path.endswith(".dcm"):
            return [body]
        if self.cut.get(path):
            body = body[: self.cut[path].pop()]
        return self.pieces(body) if self.slow else [body]

    def pieces(self, body):
        for at in range(0, len(body), 2**15):
            time.sleep(self.slow)
            yield body[at : at + 2**15]


@pytest.fixture(scope="module")
def served():
    server = Server(DomainDispatcherApplication(create_backend_app))
    running = make_server("127.0.0.1", 0, server, threaded=True)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{running.server_port}"
    server.s3 = boto3.client("s3", endpoint_url=server.url, **KEYS)
    server.s3.create_bucket(Bucket="idc-open-data", ACL="public-read")
    yield server
    running.shutdown()


@pytest.fixture(scope="module")
def archive(served, tmp_path_factory):
    """Replicas of three patients of CMMD and of three films of CBIS-DDSM; their rows have the replicas' sizes."""
    folder = tmp_path_factory.mktemp("replicas")
    tables = {name: download.idc_series(name).copy() for name in ("cmmd", "cbis_ddsm")}
    chosen = {"cmmd": cmmd_patients(), "cbis_ddsm": cbis_names()}
    for name, table in tables.items():
        for at in table.index[table["PatientID"].isin(chosen[name])]:
            row, sizes = table.loc[at], []
            for number in range(row["instanceCount"]):
                path = folder / f"{uuid.uuid4()}.dcm"
                write_replica(path, row["PatientID"], number)
                key = f"{row['crdc_series_uuid']}/{path.name}"
                served.s3.put_object(Bucket="idc-open-data", Key=key, Body=path.read_bytes(), ACL="public-read")
                sizes.append(path.stat().st_size)
            table.loc[at, "bytes"] = sum(sizes)
    return tables


def cmmd_patients():
    labels = {patient: row["label"] for (patient, _), row in cmmd._breasts(Path("nowhere")).items()}
    return download.draw_patients(labels, 3, 0)


def cbis_names():
    films = ["Mass-Training_P_00001_LEFT_CC", "Mass-Training_P_00001_LEFT_MLO", "P_00038_LEFT_CC.dcm"]
    return [*films, *(f"{film}_1" for film in films[:2]), "P_00038_LEFT_CC_1.dcm"]


def write_replica(path, patient, number):
    ramp = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 251).astype(np.uint8)
    if patient.startswith("D"):
        code = Dataset()
        code.CodeValue = CODES["CC" if number % 2 else "MLO"]
        write_dicom(path, ramp, 8, ImageLaterality="L" if number < 2 else "R", ViewCodeSequence=[code])
    elif number:
        write_dicom(path, ramp[:90, :80], 8)  # the crop of a lesion
    elif "_1" in patient[-6:]:
        write_dicom(path, (ramp > 200).astype(np.uint8) * 255, 8)  # its mask
    else:
        write_dicom(path, ramp, 8)


@pytest.fixture
def three(served, archive, monkeypatch):
    """The server without faults, and CMMD with only its three patients in it."""
    served.files.clear()
    served.status, served.cut, served.slow = {}, {}, 0.0
    monkeypatch.setattr(_idc_series, "BUCKET", served.url + "/{}")
    monkeypatch.setattr(_idc_series, "WAITS_S", (0, 0, 0))
    for module in (cmmd, cbis_ddsm):
        monkeypatch.setattr(module, "idc_series", archive.get)
    return served


def whole(root):
    return {path.name: path.stat().st_size for path in root.rglob("*.dcm") if path.is_file()}


@pytest.fixture(scope="module")
def expected(archive):
    table = archive["cmmd"][archive["cmmd"]["PatientID"].isin(cmmd_patients())]
    return int(table["instanceCount"].sum()), int(table["bytes"].sum())


def total(root):
    sizes = whole(root)
    return len(sizes), sum(sizes.values())


def test_the_index_has_every_labelled_patient_and_film():
    series = download.idc_series("cmmd")
    assert set(series["PatientID"]) == {patient for patient, _ in cmmd._breasts(Path("nowhere"))}
    assert (len(series), series["instanceCount"].sum(), round(series["bytes"].sum() / 1e9, 1)) == (1775, 5202, 22.9)
    series = download.idc_series("cbis_ddsm")
    tables = [cbis_ddsm._table(Path("nowhere"), kind, split, False) for kind, split in cbis_ddsm.PUBLISHED]
    wanted = {film for table in tables for film in table["folder"]}
    wanted |= {name for table in tables for name in table["folder"] + "_" + table["abnormality"]}
    assert set(series["PatientID"].map(cbis_ddsm._in_tables)) == wanted
    assert series["instanceCount"].sum() == 3103 + 2 * 3568
    hundredths = series["series_size_MB"] * 100
    assert ((hundredths - hundredths.round()).abs() > 1e-6).mean() > 0.9, "sizes are rounded, as in indexes before 25"


def test_patients_are_stratified_nested_and_the_same_for_the_same_seed():
    labels = {f"P{at}": "benign" if at % 10 < 3 else "malignant" for at in range(1000)}
    drawn = download.draw_patients(labels, 300, 0)
    assert len(set(drawn)) == 300
    for number in (10, 50, 100, 300):
        assert download.draw_patients(labels, number, 0) == drawn[:number]
        assert abs(sum(labels[patient] == "benign" for patient in drawn[:number]) - 0.3 * number) <= 1
    assert set(download.draw_patients(labels, 300, 1)) != set(drawn)
    assert set(download.draw_patients(labels, None, 0)) == set(labels)
    for number in (0, 1001, -1, 2.5, "10"):
        with pytest.raises(mammo.MammoError, match="from 1 to 1,000"):
            download.draw_patients(labels, number, 0)
    for seed in ("a", -1, None, 2.5):
        with pytest.raises(mammo.MammoError, match="seed is a whole number"):
            download.draw_patients(labels, 3, seed)


def test_a_download_of_cmmd_is_read_and_not_fetched_twice(three, tmp_path, expected, capsys, monkeypatch):
    root = cmmd.download(tmp_path / "CMMD", patients=3)
    printed = capsys.readouterr().out
    assert "CMMD, 3 patients" in printed
    assert "CC BY 4.0" in printed
    assert "eqde-4b16" in printed
    assert total(root) == expected
    with pytest.warns(UserWarning, match="taken in part"):
        table = cmmd.manifest(root, other_breast="normal", partial=True)
    assert len(table) == expected[0]
    assert set(table["patient_id"]) == set(cmmd_patients())
    monkeypatch.setattr(_idc_series, "BUCKET", "http://127.0.0.1:9/{}")  # nobody is asked
    assert cmmd.download(tmp_path / "CMMD", patients=3) == root
    assert "all of them are there already" in capsys.readouterr().out
    assert sum(three.files.values()) == expected[0]


@pytest.mark.filterwarnings("ignore:CBIS-DDSM")
def test_films_crops_and_masks_of_cbis_ddsm_are_read(three, archive, tmp_path):
    series = archive["cbis_ddsm"]
    series = series[series["PatientID"].isin(cbis_names())]
    download.fetch(tmp_path, series, "CBIS-DDSM", "", None)
    lesions = cbis_ddsm.lesions(tmp_path, partial=True)
    lesions = lesions[lesions["path"].notna()]
    assert lesions["film"].tolist() == ["P_00001_L_CC", "P_00001_L_MLO", "P_00038_L_CC"]
    assert lesions["crop_path"].notna().all()
    assert lesions["mask_path"].notna().all()
    assert cbis_ddsm.manifest(tmp_path, partial=True)["split"].tolist() == ["train", "train", "test"]


def test_which_patients_of_cmmd_are_fetched(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(cmmd, "fetch", lambda folder, series, *_: asked.append(series["PatientID"].tolist()))
    for number in (100, 300):
        cmmd.download(tmp_path, patients=number)
    assert asked[0] == asked[1][:100]
    labels = defaultdict(set)
    for (patient, _), breast in cmmd._breasts(Path("nowhere")).items():
        labels[patient].add(breast["label"])
    share = sum("malignant" in of for of in labels.values()) / len(labels)
    assert sum("malignant" in labels[patient] for patient in asked[1]) == pytest.approx(300 * share, abs=1)


def test_which_series_of_cbis_ddsm_are_fetched(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(cbis_ddsm, "fetch", lambda folder, series, *_: asked.append(series))
    cbis_ddsm.download(tmp_path, kind="mass", patients=50)
    cbis_ddsm.download(tmp_path, kind="mass", patients=100)
    cbis_ddsm.download(tmp_path, kind="mass", patients=50, masks=True)
    cbis_ddsm.download(tmp_path)
    few, more, masks, films = asked
    assert (few["instanceCount"] == 1).all()
    assert few["PatientID"].str.startswith("Mass-").all()
    assert few["PatientID"].tolist() == more["PatientID"].tolist()[: len(few)]
    assert set(few["PatientID"]) < set(masks["PatientID"])
    assert len(films) == 3103
    tables = [cbis_ddsm._table(Path("nowhere"), "mass", split, False) for split in ("train", "test")]
    patients = pd.concat(tables).groupby("patient_id").agg({"label": "max", "official_split": "min"})
    drawn = patients.loc[more["PatientID"].str.extract(r"(P_\d+)")[0].unique()]
    assert len(drawn) == 100
    assert (drawn.value_counts() - patients.value_counts(normalize=True) * 100).abs().max() <= 1


def test_too_much_is_refused_with_the_number(three, tmp_path, monkeypatch):
    with pytest.raises(mammo.MammoError, match=r"22\.\d GB would be fetched, more than max_gb=10"):
        cmmd.download(tmp_path / "a")
    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(mammo.MammoError, match=r"has 0\.0 GB free"):
        cmmd.download(tmp_path / "a", max_gb=None)
    assert not (tmp_path / "a").exists()
    assert not three.files


@pytest.mark.parametrize("max_gb", ["10", -1, float("nan")])
def test_a_limit_that_is_no_number_is_refused(tmp_path, max_gb):
    with pytest.raises(mammo.MammoError, match="max_gb is a positive number, or None"):
        cmmd.download(tmp_path / "a", patients=3, max_gb=max_gb)


def test_a_disk_that_fills_up_is_said_and_nothing_is_left(three, tmp_path, expected, monkeypatch):
    real = _idc_series.write_atomically

    def full(path, write):
        def fill(part):
            write(part)
            raise OSError(errno.ENOSPC, "No space left on device")

        real(path, fill)

    with monkeypatch.context() as context:
        context.setattr(_idc_series, "write_atomically", full)
        with pytest.raises(mammo.MammoError, match="disk is full"):
            cmmd.download(tmp_path, patients=3)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert total(cmmd.download(tmp_path, patients=3)) == expected


def test_a_connection_that_breaks_is_tried_again(three, tmp_path, expected):
    cmmd.download(tmp_path / "first", patients=3)
    one, two = sorted(three.files)[:2]
    three.cut[one], three.status[two] = [100_000], [503, 503]
    assert total(cmmd.download(tmp_path / "second", patients=3)) == expected
    assert (three.files[one], three.files[two]) == (3, 4)
    three.cut[one] = [100_000] * 9
    with pytest.raises(mammo.MammoError, match="connection broke down"):
        cmmd.download(tmp_path / "third", patients=3)
    assert Path(one).name not in whole(tmp_path / "third")
    assert not list((tmp_path / "third").rglob("*.partial"))


@pytest.mark.parametrize("fault", ["missing", "truncated", "refused"])
def test_what_the_archive_lacks_is_named_and_the_rest_is_fetched(fault, three, tmp_path, expected):
    cmmd.download(tmp_path / "first", patients=3)
    path = min(three.files)
    key = path.removeprefix("/idc-open-data/")
    body = three.s3.get_object(Bucket="idc-open-data", Key=key)["Body"].read()
    if fault == "missing":
        three.s3.delete_object(Bucket="idc-open-data", Key=key)
    elif fault == "truncated":
        three.s3.put_object(Bucket="idc-open-data", Key=key, Body=body[:-1000], ACL="public-read")
    else:
        three.status[path] = [403]
    try:
        with pytest.raises(mammo.MammoError, match=r"All else is there, but 1 series.*(D\d-\d{4} has|HTTP 403)"):
            cmmd.download(tmp_path / "second", patients=3)
    finally:
        three.s3.put_object(Bucket="idc-open-data", Key=key, Body=body, ACL="public-read")
    there = whole(tmp_path / "second")
    assert Path(path).name not in there
    assert expected[0] - 4 <= len(there) < expected[0]
    assert total(cmmd.download(tmp_path / "second", patients=3)) == expected


def test_a_file_of_another_size_is_fetched_again(three, tmp_path, expected):
    root = cmmd.download(tmp_path, patients=3)
    path = next(root.rglob("*.dcm"))
    path.write_bytes(path.read_bytes()[:-1])
    three.files.clear()
    less = expected[1] / 1e9 * 0.9  # max_gb is of what is left to fetch
    assert total(cmmd.download(tmp_path, patients=3, max_gb=less)) == expected
    assert sum(three.files.values()) == 1


def start(folder, archive, url):
    """The same call in another process."""
    archive["cmmd"].to_pickle(folder / "series.pkl")
    code = f"""
import signal
import pandas as pd
from mammo.datasets import _idc_series, cmmd
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process started in the background may ignore it
_idc_series.BUCKET = {url!r} + "/{{}}"
cmmd.idc_series = lambda name: pd.read_pickle({str(folder / "series.pkl")!r})
cmmd.download({str(folder / "CMMD")!r}, patients=3)
"""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_mid_file_the_same_call_goes_on(how, three, archive, tmp_path, expected):
    three.slow = 0.1
    process = start(tmp_path, archive, three.url)
    until = time.monotonic() + 60
    while not [part for part in tmp_path.rglob("*.partial") if part.stat().st_size] and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(how)
    assert process.wait(30) != 0
    assert bool(list(tmp_path.rglob("*.partial"))) == (how == signal.SIGKILL)
    assert len(whole(tmp_path)) < expected[0]
    three.slow = 0.0
    assert total(cmmd.download(tmp_path / "CMMD", patients=3)) == expected
    assert not list(tmp_path.rglob("*.partial"))


def test_what_another_call_is_writing_stays(three, tmp_path, expected):
    path = next(cmmd.download(tmp_path, patients=3).rglob("*.dcm"))
    path.unlink()

    def write(part):
        part.write_bytes(b"begun")
        assert total(cmmd.download(tmp_path, patients=3)) == expected
        assert part.read_bytes() == b"begun"

    write_atomically(path.with_name("other.dcm"), write)


def test_two_calls_at_once(three, archive, tmp_path, expected):
    three.slow = 0.02
    both = [start(tmp_path, archive, three.url) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert total(tmp_path) == expected
    assert not list(tmp_path.rglob("*.partial"))


def test_without_a_network_one_sentence_says_so_soon(three, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_idc_series, "BUCKET", "http://127.0.0.1:9/{}")
    with pytest.raises(mammo.MammoError, match="cannot be reached"):
        cmmd.download(tmp_path, patients=3)
    assert "CC BY 4.0" in capsys.readouterr().out, "size and licence are printed before the first byte"
    assert download.ANSWER_S < 10
    monkeypatch.setattr(download, "ANSWER_S", 0.3)

    def look_up_of_a_name(*_, **__):
        time.sleep(5)
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "get", look_up_of_a_name)
    start = time.monotonic()
    with pytest.raises(mammo.MammoError, match="no answer"):
        cmmd.download(tmp_path, patients=3)
    assert time.monotonic() - start < 4
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "idc_index_data", None)
    with pytest.raises(mammo.MammoError, match=r"idc_index_data is missing.*pip install idc-index-data"):
        download.idc_series.__wrapped__("cmmd")


def test_a_file_that_is_shorter_than_the_list_says_is_not_kept(three, tmp_path):
    """As from a proxy that states the length of what it sends, so that the connection itself is complete."""
    url = f"{three.url}/idc-open-data/short.dcm"
    three.s3.put_object(Bucket="idc-open-data", Key="short.dcm", Body=b"1234", ACL="public-read")
    moved = []
    bar = SimpleNamespace(update=moved.append)
    with pytest.raises(_idc_series.DamagedError, match="4 bytes instead of 5"):
        _idc_series._fetch_file(requests.Session(), url, tmp_path / "short.dcm", 5, bar, threading.Event())
    assert not list(tmp_path.iterdir())
    assert moved == [4, -4], "the bar goes back"
