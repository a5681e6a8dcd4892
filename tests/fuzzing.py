"""Damaged files of every format: each must be read or refused with the one exception, in bounded time and memory.

    python tests/fuzzing.py --files 20000

Every file is written before it is read, by a process of its own with a limit on its memory, so that a decoder that
crashes is caught with the file that did it. Prints the counts as JSON; exits with 1 where anything else happened.
"""

import argparse
import json
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from files import HTJ2K, SYNTAXES, encapsulated, write_dicom
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import uid

import mammo

SIDE = 128
MEMORY = 4 << 30
SECONDS = 10  # of the processor
KINDS = ("overwrite", "overwrite", "overwrite", "overwrite", "insert", "cut")


class TooSlow(BaseException):
    """Not an Exception: the reader must not take it for a damaged file."""


def sources(folder: Path) -> dict[str, bytes]:
    """One small intact file of every format."""
    ramp = np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE)
    grey = {bits: np.rint(ramp * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16) for bits in (8, 12, 16)}
    tags = {"WindowCenter": 2048, "WindowWidth": 2048, "PixelSpacing": [0.1, 0.1], "PixelPaddingValue": 0}
    made = {}
    for name, (write, syntax, bits, _) in SYNTAXES.items():
        made[f"DICOM {name}"] = write(write_dicom(folder / "a.dcm", grey[bits], bits=bits, **tags), syntax)
        made[f"DICOM {name}"] = made[f"DICOM {name}"].read_bytes()
    plain = write_dicom(folder / "a.dcm", grey[12], bits=12, **tags)
    made["DICOM HTJ2K"] = encapsulated(plain, HTJ2K.read_bytes(), uid.HTJ2KLossless).read_bytes()
    made["DICOM frames"] = write_dicom(folder / "a.dcm", np.stack([grey[12]] * 2), bits=12).read_bytes()
    pictures = {
        "8.png": (grey[8], {}),
        "16.png": (grey[16], {}),
        "8.tif": (grey[8], {"compression": "tiff_lzw"}),
        "16.tif": (grey[16], {}),
        "float.tif": (ramp.astype(np.float32), {"compression": "tiff_deflate"}),
        "8.pgm": (grey[8], {}),
        "16.pgm": (grey[16], {}),
        "8.bmp": (grey[8], {}),
        "8.jpg": (grey[8], {}),
        "8.webp": (grey[8], {"lossless": True}),
    }
    for name, (pixels, options) in pictures.items():
        Image.fromarray(pixels).save(folder / name, **options)
        made[name] = (folder / name).read_bytes()
    return made


def mutants(intact: dict[str, bytes]):
    """A name and the bytes of a damaged file: bytes overwritten, put in or cut out, mostly near the beginning."""
    position = st.floats(0, 1).map(lambda fraction: fraction**2)
    edit = st.tuples(st.sampled_from(KINDS), position, st.binary(min_size=1, max_size=4))

    def damaged(name, edits, kept):
        content = bytearray(intact[name])
        for kind, fraction, piece in edits:
            at = int(fraction * len(content))
            end = at if kind == "insert" else at + len(piece)
            content[at:end] = b"" if kind == "cut" else piece
        return name, bytes(content[: max(1, int(kept * len(content)))])

    kept = st.one_of(*[st.just(1.0)] * 4, st.floats(0, 1))
    return st.builds(damaged, st.sampled_from(sorted(intact)), st.lists(edit, min_size=1, max_size=4), kept)


def outcome(path: Path) -> str:
    """`read`, `refused`, or what should not have happened."""
    try:
        image = mammo.read_mammogram(path).image
        good = image.ndim == 2 and image.dtype == np.float32 and np.isfinite(image).all()
        good = good and image.min() >= 0 and image.max() <= 1
        return "read" if good else f"a wrong image: {image.shape} {image.dtype} {image.min()} to {image.max()}"
    except mammo.MammoError:
        return "refused"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"


def hammer(files: int, seed: int, folder: Path, results) -> None:
    """Read so many damaged files and send the counts; kept apart from the caller, as decoders can crash."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    counts, wrong, slowest = Counter(), {}, (0.0, "")

    def too_slow(*_):
        raise TooSlow(f"more than {SECONDS} s")

    signal.signal(signal.SIGPROF, too_slow)

    @settings(
        max_examples=files,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(mutants(sources(folder)))
    def one(mutant):
        nonlocal slowest
        name, content = mutant
        path = folder / f"mutant{Path(name).suffix or '.dcm'}"
        path.write_bytes(content)
        started = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        result = outcome(path)
        signal.setitimer(signal.ITIMER_PROF, 0)
        slowest = max(slowest, (time.process_time() - started, name))
        kind = result if result in ("read", "refused") else "wrong"
        counts[name, kind] += 1
        if kind == "wrong":
            wrong[result[:200]] = content.hex() if len(content) < 3000 else f"{len(content)} bytes"

    one._hypothesis_internal_use_seed = seed
    one()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    by_name = {f"{name}: {kind}": number for (name, kind), number in sorted(counts.items())}
    found = {"counts": by_name, "wrong": wrong, "slowest": slowest[1], "peak_mb": round(peak)}
    results.send(found | {"slowest_s": round(slowest[0], 2)})


def run(files: int, seed: int) -> dict:
    """Totals, the counts of each format, and all that went wrong (a crash counts as wrong)."""
    with tempfile.TemporaryDirectory() as scratch:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=hammer, args=(files, seed, Path(scratch), sender))
        process.start()
        sender.close()
        try:
            report = receiver.recv()
        except EOFError:
            last = max(Path(scratch).glob("mutant*"), key=lambda path: path.stat().st_mtime)
            process.join()
            kept = Path(tempfile.mkdtemp()) / last.name
            kept.write_bytes(last.read_bytes())
            return {"wrong": {f"the process ended with {process.exitcode}": str(kept)}}
        process.join()
    for kind in ("read", "refused"):
        report[kind] = sum(number for name, number in report["counts"].items() if name.endswith(kind))
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = run(arguments.files, arguments.seed)
    print(json.dumps(found, indent=1))
    sys.exit(bool(found["wrong"]))
