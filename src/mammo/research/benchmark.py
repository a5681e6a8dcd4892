"""Real films, end to end: how well are malignant images told from the rest, and how sure is that?

    python -m mammo.benchmark mini_mias --root all-mias --lesions
    python -m mammo.benchmark inbreast --root "INbreast Release 1.0" --size 224 224 --size 640 384 --flips --breasts
    python -m mammo.benchmark my_data/manifest.csv --fine-tune
    python -m mammo.benchmark --train cbis_ddsm --root CBIS-DDSM --test inbreast --test-root "INbreast Release 1.0"

Any data set of mammograms of `mammo.datasets` by its name, any manifest as CSV, or `synthetic`: 400 drawn images with a
lesion.
Five folds by patient, five times with other folds; with `--official` the owner's split, with `--test` another data set.
Each row of the table is a mean over all folds (the AUC over all pairs of images in one fold) with a 95 % interval that
resamples patients; sensitivity and specificity are those at a threshold that the training patients have fixed at a
sensitivity of 90 %. Images are prepared as for prediction. Rows: radiomics, and the frozen features of each kind of
weights, under the same linear reader; with `--cells` the most suspicious cell, learned from the places of training
lesions (`mammo.cells`); with `--fine-tune` mammo's own training; with `--together` the mean of a network's readers at
all sizes, those with flips where there are any. Then, for each two networks under the same reader, the difference of
their AUCs with its interval. The tables are printed and written as CSV. What is frozen, and what a fine-tuned fold has
said, is kept: stopped by Ctrl-C, the same command does not compute it again.
"""

from __future__ import annotations

import argparse
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from mammo.core.errors import MammoError
from mammo.core.files import write_atomically
from mammo.core.manifest import MARGIN, class_indices, lesion_patches, load_manifest
from mammo.data.image_loader import ImageLoader, in_batches
from mammo.evaluation.combine_views import combine_views
from mammo.models.resnet50 import build_model
from mammo.research.cross_validation import cross_validate, cv_metrics, linear_reader, patient_folds, together
from mammo.research.frozen_features import FlippedImages, computed, fine_tuned_reader, frozen_maps, mobilenet, pooled
from mammo.research.lesion_cells import MOBILENET_FIRST, cell_reader, places_of
from mammo.research.radiomics import radiomics
from mammo.research.tables import COLUMNS, PAIRED, header, markdown, measured_rows, pairs_of, subgroup_masks
from mammo.synthetic import generate_dataset
from mammo.training.feature_cache import cache_folder

NAMES = ("cbis_ddsm", "cmmd", "ddsm", "inbreast", "mini_ddsm", "mini_mias", "vindr_mammo")
WEIGHTS = ("random", "demo", "imagenet")


def load(
    name: str, root=None, lesions: bool = False, margin: float = MARGIN, side=None, drawn_in=None, **options
) -> pd.DataFrame:
    """A data set by name from the folder `root`, or a CSV, as a manifest; with `lesions` of the squares around them.

    `synthetic` is drawn in `root`, else in the cache folder `drawn_in`. `options` (kind, partial) go to the reader that
    knows them. Raises MammoError for an unknown name.
    """
    if name.endswith(".csv"):
        table = load_manifest(name)
    elif name == "synthetic":
        table = generate_dataset(root or cache_folder(drawn_in) / "synthetic", patients=250, seed=20_270)
        table = table[table["label"] != "normal"]
        table["group"] = np.where(table["lesion_type"].str.contains("calc"), "calcifications", "masses, distortions")
        table = table.drop(columns="split")
    elif name not in NAMES:
        raise MammoError(
            f"There is no data set {name!r}. Known are {', '.join(NAMES)}, synthetic, and any manifest.csv."
        )
    elif root is None:
        raise MammoError(f"Where is {name}? Give the folder that its owner gives out: --root FOLDER.")
    else:
        table = _published(name, root, "lesions" if lesions else "manifest", options)
    return (lesion_patches(table, margin, side) if lesions else table).reset_index(drop=True)


