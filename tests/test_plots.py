import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

import mammo
from mammo import plots

RNG = np.random.default_rng(0)
PICTURE = RNG.uniform(size=(40, 30))
RATES = np.linspace(0, 1, 101)
FIGURES = {
    "gallery": lambda: plots.gallery([PICTURE] * 3, list("abc"), outlines=[PICTURE > 0.5, None, None], columns=2),
    "histories": lambda: plots.histories({"head": {k: [1.0, 0.5] for k in ("loss", "val_loss", "auc", "val_auc")}}),
    "roc": lambda: plots.roc(RATES, RATES**0.5, RATES, RATES**0.3, "AUC", (0.2, 0.6)),
    "confusion": lambda: plots.confusion([[8, 2], [1, 9]], ("benign", "malignant")),
    "reliability": lambda: plots.reliability([0.2, 0.8], [0.1, 0.9], [0.05, np.nan], [0.3, np.nan], [20, 30]),
    "learning_curves": lambda: plots.learning_curves({"patches": ([1, 2], [0.5, 0.9]), "whole": ([1, 2], [0.8, 0.9])}),
    "realism": lambda: plots.realism(
        {name: {"exponent": [2.9, 3.1], "area": [0.2, 0.3], "histogram": [np.ones(32) / 32] * 2} for name in "abc"}
    ),
    "difficulty_curve": lambda: plots.difficulty_curve([1, 0.5, 0], [0.5, 0.9, 1]),
    "prediction": lambda: plots.prediction(
        PICTURE,
        PICTURE > 0.2,
        PICTURE,
        PICTURE,
        0.7,
        0.4,
        title="a.dcm",
        notes=("a warning", "a disclaimer"),
        uncertain_range=(0.3, 0.6),
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


def test_a_figure_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "figures.png").mkdir()
    with pytest.raises(mammo.MammoError, match=r"figures.png cannot be written \(Is a directory\)"):
        plots.save_figure(FIGURES["roc"](), tmp_path / "figures.png")
    assert [path.name for path in tmp_path.iterdir()] == ["figures.png"]
    for name in ("a.jpg", "a", "a.docx", "bad\0.png"):
        with pytest.raises(mammo.MammoError, match=r"ends in \.png, \.pdf or \.svg|is no name of a file"):
            plots.save_figure(FIGURES["roc"](), f"{tmp_path}/{name}")
    plots.close()


@pytest.mark.parametrize(("name", "begins"), [("a.PNG", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")])
def test_a_figure_is_what_its_name_says(name, begins, tmp_path):
    assert plots.save_figure(FIGURES["roc"](), tmp_path / name).read_bytes().startswith(begins)
    plots.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": PICTURE, "titles": range(40)}, "Put one alone in a list"),
        ({"images": [PICTURE[0]], "titles": "a"}, "Put one alone in a list"),
        ({"images": [PICTURE], "titles": "a", "columns": 0}, "columns is a whole number of at least 1, not 0"),
    ],
)
def test_what_is_no_gallery_is_refused(options, message):
    with pytest.raises(mammo.MammoError, match=message):
        plots.gallery(**options)


@pytest.mark.parametrize(
    ("draw", "what"),
    [
        (lambda: plots.gallery([], []), "images"),
        (lambda: plots.histories({}), "stages of training"),
        (lambda: plots.learning_curves({}), "stages of training"),
    ],
)
def test_nothing_cannot_be_drawn(draw, what):
    with pytest.raises(mammo.MammoError, match=f"no {what} to draw"):
        draw()


def test_every_image_needs_a_title():
    with pytest.raises(mammo.MammoError, match="There are 3 images and 2 titles"):
        plots.gallery([PICTURE] * 3, list("ab"))
    with pytest.raises(mammo.MammoError, match="There are 3 images and 1 outlines"):
        plots.gallery([PICTURE] * 3, list("abc"), outlines=[None])


def test_any_number_of_groups_is_drawn():
    group = {"exponent": [2.0, 2.5], "area": [0.3, 0.4], "histogram": np.full((2, 8), 0.1)}
    axes = plots.realism({str(number): group for number in range(6)}).axes
    assert len(axes[1].lines) == 6


def words_of(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_the_prediction_figure_says_numbers_operating_point_range_and_warnings():
    words = words_of(FIGURES["prediction"]())
    parts = (
        "malignant\n0.70",
        "benign\n0.30",
        "operating point 0.40",
        "uncertain",
        "a warning",
        "a disclaimer",
        "a.dcm",
    )
    for part in parts:
        assert part in words
    plots.show()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["Ba$$in.png", "$x^$_L.png", "_hidden.png", "乳房.dcm", "é_ü.png"])
def test_any_name_of_a_file_is_drawn_as_it_is(name, tmp_path):
    """A dollar begins no formula, and what the font lacks leaves no empty box (of which matplotlib warns)."""
    figure = plots.prediction(PICTURE, PICTURE > 0.2, PICTURE, PICTURE, 0.7, 0.4, title=name, notes=(name,))
    plots.save_figure(figure, tmp_path / "a.png")
    plots.save_figure(plots.gallery([PICTURE], [name]), tmp_path / "b.png")
    assert ("??.dcm" if name == "乳房.dcm" else name) in words_of(figure)
    plots.close()


def test_leakage_shows_both_figures_of_every_mistake():
    pairs = {name: {"leaky": (0.8, 0.7, 0.9), "honest": (0.5, 0.4, 0.6)} for name in ("one", "two", "three")}
    (axis,) = plots.leakage(pairs, "title").axes
    assert [text.get_text() for text in axis.texts if text.get_text()[0] == "0"] == ["0.80", "0.50"] * 3
    assert [label.get_text() for label in axis.get_yticklabels()] == list(pairs)
    plots.close()


def test_epochs_are_whole_numbers():
    figure = FIGURES["histories"]()
    assert all(tick == round(tick) for tick in figure.axes[1].get_xticks())
