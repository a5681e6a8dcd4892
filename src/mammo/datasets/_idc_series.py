"""One series of the NCI Imaging Data Commons (IDC): a folder in a public S3 bucket, listed and fetched by HTTPS."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from tqdm.auto import tqdm

from mammo.core.files import is_abandoned, write_atomically

BUCKET = "https://{}.s3.amazonaws.com"
CONNECT_S, READ_S = 10, 60
WAITS_S = (1, 4, 10)  # before each repetition of a request that failed
BLOCK = 2**18


class DamagedError(Exception):
    """The archive does not hold what its index says."""


def failure_reason(error: Exception) -> str:
    """An HTTP status as the server says it, else the kind of failure: the rest of requests' message is for experts."""
    response = getattr(error, "response", None)
    return type(error).__name__ if response is None else f"HTTP {response.status_code}"


def fetch_series(place: Path, row, bar: tqdm, stop: threading.Event) -> None:
    """Fetch the files of a series that are not there with their size."""
    import requests

    for part in place.glob("*.partial"):
        if is_abandoned(part):
            part.unlink(missing_ok=True)
    with requests.Session() as session:
        sizes = _repeated(lambda: _list_series(session, row), stop)
        for key, size in sizes.items():
            path = place / key.rsplit("/", 1)[-1]
            if path.is_file() and path.stat().st_size == size:
                bar.update(size)
                continue
            url = f"{BUCKET.format(row.aws_bucket)}/{key}"
            _repeated(lambda path=path, url=url, size=size: _fetch_file(session, url, path, size, bar, stop), stop)


def _repeated(ask: Callable, stop: threading.Event):
    """What `ask` returns. It is asked again where the connection fails or not all bytes come; never once stopped."""
    import requests

    for wait in (*WAITS_S, None):
        try:
            return ask()
        except requests.HTTPError as error:
            status = error.response.status_code
            if status < 500 and status != 429:
                raise DamagedError(f"HTTP {status} for {error.response.url}") from None
            failure = error
        except (requests.RequestException, DamagedError) as error:
            failure = error
        if wait is None or stop.wait(wait):
            raise failure


def listing_url(row) -> str:
    """Where the bucket lists the files of a series, a row of `download.idc_series`."""
    return f"{BUCKET.format(row.aws_bucket)}/?list-type=2&prefix={row.crdc_series_uuid}/"


def _list_series(session, row) -> dict[str, int]:
    """The size of each file of a series, by its key in the bucket."""
    answer = session.get(listing_url(row), timeout=(CONNECT_S, READ_S))
    answer.raise_for_status()
    try:
        files = ElementTree.fromstring(answer.content).iterfind("{*}Contents")
    except ElementTree.ParseError:
        raise DamagedError(f"{answer.url} gives no list of files; perhaps a proxy answered") from None
    sizes = {file.findtext("{*}Key"): int(file.findtext("{*}Size")) for file in files}
    if (len(sizes), sum(sizes.values())) != (row.instanceCount, row.bytes):
        raise DamagedError(
            f"{row.PatientID} has {len(sizes)} files of {sum(sizes.values()):,} bytes there, its index says "
            f"{row.instanceCount} of {row.bytes:,}"
        )
    return sizes


def _fetch_file(session, url: str, path: Path, size: int, bar: tqdm, stop: threading.Event) -> None:
    """Write a file whole, with the size that the bucket states, or not at all."""
    received = 0

    def write(part: Path) -> None:
        nonlocal received
        with session.get(url, timeout=(CONNECT_S, READ_S), stream=True) as answer, part.open("wb") as file:
            answer.raise_for_status()
            for block in answer.iter_content(BLOCK):
                if stop.is_set():
                    raise DamagedError("stopped")
                file.write(block)
                received += len(block)
                bar.update(len(block))
        if received != size:
            raise DamagedError(f"{url} has {received:,} bytes instead of {size:,}")

    try:
        write_atomically(path, write)
    except BaseException:
        bar.update(-received)
        raise