def located(name: str, root, table: pd.DataFrame, **options) -> pd.DataFrame:
    """One row a lesion with its place, for the images of `table`, which `load` gave."""
    return _published(name, root, "lesions", options) if name in NAMES else table


def _published(name: str, root, what: str, options: dict) -> pd.DataFrame:
    module = import_module(f"mammo.datasets.{name}")
    if not hasattr(module, what):
        raise MammoError(f"{name} does not say where its lesions are. Leave --lesions and --cells out.")
    options = {key: value for key, value in options.items() if value} | {"locate": True}
    known = _options_of(name, what)
    return getattr(module, what)(root, **{key: value for key, value in options.items() if key in known})


def _options_of(name: str, what: str = "manifest") -> set[str]:
    return set(inspect.signature(getattr(import_module(f"mammo.datasets.{name}"), what)).parameters)


def parts_of(table: pd.DataFrame, other: pd.DataFrame | None = None, official: bool = False, repeats: int = 5, seed=0):
    """The table that is measured on, and who learns and who is tested: folds, the owner's split, or another table.

    Raises MammoError where a patient, or a file, would be on both sides, and where too few patients have a class.
    """
    if other is None and not official:
        _refuse_twins(table, table["patient_id"])
        return table, patient_folds(class_indices(table), table["patient_id"], repeats=repeats, seed=seed)
    if other is None:
        if "split" not in table or table["split"].isna().any():
            raise MammoError("This data set has no official split. Leave --official out, or give --test.")
        tested = (table["split"] == "test").to_numpy()
    else:
        tested = np.arange(len(table) + len(other)) >= len(table)
        table = pd.concat([table, other], ignore_index=True).drop(columns="split", errors="ignore")
    sides = [set(table.loc[here, "patient_id"].astype(str)) for here in (tested, ~tested)]
    shared = sorted(sides[0] & sides[1])
    if shared:
        raise MammoError(
            f"{len(shared)} patients are in training and in test, first {shared[0]}. Take them out of one of the two; "
            "if they are other women with the same id, rename them."
        )
    malignant = (table["label"] == "malignant").to_numpy()
    if len(set(malignant[tested])) < 2:
        raise MammoError("In test all images are malignant, or none is. Give it both.")
    fewest = min(table.loc[~tested & (malignant == ill), "patient_id"].nunique() for ill in (True, False))
    if fewest < folds.FOLDS:
        raise MammoError(f"{fewest} training patients of one class are too few: {folds.FOLDS} are needed.")
    _refuse_twins(table, tested)
    return table, [[(np.flatnonzero(~tested), np.flatnonzero(tested))]]


def _refuse_twins(table: pd.DataFrame, sides) -> None:
    """Raise MammoError where one file is on two sides, under whatever names."""
    content = [key.split()[0] for key in ImageLoader(table, (32, 32)).keys]
    twins = pd.Series(np.asarray(sides)).groupby(content).nunique()
    if (twins > 1).any():
        first = table["path"].iloc[content.index(twins.index[twins > 1][0])]
        raise MammoError(
            f"{(twins > 1).sum()} files could be in training and in test under two names, first {first}: "
            "mammo.duplicates(manifest) finds them."
        )


