import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from mammo import plots

RNG = np.random.default_rng(0)
PICTURE = RNG.uniform(size=(40, 30))
RATES = np.linspace(0, 1, 101)
FIGURES = {
    "gallery": lambda: plots.gallery([PICTURE] * 3, list("abc"), outlines=[PICTURE > 0.5, None, None], columns=2),
    "histories": lambda: plots.histories({"head": {k: [1.0, 0.5] for k in ("loss", "val_loss", "auc", "val_auc")}}),
    "roc": lambda: plots.roc(RATES, RATES**0.5, RATES, RATES**0.3, "AUC", (0.2, 0.6)),
    "confusion": lambda: plots.confusion([[8, 2], [1, 9]], ("benign", "malignant")),
    "reliability": lambda: plots.reliability(RNG.integers(0, 2, 50), RNG.uniform(size=50)),
    "learning_curves": lambda: plots.learning_curves({"patches": ([1, 2], [0.5, 0.9]), "whole": ([1, 2], [0.8, 0.9])}),
    "realism": lambda: plots.realism(
        {name: {"exponent": [2.9, 3.1], "area": [0.2, 0.3], "histogram": [np.ones(32) / 32] * 2} for name in "abc"}
    ),
    "difficulty_curve": lambda: plots.difficulty_curve([1, 0.5, 0], [0.5, 0.9, 1]),
    "prediction": lambda: plots.prediction(
        PICTURE, PICTURE > 0.2, PICTURE, PICTURE, 0.7, 0.4, title="a.dcm", notes=("a warning", "a disclaimer")
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_and_saved_whole(name, tmp_path):
    path = plots.save_figure(FIGURES[name](), tmp_path / f"{name}.png")
    with Image.open(path) as picture:
        assert min(picture.size) > 200
        assert np.asarray(picture.convert("L")).std() > 5, "something is drawn"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    plots.show()


def test_the_prediction_figure_says_number_threshold_and_doubts():
    figure = FIGURES["prediction"]()
    words = " ".join(text.get_text() for text in figure.findobj(Text))
    for part in ("0.70", "threshold 0.40", "a warning", "a disclaimer", "a.dcm"):
        assert part in words
    plots.show()


def test_leakage_shows_both_figures_of_every_mistake():
    pairs = {name: {"leaky": (0.8, 0.7, 0.9), "honest": (0.5, 0.4, 0.6)} for name in ("one", "two", "three")}
    (axis,) = plots.leakage(pairs, "title").axes
    assert [text.get_text() for text in axis.texts if text.get_text()[0] == "0"] == ["0.80", "0.50"] * 3
    assert [label.get_text() for label in axis.get_yticklabels()] == list(pairs)
    plots.close()


def test_epochs_are_whole_numbers():
    figure = FIGURES["histories"]()
    assert all(tick == round(tick) for tick in figure.axes[1].get_xticks())
