"""The data of a benchmark: a data set by name, and its folds.

    table = load("mini_mias", "all-mias")
    table, folds = make_folds(table)

`mammo.research.benchmark` runs on them.
"""

from __future__ import annotations

import inspect
from importlib import import_module

import numpy as np
import pandas as pd

from mammo.core.cache import cache_folder
from mammo.core.errors import MammoError
from mammo.core.manifest import MARGIN, class_indices, lesion_patches, load_manifest, patient_ids
from mammo.data.image_loader import ImageLoader
from mammo.research import cross_validation
from mammo.research.cross_validation import FOLDS, REPEATS, Folds, patient_folds
from mammo.synthetic import generate_dataset

NAMES = ("breakhis", "cbis_ddsm", "cmmd", "ddsm", "inbreast", "mini_ddsm", "mini_mias", "rsna", "vindr_mammo")


def load(
    name: str, root=None, lesions: bool = False, margin: float = MARGIN, side=None, cache=None, **options
) -> pd.DataFrame:
    """A data set as a manifest.

    Parameters
    ----------
    name : str
        One of NAMES, `synthetic` (400 images with a lesion), or a manifest's path, which ends in .csv.
    root : path, optional
        The folder as its owner gives it out; `synthetic` is drawn in it, else in `cache`.
    lesions : bool
        One row a lesion, the square around it, instead of whole images.
    margin, side : float
        Of the squares, as for `mammo.lesion_patches`.
    cache : path, optional
    **options
        `kind`, `partial`: passed on to the data sets that have them.

    Raises
    ------
    MammoError
        For an unknown name, where `root` is needed, and for lesions that nobody has located.
    """
    if name.endswith(".csv"):
        table = load_manifest(name)
    elif name == "synthetic":
        table = generate_dataset(root or cache_folder(cache) / "synthetic", patients=250, seed=20_270)
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
        table = _parse(name, root, "lesions" if lesions else "manifest", options)
    return (lesion_patches(table, margin, side) if lesions else table).reset_index(drop=True)


def located(name: str, root, table: pd.DataFrame, **options) -> pd.DataFrame:
    """One row a lesion, with its place, for the images of `table`, which `load` returned."""
    return _parse(name, root, "lesions", options) if name in NAMES else table


def options_of(name: str, function: str = "manifest") -> set[str]:
    """The names of the parameters that a data set's `manifest` or `lesions` takes."""
    return set(inspect.signature(getattr(import_module(f"mammo.datasets.{name}"), function)).parameters)


def _parse(name: str, root, function: str, options: dict) -> pd.DataFrame:
    module = import_module(f"mammo.datasets.{name}")
    if not hasattr(module, function):
        raise MammoError(f"{name} does not say where its lesions are. Leave --lesions and --cells out.")
    options = {key: value for key, value in options.items() if value} | {"locate": True}
    known = options_of(name, function)
    return getattr(module, function)(root, **{key: value for key, value in options.items() if key in known})


def make_folds(
    table: pd.DataFrame,
    other: pd.DataFrame | None = None,
    official: bool = False,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    seed: int = 0,
) -> tuple[pd.DataFrame, Folds]:
    """The table to measure on, and who is trained on and tested in it.

    Parameters
    ----------
    table : DataFrame
    other : DataFrame, optional
        Test on this table, train on the first.
    official : bool
        Test on the rows whose `split` is test, train on the others.
    folds, repeats, seed
        As for `patient_folds`, where there is neither.

    Returns
    -------
    table : DataFrame
        Both tables, where there are two.
    folds : Folds
        One fold of one repeat, where training and test are given.

    Raises
    ------
    MammoError
        Where a patient or a file would be in training and in test, and where a class has too few patients.
    """
    if other is None and not official:
        _refuse_shared_files(table, table["patient_id"])
        return table, patient_folds(class_indices(table), table["patient_id"], folds, repeats, seed)
    if other is None:
        if "split" not in table or table["split"].isna().any():
            raise MammoError("This data set has no official split. Leave --official out, or give --test.")
        tested = (table["split"] == "test").to_numpy()
    else:
        tested = np.arange(len(table) + len(other)) >= len(table)
        table = pd.concat([table, other], ignore_index=True).drop(columns="split", errors="ignore")
    _check_split(table, tested)
    return table, [[(np.flatnonzero(~tested), np.flatnonzero(tested))]]


def _check_split(table: pd.DataFrame, tested: np.ndarray) -> None:
    test, train = (set(patient_ids(table[here])) for here in (tested, ~tested))
    if test & train:
        raise MammoError(
            f"{len(test & train)} patients are in training and in test, first {min(test & train)}. Take them out of "
            "one of the two; if they are different patients with the same id, rename them."
        )
    malignant = (table["label"] == "malignant").to_numpy()
    if len(set(malignant[tested])) < 2:
        raise MammoError("In test all images are malignant, or none is. Both classes are needed.")
    fewest = min(table.loc[~tested & (malignant == label), "patient_id"].nunique() for label in (True, False))
    needed = cross_validation.FOLDS  # for the inner folds
    if fewest < needed:
        raise MammoError(f"{fewest} training patients of one class are too few: {needed} are needed.")
    _refuse_shared_files(table, tested)


def _refuse_shared_files(table: pd.DataFrame, sides) -> None:
    """Raise MammoError where the same file belongs to two sides, under whatever names."""
    content = [key.split()[0] for key in ImageLoader(table, (32, 32)).keys]
    n_sides = pd.Series(np.asarray(sides)).groupby(content).nunique()
    shared = n_sides.index[n_sides > 1]
    if len(shared):
        first = table["path"].iloc[content.index(shared[0])]
        raise MammoError(
            f"{len(shared)} files could be in training and in test under two names, first {first}: "
            "mammo.find_duplicates(manifest) finds them."
        )
