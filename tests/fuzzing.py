"""Damaged files of every format: each must be read or refused with the one exception, in bounded time and memory.

    python tests/fuzzing.py --files 20000

Every file is written before it is read, by a process of its own with a limit on its memory, so that a decoder that
crashes is caught with the file that did it. Prints the counts as JSON; exits with 1 where anything else happened.
"""

import argparse
import json
import multiprocessing
import re
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from files import HTJ2K, LJPEG, SYNTAXES, encapsulated, table, write_dicom, write_packed_tiff
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import uid

import mammo

SIDE = 128
MEMORY = 4 << 30
SECONDS = 10  # of the processor
SEVERAL = re.compile("frames|pages")  # in the names of files with several images, of which the second is read
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
    rsna = {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": [9000, 2048], "WindowWidth": [10, 4096]}
    inverted = write_dicom(folder / "a.dcm", 4095 - grey[12], bits=12, VOILUTFunction="SIGMOID", **rsna)
    made["DICOM RSNA"] = SYNTAXES["JPEG 2000 lossless"][0](inverted, uid.JPEG2000Lossless).read_bytes()
    lut = {"VOILUTSequence": [table(grey[12].ravel()[::4], 12)], "ModalityLUTSequence": [table(range(4096), 16)]}
    made["DICOM tables"] = write_dicom(folder / "a.dcm", grey[12], bits=12, **lut).read_bytes()
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
    return made | tiffs(folder, grey) | deep_and_several(folder, grey)


def tiffs(folder: Path, grey) -> dict[str, bytes]:
    """TIFF files of all kinds."""
    pages = np.stack([grey[16], grey[16][::-1]])
    colours = np.stack([grey[16]] * 3)
    kinds = {
        "pages.tif": (pages, {"photometric": "minisblack"}),
        "tiles.tif": (grey[16], {"tile": (64, 64), "compression": "deflate", "predictor": True}),
        "planar.tif": (colours, {"photometric": "rgb", "planarconfig": "separate", "compression": "packbits"}),
        "white.tif": (grey[8], {"photometric": "miniswhite", "rowsperstrip": 16, "compression": "lzw"}),
        "palette.tif": (grey[8], {"photometric": "palette", "colormap": np.tile(np.arange(256) * 257, (3, 1))}),
        "big.tif": (grey[16], {"bigtiff": True}),
        "jpeg.tif": (grey[8], {"compression": "jpeg"}),
        "pyramid.tif": (grey[16], {"subifds": 1}),
    }
    made = {"12bits.tif": write_packed_tiff(folder / "12bits.tif", grey[12]).read_bytes()}
    for name, (pixels, options) in kinds.items():
        if "colormap" in options:
            options["colormap"] = options["colormap"].astype(np.uint16)
        with tifffile.TiffWriter(folder / name, bigtiff=options.pop("bigtiff", False)) as file:
            file.write(pixels, **options)
            if "subifds" in options:
                file.write(pixels[::2, ::2], subfiletype=1)
        made[name] = (folder / name).read_bytes()
    return made


def deep_and_several(folder: Path, grey) -> dict[str, bytes]:
    """Pictures of more than 8 bits that Pillow would round, and files with several images."""
    colours, stack = np.stack([grey[16]] * 3, axis=-1), np.stack([grey[16], grey[16][::-1]])
    made = {
        "film.LJPEG": LJPEG.read_bytes(),
        "colour16.png": imagecodecs.png_encode(colours),
        "alpha16.png": imagecodecs.png_encode(np.dstack([grey[16], grey[16]])),
        "frames16.png": imagecodecs.apng_encode(stack),
        "12.jpg": imagecodecs.jpeg8_encode(grey[12], bitspersample=12, level=90),
        "lossless.jpg": imagecodecs.jpeg8_encode(grey[16], lossless=True, predictor=1, bitspersample=16),
        "16.jls": imagecodecs.jpegls_encode(grey[16]),
        "16.jp2": imagecodecs.jpeg2k_encode(grey[16], codecformat="jp2", reversible=True, level=0),
        "16.ppm": b"P6 %d %d 65535 " % (SIDE, SIDE) + colours.astype(">u2").tobytes(),
    }
    first, second = (Image.fromarray(pixels) for pixels in (grey[8], grey[8][::-1].copy()))
    for name, kind in (("frames.png", "PNG"), ("frames.gif", "GIF"), ("frames.webp", "WEBP"), ("frames.jpg", "MPO")):
        first.save(folder / name, kind, save_all=True, append_images=[second])
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


def outcome(path: Path, frame: int | None = None) -> str:
    """`read`, `refused`, or what should not have happened."""
    try:
        image = mammo.read_mammogram(path, frame).image
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
        result = outcome(path, 1 if SEVERAL.search(name) else None)
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