def readers(table: pd.DataFrame, lesions, size, given: argparse.Namespace) -> Iterator[tuple[str, str, Callable]]:
    """Features, the way they are read, and the reader, for each row of the table."""
    truth, patients, folder = class_indices(table), table["patient_id"].to_numpy(), cache_folder(given.cache)
    inputs = ImageLoader(table, size)
    places = cache(partial(places_of, table, lesions, size))  # the same for all ResNet50s

    def linear(features):
        return linear_reader(features, truth, patients)

    def frozen(maps_of, first):
        """The rows of a network: its pooled features, and its cells, the first of which is centred on pixel `first`."""
        maps = [maps_of(way) for way in ([inputs, FlippedImages(inputs)] if given.flips else [inputs])]
        seen = [pooled(way) for way in maps]
        yield "linear", linear(seen[0])
        if given.flips:  # the mean of the features: its score is the mean of the scores
            yield "linear, flips", linear(np.mean(seen, axis=0))
        if lesions is not None:
            yield f"cells{', flips' * given.flips}", cell_reader(maps, places(first), truth, patients)

    measured = [radiomics(x) for _, xs in in_batches(inputs, np.arange(len(inputs)), 32, "radiomics") for x in xs]
    yield "radiomics", "linear", linear(np.array(measured))
    for name in given.weights:
        try:
            model = _started(name, size)
        except MammoError as error:
            print(f"Without {name} weights: {error}")
            continue
        for reader, read in frozen(partial(frozen_maps, model, folder=folder), 0):
            yield f"ResNet50, {name}", reader, read
        if given.fine_tune:
            tuned = fine_tuned_reader(model, table, folder, given.epochs, given.flips)
            yield f"ResNet50, {name}", f"fine-tuned{', flips' * given.flips}", tuned
    if given.mobilenet:
        network = mobilenet(given.mobilenet, size)
        for reader, read in frozen(lambda way: computed(network, way, folder), MOBILENET_FIRST):
            yield "MobileNetV2, file", reader, read


def _started(name: str, size):
    from mammo.core.backend import keras

    keras.utils.set_random_seed(0)  # for random weights, and the head
    return build_model(None if name == "random" else name, image_size=size, quiet=True)


def main(given: argparse.Namespace) -> pd.DataFrame:
    """Print the table row by row, write it as CSV, and return it."""
    check_options(given)
    options = {"lesions": given.lesions, "margin": given.margin, "side": given.side, "drawn_in": given.cache}
    options |= {"kind": given.kind, "partial": given.partial}
    table = load(given.data or given.train, given.root, **options)
    other = load(given.test, given.test_root, **options) if given.test else None
    if given.without_normal:
        table, other = (t if t is None else t[t["label"] != "normal"].reset_index(drop=True) for t in (table, other))
    table, parts = parts_of(table, other, given.official, given.repeats, given.seed)
    if given.breasts:
        combine_views(table.assign(probability=0.5), "breast")  # says what is missing before anything is computed
    truth, rows = class_indices(table), []
    lesions = None
    if given.cells:
        sources = [(given.data or given.train, given.root), (given.test, given.test_root)]
        lesions = pd.concat([located(*source, table, **options) for source in sources if source[0]])
    tested = np.unique(np.concatenate([test for part in parts for _, test in part]))
    groups = subgroup_masks(table, given.by, tested)
    print(f"{len(tested)} tested, {truth[tested].sum()} malignant, {table['patient_id'][tested].nunique()} patients")
    print(header(COLUMNS))
    said = defaultdict(dict)

    def show(crossed, size, features, reader):
        said[size, reader][features] = crossed
        for row in measured_rows(cv_metrics, table, [crossed], given.breasts, groups):
            rows.append({"size": size, "features": features, "reader": reader} | row)
            print(markdown(rows[-1], COLUMNS), flush=True)
        write_atomically(Path(given.out), partial(pd.DataFrame(rows).to_csv, index=False))

    each = defaultdict(list)
    for size in given.size or [(224, 224)]:
        for features, reader, read in readers(table, lesions, tuple(size), given):
            crossed = cross_validate(read, parts, len(table), f"{features}, {reader}")
            show(crossed, size=f"{size[0]} x {size[1]}", features=features, reader=reader)
            if features != "radiomics" and ("flips" in reader or not given.flips):
                each[features].append(crossed)
    for features, several in each.items() if given.together else ():
        if len(several) > 1:
            show(together(several), size="all", features=features, reader=f"{len(several)} together")
    pairs = list(pairs_of(said, table, given.breasts, groups))
    if pairs:
        print("", header(PAIRED), *(markdown(row, PAIRED) for row in pairs), sep="\n")
        out = Path(given.out)
        write_atomically(out.with_stem(f"{out.stem}_pairs"), partial(pd.DataFrame(pairs).to_csv, index=False))
    return pd.DataFrame(rows)


