"""How well are malignant images told from the others on real films, and how sure is that?

    python -m mammo.research.benchmark mini_mias --root all-mias --lesions
    python -m mammo.research.benchmark inbreast --root FOLDER --size 224 224 --size 640 384 --flips --breasts
    python -m mammo.research.benchmark my_data/manifest.csv --fine-tune
    python -m mammo.research.benchmark breakhis --root BreaKHis_v1 --size 224 336 --by magnification
    python -m mammo.research.benchmark --train cbis_ddsm --root CBIS-DDSM --test inbreast --test-root FOLDER

The data are a data set of `mammo.datasets` by its name, a manifest as CSV, or `synthetic`: 400 drawn images with a
lesion. Five folds by patient are made five times; `--official` takes the owner's split, `--test` another data set.

A row of the table is a mean over all folds, with 95 % intervals (docs/evaluation.md). Sensitivity and specificity
are those at a threshold that training patients have fixed at a sensitivity of 90 %. Images are prepared as for
prediction.

A linear classifier is trained on radiomics (of mammograms only), and on the frozen features of each kind of weights.
`--cells` adds the most suspicious cell (`mammo.research.lesion_cells`), `--fine-tune` mammo's own training,
`--together` the mean of a network's classifiers at all sizes, those with flips where there are any. `--by machine_id`
adds rows for each machine and for pairs of images within one machine. A model can gain by recognising the machine, so
there are rows for what the machine alone tells, and for whether scores of images that are not malignant are higher
where a machine has more malignant ones. A second table has the differences of AUC between each two networks with the
same classifier, and between each network fine-tuned and frozen.

Both tables are printed and written as CSV. Frozen features and fine-tuned folds are cached: after Ctrl-C the same
command goes on.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mammo.core.backend import keras
from mammo.core.cache import cache_folder
from mammo.core.errors import MammoError
from mammo.core.files import errors_of_writing
from mammo.core.manifest import IMAGE_KINDS, MARGIN, class_indices
from mammo.data.image_loader import ImageLoader, in_batches
from mammo.evaluation.combine_views import combine_views
from mammo.models.resnet50 import build_model
from mammo.research.benchmark_data import NAMES, load, located, make_folds, options_of
from mammo.research.cross_validation import (
    FOLDS,
    REPEATS,
    CVClassifier,
    GroupShareClassifier,
    LinearClassifier,
    cross_validate,
)
from mammo.research.frozen_features import (
    FineTunedClassifier,
    FlippedImages,
    average_pool,
    build_mobilenet,
    cached_features,
    frozen_maps,
)
from mammo.research.lesion_cells import MOBILENET_OFFSET, LesionCellClassifier, label_cells
from mammo.research.radiomics import radiomics
from mammo.research.tables import Results, subgroups_by
from mammo.training.frozen_backbone import STAGES

WEIGHTS = ("random", "demo", "imagenet")


@dataclass(frozen=True)
class Settings:
    """The options of the command line; `parse_arguments` says what each of them does."""

    data: str | None = None
    train: str | None = None
    root: str | None = None
    test: str | None = None
    test_root: str | None = None
    kind: str | None = None
    partial: bool = False
    official: bool = False
    without_normal: bool = False
    lesions: bool = False
    margin: float = MARGIN
    side: float | None = None
    sizes: Sequence[tuple[int, int]] = ((224, 224),)
    weights: Sequence[str] = WEIGHTS
    mobilenet: str | None = None
    fine_tune: bool = False
    epochs: int = 3
    stages: int = STAGES
    flips: bool = False
    cells: bool = False
    together: bool = False
    breasts: bool = False
    by: str | None = None
    folds: int = FOLDS
    repeats: int = REPEATS
    seed: int = 0
    cache: str | None = None
    out: str = "benchmark.csv"

    def __post_init__(self):
        """Raise MammoError where an option would have no effect, or a file is missing, before anything is read."""
        data = self.data or self.train
        kinds = any("kind" in options_of(name) for name in (data, self.test) if name in NAMES)
        refused = {
            "Name a data set, or a manifest.": not data,
            "Name the data once, before the options or after --train.": self.data and self.train,
            "--train goes with --test; for folds name the data alone.": self.train and not self.test,
            "--test-root goes with --test.": self.test_root and not self.test,
            "--official and --test exclude each other.": self.official and self.test,
            "--cells looks for lesions in whole images. Leave --lesions out.": self.cells and self.lesions,
            "--side goes with --lesions.": self.side and not self.lesions,
            "This data set has no kinds to choose from. Leave --kind out.": self.kind and not kinds,
        }
        files = [file for file in (self.mobilenet, *self.weights) if file and file not in WEIGHTS]
        refused |= {f"{file} is missing.": not Path(file).exists() for file in files}
        least = {"folds": 2, "repeats": 1, "epochs": 1, "stages": 1, "seed": 0}
        refused |= {f"--{name} is {number} or more.": getattr(self, name) < number for name, number in least.items()}
        refused[f"--stages is {STAGES} at most."] = self.stages > STAGES
        refused[f"--out {self.out} is a folder. Name a file in it."] = Path(self.out).is_dir()
        for reason, wrong in refused.items():
            if wrong:
                raise MammoError(reason)


def run(settings: Settings) -> pd.DataFrame:
    """Print the tables row by row and write them as CSV; returns the first one.

    Raises
    ------
    MammoError
        Where the data cannot be read, or do not have what the settings ask for.
    """
    with errors_of_writing(settings.out):  # before what takes hours
        Path(settings.out).parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=Path(settings.out).parent).close()
    table, folds, lesions = _load(settings)
    if settings.breasts:
        combine_views(table.assign(probability=0.5), "breast")  # says what is missing before anything is computed
    tested = np.unique(np.concatenate([test for repeat in folds for _, test in repeat]))
    subgroups = subgroups_by(settings.by, table, tested) if settings.by else None
    malignant, patients = class_indices(table)[tested].sum(), table["patient_id"][tested].nunique()
    print(f"{len(tested)} tested, {malignant} malignant, {patients} patients")
    results, notes = Results(table, subgroups, settings.breasts, Path(settings.out)), []
    if settings.by:
        column = GroupShareClassifier(table[settings.by], class_indices(table), table["patient_id"].to_numpy())
        results.add(cross_validate(column, folds, len(table)), "any", f"{settings.by} alone", "its share")
    for size in settings.sizes:
        for features, name, classifier in classifiers(table, lesions, tuple(size), settings):
            scores = cross_validate(classifier, folds, len(table), f"{features}, {name}")
            results.add(scores, f"{size[0]} x {size[1]}", features, name)
            if isinstance(classifier, FineTunedClassifier):
                undone, count = sum(classifier.restored), len(classifier.restored)
                notes.append(f"{features}, {name}, {size[0]} x {size[1]}: undone in {undone} of {count} folds.")
    if settings.together:
        results.add_averages("flips" if settings.flips else "")
    results.add_differences()
    if notes:
        print("\nFine-tuning is undone in a fold where it lowers the validation AUC.", *notes, sep="\n")
    return pd.DataFrame(results.rows)


def _load(settings: Settings) -> tuple:
    """The table, its folds and, with `cells`, its located lesions."""
    sources = [(settings.data or settings.train, settings.root), (settings.test, settings.test_root)]
    sources = [source for source in sources if source[0]]
    options = {"kind": settings.kind, "partial": settings.partial}
    squares = {"lesions": settings.lesions, "margin": settings.margin, "side": settings.side}
    tables = [load(*source, cache=settings.cache, **squares, **options) for source in sources]
    if settings.without_normal:
        tables = [table[table["label"] != "normal"].reset_index(drop=True) for table in tables]
    how = {name: getattr(settings, name) for name in ("official", "folds", "repeats", "seed")}
    table, folds = make_folds(*tables, **how)
    if not settings.cells:
        return table, folds, None
    return table, folds, pd.concat([located(*source, table, **options) for source in sources])


def classifiers(
    table: pd.DataFrame, lesions: pd.DataFrame | None, size: tuple[int, int], settings: Settings
) -> Iterator[tuple[str, str, CVClassifier]]:
    """For each row of the table the names of features and classifier, and the classifier."""
    truth, patients, folder = class_indices(table), table["patient_id"].to_numpy(), cache_folder(settings.cache)
    images = ImageLoader(table, size)
    flips = [images, FlippedImages(images)] if settings.flips else [images]
    channels = IMAGE_KINDS[images.image_kind]
    if channels == 1:
        batches = in_batches(images, np.arange(len(images)), 32, "radiomics")
        features = np.array([radiomics(x) for _, batch in batches for x in batch])
        yield "radiomics", "linear", LinearClassifier(features, truth, patients)
    cells = None if lesions is None else label_cells(table, lesions, size)
    for weights in settings.weights:
        try:
            model = _build(weights, size, channels)
        except MammoError as error:
            print(f"Without {weights} weights: {error}")
            continue
        network = weights if weights in WEIGHTS else Path(weights).name
        maps = [frozen_maps(model, flip, folder) for flip in flips]
        for name, classifier in _frozen_classifiers(maps, cells, truth, patients):
            yield f"ResNet50, {network}", name, classifier
        if settings.fine_tune:
            name = f"fine-tuned{', flips' * settings.flips}"
            tuned = FineTunedClassifier(model, table, folder, settings.epochs, settings.stages, settings.flips)
            yield f"ResNet50, {network}", name, tuned
    if settings.mobilenet:
        network = build_mobilenet(settings.mobilenet, size, channels)
        maps = [cached_features(network, flip, folder) for flip in flips]
        cells = None if lesions is None else label_cells(table, lesions, size, MOBILENET_OFFSET)
        for name, classifier in _frozen_classifiers(maps, cells, truth, patients):
            yield "MobileNetV2, file", name, classifier


def _build(weights: str, size: tuple[int, int], channels: int):
    keras.utils.set_random_seed(0)  # for random weights, and the head
    return build_model(None if weights == "random" else weights, image_size=size, quiet=True, channels=channels)


def _frozen_classifiers(maps: list, cells, truth, patients) -> Iterator[tuple[str, CVClassifier]]:
    """The classifiers of a network's last maps, of the images and, if given, of the same upside down."""
    pooled = [average_pool(flip) for flip in maps]
    yield "linear", LinearClassifier(pooled[0], truth, patients)
    flips = ", flips" if len(maps) > 1 else ""
    if flips:  # the score of the mean features is the mean of the scores
        yield "linear, flips", LinearClassifier(np.mean(pooled, axis=0), truth, patients)
    if cells is not None:
        yield f"cells{flips}", LesionCellClassifier(maps, cells, truth, patients)


