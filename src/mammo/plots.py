"""Every figure, from plain arrays. Each function returns a matplotlib Figure; `show` puts it into a notebook."""

from __future__ import annotations

from functools import wraps
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from mammo.core.arguments import check_whole
from mammo.core.errors import MammoError
from mammo.core.files import as_path, errors_of_writing, write_atomically

HEAT_COLOURS = "magma"  # readable by the colour-blind, and brighter means more
SHOWN = 1000  # pixels; no panel is drawn with more, and drawing larger images takes seconds
BENIGN_COLOUR, MALIGNANT_COLOUR, NEUTRAL = "#0072B2", "#D55E00", "#555555"  # Okabe and Ito's palette


def show() -> None:
    """Show the current figure and forget it, so that a long notebook does not pile them up."""
    plt.show()
    close()


def close() -> None:
    """Forget all figures."""
    plt.close("all")


def save_figure(figure: Figure, path) -> Path:
    """Write a figure, whole or not at all, as its name ends; raises MammoError unless that is .png, .pdf or .svg."""
    path = as_path(path)
    ending = path.suffix[1:].lower()
    if ending not in ("png", "pdf", "svg"):
        raise MammoError(f"A figure cannot be written as {path.name}. Give it a name that ends in .png, .pdf or .svg.")
    with errors_of_writing(path, "Choose another name or folder."):
        write_atomically(path, lambda part: figure.savefig(part, format=ending, dpi=120, bbox_inches="tight"))
    return path


def _as_words(draw):
    """Texts are drawn as they are: a `$` in a file's name begins no formula."""

    @wraps(draw)
    def drawn(*arguments, **options):
        with plt.rc_context({"text.parse_math": False}):
            return draw(*arguments, **options)

    return drawn


def _drawable(text: str) -> str:
    """The text with a question mark for each character that the font lacks, instead of an empty box."""
    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    return "".join(letter if font.get_char_index(ord(letter)) or letter == "\n" else "?" for letter in text)


def _check_some(things, what: str) -> None:
    if not len(things):
        raise MammoError(f"There are no {what} to draw. Give at least one.")


def _to_show(image: np.ndarray) -> np.ndarray:
    """An image or a mask, averaged over squares until its longer side is about `SHOWN`; float32."""
    if image.ndim == 3:
        return np.stack([_to_show(channel) for channel in np.moveaxis(image, 2, 0)], axis=2)
    factor = max(1, round(max(image.shape) / SHOWN))
    return np.asarray(Image.fromarray(np.asarray(image, np.float32)).reduce(factor))


