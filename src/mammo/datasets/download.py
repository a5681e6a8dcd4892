"""Images of the NCI Imaging Data Commons (IDC), which gives them out without a login.

    from mammo.datasets import cbis_ddsm, cmmd
    root = cmmd.download("data/CMMD", patients=300)
    root = cbis_ddsm.download("data/CBIS-DDSM", kind="mass", patients=100)

The package `idc-index-data` lists every series with its size. A series is a folder in a public S3 bucket. The files lie
in `<collection>/<PatientID>/<study>/<Modality>_<series>/`, as IDC's own client writes them. Each file is written whole
or not at all, so that a call that was interrupted is simply repeated.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import threading
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from numbers import Integral
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from mammo.core.arguments import check_seed, is_number
from mammo.core.errors import MammoError
from mammo.core.files import as_path
from mammo.datasets._idc_series import DamagedError, failure_reason, fetch_series, listing_url

COLUMNS = [
    "collection_id",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "instanceCount",
    "series_size_MB",
    "aws_bucket",
    "crdc_series_uuid",
]
ANSWER_S = 8  # to wait for the first answer, the look-up of the host's name included
THREADS = 8
GB = 1e9


def draw_patients(strata: Mapping[str, str], number: int | None, seed: int) -> list[str]:
    """A stratified sample of patients, nested: of one seed, a smaller sample is the beginning of every larger one.

    Parameters
    ----------
    strata : mapping
        The stratum of each patient, such as the label.
    number : int or None
        None for all.
    seed : int

    Returns
    -------
    list of str
        The patients in the order drawn. Each stratum has its share, to within one patient for each.

    Raises
    ------
    MammoError
        Where there are not so many patients.
    """
    if number is not None and not (isinstance(number, Integral) and 1 <= number <= len(strata)):
        raise MammoError(f"patients is a number from 1 to {len(strata):,}, or None for all of them, not {number!r}.")
    check_seed(seed)
    groups = defaultdict(list)
    for patient in sorted(strata, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()):
        groups[strata[patient]].append(patient)
    places = [((at + 0.5) / len(group), patient) for group in groups.values() for at, patient in enumerate(group)]
    return [patient for _, patient in sorted(places)][:number]


@cache
def idc_series(collection: str) -> pd.DataFrame:
    """Every series of a collection of IDC, one row each: COLUMNS, and its size in `bytes`. Takes some seconds.

    Raises MammoError where the packages of the extra `download` are missing.
    """
    try:
        import idc_index_data
        import pyarrow  # noqa: F401
        import requests  # noqa: F401
    except ImportError as error:
        raise MammoError(
            f"The package {error.name} is missing. Install what downloads need: "
            "`pip install idc-index-data pyarrow requests`."
        ) from None
    path = idc_index_data.IDC_INDEX_PARQUET_FILEPATH
    table = pd.read_parquet(path, columns=COLUMNS, filters=[("collection_id", "==", collection)])
    return table.assign(bytes=(table["series_size_MB"] * 1e6).round().astype("int64"))


def fetch(folder, series: pd.DataFrame, name: str, notice: str, max_gb: float | None) -> Path:
    """Download series into a folder, whatever is not there yet.

    Parameters
    ----------
    folder : path
    series : pandas.DataFrame
        Rows of `idc_series`, in the order to fetch them.
    name : str
        What is fetched, as it is printed.
    notice : str
        Licence and citation, printed before the download begins.
    max_gb : float or None
        Refuse to fetch more; 1 GB is 10^9 bytes. None for no limit.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    MammoError
        Where it is more than `max_gb` or than the disk has free, where IDC does not answer, where the connection breaks
        down, and for files that are missing or damaged there. What is complete by then stays.
    """
    folder = as_path(folder)
    if max_gb is not None and not (is_number(max_gb) and max_gb > 0):
        raise MammoError(f"max_gb is a positive number, or None for no limit, not {max_gb!r}.")
    missing = []
    for row in series.itertuples():
        study = folder / row.collection_id / row.PatientID / row.StudyInstanceUID
        place = study / f"{row.Modality}_{row.SeriesInstanceUID}"
        if _files_and_bytes(place) != (row.instanceCount, row.bytes):
            missing.append((place, row))
    size, left = int(series["bytes"].sum()), sum(row.bytes for _, row in missing)
    to_fetch = f"{left / GB:.1f} GB to fetch" if missing else "all of them are there already"
    print(
        f"{name}: {series['instanceCount'].sum():,} images, {size / GB:.1f} GB, from the NCI Imaging Data Commons to "
        f"{folder}; {to_fetch}.\n{notice}",
        flush=True,
    )
    if missing:
        _check_room(folder, left, max_gb)
        _check_answer(listing_url(missing[0][1]))
        with tqdm(total=size, initial=size - left, unit="B", unit_scale=True, desc=name) as bar:
            _fetch_all(missing, bar)
    return folder


def _files_and_bytes(place: Path) -> tuple[int, int]:
    sizes = [path.stat().st_size for path in place.glob("*.dcm")]
    return len(sizes), sum(sizes)


def _check_room(folder: Path, left: int, max_gb: float | None) -> None:
    if max_gb is not None and left > max_gb * GB:
        raise MammoError(
            f"{left / GB:.1f} GB would be fetched, more than max_gb={max_gb}. Set patients to a smaller number, or "
            f"max_gb to {left / GB + 0.1:.1f}."
        )
    above = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(above).free
    if left > free:
        raise MammoError(
            f"{left / GB:.1f} GB would be fetched, and the disk of {folder} has {free / GB:.1f} GB free. Make room, "
            "choose another folder, or set patients to a smaller number."
        )


def _check_answer(url: str) -> None:
    """Raise MammoError within ANSWER_S seconds where IDC does not answer: the look-up of a name has no time limit."""
    import requests

    said: list[str] = []

    def ask() -> None:
        try:
            requests.get(url, timeout=ANSWER_S).raise_for_status()
            said.append("")
        except requests.RequestException as error:
            said.append(failure_reason(error))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_S)
    reason = said[0] if said else "no answer"
    if reason:
        host = url.split("?")[0]
        raise MammoError(f"{host} cannot be reached ({reason}). Check the network and its proxy, then repeat the call.")


def _fetch_all(missing: list[tuple], bar: tqdm) -> None:
    """Fetch series in parallel. Damaged ones are named at the end; every other failure stops all of them at once."""
    import requests

    stop, damaged = threading.Event(), []
    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(fetch_series, place, row, bar, stop) for place, row in missing]
        try:
            for done in as_completed(running):
                try:
                    done.result()
                except DamagedError as error:
                    damaged.append(str(error))
        except requests.RequestException as error:
            raise MammoError(
                f"The connection broke down ({failure_reason(error)}). What is complete stays: repeat the same call to "
                "go on."
            ) from None
        except OSError as error:
            raise _not_written(error) from None
        finally:  # also where the user stops it
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    if damaged:
        raise MammoError(
            f"All else is there, but {len(damaged)} series cannot be fetched: {'; '.join(sorted(damaged)[:5])}. Repeat "
            "the call later, after `pip install --upgrade idc-index-data`, or read what is there by partial=True."
        )


def _not_written(error: OSError) -> MammoError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MammoError("The disk is full. Make room, then repeat the same call: it goes on where it stopped.")
    return MammoError(
        f"{error.filename or 'A file'} cannot be written ({error.strerror or error}). Check the folder and its "
        "permissions, then repeat the same call."
    )