def parse_arguments(arguments: Sequence[str] | None = None) -> Settings:
    """The settings of a command line; raises MammoError where they contradict each other."""
    first, _, rest = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        "python -m mammo.research.benchmark",
        description=first,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,  # the defaults are those of Settings
    )
    add = parser.add_argument
    add("data", nargs="?", help=f"{', '.join(NAMES)}, synthetic, or a manifest as CSV")
    add("--train", help="the same, to go with --test")
    add("--root", help="the folder as its owner gives it out")
    add("--test", help="another data set or manifest, to test on")
    add("--test-root", help="its folder")
    add("--kind", help="for data sets that have several, such as mass and calc")
    add("--partial", action="store_true", help="go on where files are missing")
    add("--official", action="store_true", help="the owner's split instead of folds")
    add("--without-normal", action="store_true", help="images with a finding only")
    add("--lesions", action="store_true", help="squares around located lesions instead of whole images")
    add("--margin", type=float, help=f"side of a square in diameters of the lesion ({MARGIN:g})")
    add("--side", type=float, help="side of all squares in pixels instead")
    add(
        "--size",
        dest="sizes",
        type=int,
        nargs=2,
        action="append",
        metavar=("HEIGHT", "WIDTH"),
        help="of the model input (224 224); may be repeated",
    )
    add("--weights", nargs="*", help=f"of ResNet50: {', '.join(WEIGHTS)}, or files (all but files)")
    add("--mobilenet", help="a baseline: Keras' file mobilenet_v2_..._1.0_224_no_top.h5")
    add("--fine-tune", action="store_true", help="train the network in every fold, too")
    add("--epochs", type=int, help="of the fine-tuning (3)")
    add("--stages", type=int, help="of the network that are fine-tuned, from the last on (5, all)")
    add("--flips", action="store_true", help="rows for the mean over the image and the same upside down")
    add("--cells", action="store_true", help="rows for the most suspicious cell, learned from located lesions")
    add("--together", action="store_true", help="rows for the mean of all classifiers of a network, at all sizes")
    add("--breasts", action="store_true", help="rows for both views of a breast combined")
    add("--by", help="a column of the manifest: rows for each subgroup, within them, and for the column alone")
    add("--folds", type=int, help=f"by patient ({FOLDS})")
    add("--repeats", type=int, help=f"of the folds ({REPEATS})")
    add("--seed", type=int, help="of the folds (0)")
    add("--cache", help="folder for what is computed once ($MAMMO_CACHE, else ~/.cache/mammo)")
    add("--out", help="the table, as CSV (benchmark.csv)")
    return Settings(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    try:
        run(parse_arguments())
    except MammoError as error:
        raise SystemExit(str(error)) from None