@_as_words
def gallery(images, titles, outlines=None, columns: int = 4, heatmaps=None) -> Figure:
    """Images, (height, width) or (height, width, 3) in [0, 1], in a grid.

    `outlines` are masks to be drawn, or None; `heatmaps` are of the images' sizes, in [0, 1].
    """
    _check_some(images, "images")
    check_whole("columns", columns)
    images = [np.asarray(image) for image in images]
    if any(image.ndim not in (2, 3) for image in images):
        raise MammoError("images is a list of arrays, (height, width) or (height, width, 3). Put one alone in a list.")
    outlines, heatmaps = (given if given is not None else [None] * len(images) for given in (outlines, heatmaps))
    for name, given in {"titles": titles, "outlines": outlines, "heatmaps": heatmaps}.items():
        if len(given) != len(images):
            raise MammoError(f"There are {len(images)} images and {len(given)} {name}. Give one for each image.")
    rows = -(-len(images) // columns)
    tall = max(image.shape[0] / image.shape[1] for image in images)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns, (2.6 * tall + 0.3) * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, title, mask, heatmap in zip(axes.flat, images, titles, outlines, heatmaps, strict=False):
        axis.imshow(_to_show(image), cmap="gray", vmin=0, vmax=max(1e-6, float(np.max(image))))
        if mask is not None and np.any(mask):
            axis.contour(_to_show(mask), levels=[0.5], colors=MALIGNANT_COLOUR, linewidths=0.8)
        if heatmap is not None:
            _draw_heatmap(axis, _to_show(heatmap))
        axis.set_title(_drawable(str(title)), fontsize=9, y=1, va="bottom")
    figure.tight_layout()
    return figure


def _draw_heatmap(axis, heatmap) -> None:
    axis.imshow(heatmap, cmap=HEAT_COLOURS, vmin=0, vmax=1, alpha=0.7 * heatmap)


@_as_words
def realism(groups: dict) -> Figure:
    """Statistics of sets of images: `{"real": {"exponent": (n,), "area": (n,), "histogram": (n, bins)}, ...}`."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), width_ratios=[1, 1.4, 1], layout="tight")
    colours = [NEUTRAL, MALIGNANT_COLOUR, BENIGN_COLOUR, "#009E73"]
    for place, (name, values) in enumerate(groups.items()):
        colour = colours[place % len(colours)]
        for axis, key in ((axes[0], "exponent"), (axes[2], "area")):
            spread = place + np.linspace(-0.15, 0.15, len(values[key]))
            axis.plot(spread, values[key], "o", color=colour, markersize=4, alpha=0.6)
            axis.plot([place - 0.3, place + 0.3], [np.nanmedian(values[key])] * 2, color=colour, linewidth=2)
        histogram = np.mean(list(values["histogram"]), axis=0)
        levels = (np.arange(len(histogram)) + 0.5) / len(histogram)
        axes[1].plot(levels, histogram, color=colour, label=name)
    axes[0].set(title="spectral exponent of the tissue")
    axes[1].set(title="grey levels inside the breast", xlabel="from dark to bright", ylabel="share")
    axes[2].set(title="share of the image that is breast")
    for axis in (axes[0], axes[2]):
        axis.set_xticks(range(len(groups)), list(groups), rotation=12)
    for axis in axes:
        axis.grid(alpha=0.3)
    axes[1].legend(fontsize=8)
    return figure


@_as_words
def difficulty_curve(difficulty, auc) -> Figure:
    """AUC of a classifier over the difficulty of the images."""
    figure, axis = plt.subplots(figsize=(5, 3.4), layout="tight")
    axis.plot(difficulty, auc, "o-", color=BENIGN_COLOUR)
    axis.axhline(0.5, color=NEUTRAL, linestyle="--", linewidth=1)
    axis.set(xlabel="difficulty", ylabel="AUC of a simple classifier", ylim=(0.4, 1.01))
    axis.grid(alpha=0.3)
    return figure


@_as_words
def histories(stages: dict) -> Figure:
    """Loss and AUC by epoch, training against validation, one column a stage: `{"head": history, ...}`."""
    _check_some(stages, "stages of training")
    figure, axes = plt.subplots(2, len(stages), figsize=(4.5 * len(stages), 5), squeeze=False, sharex="col")
    for column, (stage, history) in enumerate(stages.items()):
        for row, name in enumerate(("loss", "auc")):
            axis = axes[row, column]
            epochs = np.arange(1, len(history[name]) + 1)
            axis.plot(epochs, history[name], "o-", color=NEUTRAL, markersize=3, label="training")
            axis.plot(epochs, history[f"val_{name}"], "o-", color=BENIGN_COLOUR, markersize=3, label="validation")
            axis.set_ylabel(name.upper() if name == "auc" else name)
            axis.grid(alpha=0.3)
        axes[0, column].set_title(stage)
        axes[1, column].set_xlabel("epoch")
        axes[1, column].xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes[0, 0].legend()
    figure.tight_layout()
    return figure


@_as_words
def roc(false_positive_rate, sensitivity, low, high, title: str, operating_point=None) -> Figure:
    """ROC curve with its 95 % band; `operating_point` is (1 - specificity, sensitivity) at the fixed threshold."""
    figure, axis = plt.subplots(figsize=(5, 5), layout="tight")
    axis.fill_between(false_positive_rate, low, high, color=BENIGN_COLOUR, alpha=0.2, label="95 % band (patients)")
    axis.plot(false_positive_rate, sensitivity, color=BENIGN_COLOUR)
    axis.plot([0, 1], [0, 1], "--", color=NEUTRAL, linewidth=1, label="chance")
    if operating_point is not None:
        axis.plot(*operating_point, "o", color=MALIGNANT_COLOUR, label="operating point")
    axis.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), title=title)
    axis.set_aspect("equal")
    axis.grid(alpha=0.3)
    axis.legend(loc="lower right")
    return figure


@_as_words
def confusion(matrix, class_names) -> Figure:
    """Confusion matrix: rows truth, columns predicted at the operating point."""
    matrix = np.asarray(matrix)
    figure, axis = plt.subplots(figsize=(3.8, 3.8), layout="tight")
    axis.imshow(matrix, cmap="Blues", vmin=0)
    for row, column in np.ndindex(matrix.shape):
        colour = "white" if matrix[row, column] > matrix.max() / 2 else "black"
        axis.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=14, color=colour)
    axis.set_xticks(range(len(class_names)), class_names)
    axis.set_yticks(range(len(class_names)), class_names, rotation=90, va="center")
    axis.set(xlabel="predicted", ylabel="truth", title="test images")
    return figure


@_as_words
def reliability(predicted, observed, low, high, images) -> Figure:
    """Reliability diagram: mean probability and observed frequency of each bin, its 95 % interval, how many images."""
    figure, axis = plt.subplots(figsize=(4.5, 4.5), layout="tight")
    axis.plot([0, 1], [0, 1], "--", color=NEUTRAL, linewidth=1, label="perfectly calibrated")
    axis.vlines(predicted, low, high, color=BENIGN_COLOUR, linewidth=2, alpha=0.4, label="95 % interval")
    axis.plot(predicted, observed, "o", color=BENIGN_COLOUR, label="test images, with their number")
    for number, (x, y, count) in enumerate(zip(predicted, observed, images, strict=True)):
        beside = (5, (4, -11)[number % 2])  # neighbours may be close
        axis.annotate(str(count), (x, y), xytext=beside, textcoords="offset points", fontsize=8)
    axis.set(xlabel="predicted probability", ylabel="observed frequency", xlim=(-0.06, 1.06), ylim=(-0.06, 1.06))
    axis.set_aspect("equal")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=9)
    return figure


@_as_words
def leakage(pairs: dict, title: str, measure: str = "AUC") -> Figure:
    """How much too good each mistake looks: `{"rotated copies": {"leaky": (value, low, high), "honest": ...}, ...}`."""
    figure, axis = plt.subplots(figsize=(9, 1.1 + 0.85 * len(pairs)))
    for row, values in enumerate(pairs.values()):
        for kind, colour, up in (("leaky", MALIGNANT_COLOUR, -0.14), ("honest", BENIGN_COLOUR, 0.14)):
            value, low, high = values[kind]
            label = {"leaky": "with the mistake", "honest": "without it"}[kind] if row == 0 else None
            axis.plot([low, high], [row + up] * 2, color=colour, linewidth=3, solid_capstyle="round", alpha=0.5)
            axis.plot(value, row + up, "o", color=colour, markersize=8, label=label)
            axis.annotate(f"{value:.2f}", (high, row + up), xytext=(6, 0), textcoords="offset points", va="center")
    axis.axvline(0.5, color=NEUTRAL, linestyle="--", linewidth=1)
    axis.text(0.5, len(pairs) - 0.53, " chance", color=NEUTRAL, fontsize=9, va="bottom")
    axis.set_yticks(range(len(pairs)), list(pairs))
    axis.set(xlabel=f"{measure}, 95 % interval (patients resampled)", ylim=(len(pairs) - 0.5, -0.65), xlim=(0.25, 1.05))
    axis.set_title(title, loc="left")
    axis.grid(axis="x", alpha=0.3)
    axis.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(loc="outside lower right", ncols=2, frameon=False)
    figure.set_layout_engine("constrained")
    return figure


@_as_words
def learning_curves(stages: dict) -> Figure:
    """AUC by number of images seen, one panel a stage: `{"patches": (images, aucs), ...}`."""
    _check_some(stages, "stages of training")
    rows, columns = -(-len(stages) // 4), min(4, len(stages))
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.2 * columns, 3 * rows), squeeze=False, sharey=True, layout="tight"
    )
    for axis in axes.flat[len(stages) :]:
        axis.axis("off")
    for axis, (stage, (images, aucs)) in zip(axes.flat, stages.items(), strict=False):
        axis.plot(np.asarray(images) / 1000, aucs, "o-", color=BENIGN_COLOUR, markersize=3)
        axis.axhline(0.5, color=NEUTRAL, linestyle="--", linewidth=1)
        axis.set(title=stage, xlabel="thousand images seen, each once", ylim=(0.4, 1.01))
        axis.grid(alpha=0.3)
    figure.supylabel("AUC, malignant against the rest", fontsize=10)
    return figure


@_as_words
def prediction(
    original, mask, breast, heatmap, probability, threshold, title, notes=(), mirrored=False, uncertain_range=None
) -> Figure:
    """One prediction: the original with the breast's outline, the crop, the heatmap, both probabilities, notes.

    The bar shows the probability of malignant from below and that of benign from above, the operating point `threshold`
    as a line, and `uncertain_range` (low, high) hatched.
    """
    original, mask, breast, heatmap = (_to_show(image) for image in (original, mask, breast, heatmap))
    figure, axes = plt.subplots(1, 4, figsize=(12, 5.2), width_ratios=[1, 1, 1, 0.45], layout="constrained")
    axes[0].imshow(original, cmap="gray", vmin=0, vmax=1)
    outlined = mask.min() < mask.max()
    if outlined:
        axes[0].contour(mask, levels=[0.5], colors=BENIGN_COLOUR, linewidths=1)
    axes[0].set_title("as read, breast outlined" if outlined else "as read", fontsize=10)
    axes[1].imshow(breast, cmap="gray", vmin=0, vmax=1)
    axes[1].set_title("model input (mirrored)" if mirrored else "model input", fontsize=10)
    axes[2].imshow(original, cmap="gray", vmin=0, vmax=1)
    _draw_heatmap(axes[2], heatmap * mask)
    axes[2].set_title("Grad-CAM: what raised the score most", fontsize=10)
    for axis in axes[:3]:
        axis.axis("off")
    _probability_bar(axes[3], probability, threshold, uncertain_range)
    figure.suptitle(_drawable(title))
    figure.supxlabel(_drawable("\n".join(notes)), fontsize=9)
    return figure


def _probability_bar(axis, probability: float, threshold: float, uncertain_range) -> None:
    axis.bar([0], [probability], color=MALIGNANT_COLOUR, width=0.8)
    axis.bar([0], [1 - probability], bottom=[probability], color=BENIGN_COLOUR, alpha=0.45, width=0.8)
    for name, low, high in (("malignant", 0, probability), ("benign", probability, 1)):
        if high - low > 0.12:
            axis.text(0, (low + high) / 2, f"{name}\n{high - low:.2f}", ha="center", va="center", fontsize=9)
    if uncertain_range is not None:
        low, high = np.clip(uncertain_range, 0, 1)
        axis.axhspan(low, high, facecolor="none", edgecolor=NEUTRAL, hatch="///", alpha=0.5, label="uncertain")
    axis.axhline(threshold, color="black", linestyle="--", linewidth=1.2, label=f"operating point {threshold:.2f}")
    axis.set(xlim=(-0.5, 0.5), ylim=(0, 1), xticks=[], ylabel="probability")
    axis.set_title(f"malignant {probability:.2f}", fontsize=10)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), fontsize=8, frameon=False)