def check_options(given: argparse.Namespace) -> None:
    """Raise MammoError where an option would have no effect, or a file is missing, before anything is read."""
    kinds = any("kind" in _options_of(name) for name in (given.data or given.train, given.test) if name in NAMES)
    refused = {
        "Name the data once, before the options or after --train.": given.data and given.train,
        "--train goes with --test; for folds name the data alone.": given.train and not given.test,
        "--test-root goes with --test.": given.test_root and not given.test,
        "--official and --test exclude each other.": given.official and given.test,
        "--cells looks for lesions in whole images. Leave --lesions out.": given.cells and given.lesions,
        "--side goes with --lesions.": given.side and not given.lesions,
        "This data set has no kinds to choose from. Leave --kind out.": given.kind and not kinds,
        f"{given.mobilenet} is missing.": given.mobilenet and not Path(given.mobilenet).is_file(),
    }
    for reason, wrong in refused.items():
        if wrong:
            raise MammoError(reason)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    first, _, rest = __doc__.partition("\n\n")
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m mammo.benchmark", description=first, epilog=rest, formatter_class=raw)
    say = parser.add_argument
    say("data", nargs="?", help=f"{', '.join(NAMES)}, synthetic, or a manifest as CSV")
    say("--train", help="the same, to go with --test")
    say("--root", help="the folder as its owner gives it out")
    say("--test", help="another data set or manifest, to be tested on")
    say("--test-root", help="its folder")
    say("--kind", help="for data sets that have several, such as mass and calc")
    say("--partial", action="store_true", help="go on where files are missing")
    say("--official", action="store_true", help="the owner's split instead of folds")
    say("--without-normal", action="store_true", help="images with a finding only")
    say("--lesions", action="store_true", help="squares around located lesions instead of whole images")
    say("--margin", type=float, default=MARGIN, help="side of a square in diameters of the lesion")
    say("--side", type=float, help="side of all squares in pixels instead")
    say("--size", type=int, nargs=2, action="append", metavar=("HEIGHT", "WIDTH"), help="224 224; may be repeated")
    say("--weights", nargs="*", choices=WEIGHTS, default=list(WEIGHTS), help="of ResNet50; all that are there")
    say("--mobilenet", help="a yardstick: Keras' file mobilenet_v2_..._1.0_224_no_top.h5")
    say("--fine-tune", action="store_true", help="train the network in every fold, too")
    say("--epochs", type=int, default=10, help="of the fine-tuning, at most")
    say("--flips", action="store_true", help="rows for the mean over the image and the same upside down")
    say("--cells", action="store_true", help="rows for the most suspicious cell, learned from located lesions")
    say("--together", action="store_true", help="rows for the mean of all readers of a network, at all sizes")
    say("--breasts", action="store_true", help="rows for both views of a breast combined")
    say("--by", help="a column of the manifest: rows for each of its groups")
    say("--repeats", type=int, default=5, help="of the five folds")
    say("--seed", type=int, default=0, help="of the folds")
    say("--cache", help="folder for what is computed once; else $MAMMO_CACHE, else ~/.cache/mammo")
    say("--out", default="benchmark.csv", help="the table, as CSV")
    return parser


if __name__ == "__main__":
    chosen = arguments().parse_args()
    if not (chosen.data or chosen.train):
        arguments().error("name a data set, or a manifest")
    try:
        main(chosen)
    except MammoError as error:
        raise SystemExit(str(error)) from None
