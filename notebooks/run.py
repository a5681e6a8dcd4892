"""Run notebooks from the top, with a progress bar.

python notebooks/run.py demo                      # 01 to 04, results under artifacts/
python notebooks/run.py store-outputs             # renew the outputs that the tests compare
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from tqdm import tqdm

from mammo.notebook import artifacts

HERE = Path(__file__).parent
NOTEBOOKS = sorted(HERE.glob("0*.ipynb"))
CHECKED = "NBVAL_CHECK_OUTPUT"


def execute(path: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs; raises nbclient's CellExecutionError where a cell fails."""
    book = nbformat.read(path, as_version=4)
    heading = ""
    with tqdm(
        total=len(book.cells), desc=path.stem, unit="cell", bar_format="{l_bar}{bar}| {elapsed} {postfix}"
    ) as bar:

        def started(cell, cell_index):
            nonlocal heading
            titles = [line for line in cell.source.splitlines() if line.startswith("#")]
            if cell.cell_type == "markdown" and titles:
                heading = titles[0].lstrip("# ")
            bar.n = cell_index
            bar.set_postfix_str(heading)

        where = {"metadata": {"path": str(HERE)}}
        client = NotebookClient(book, timeout=1200, kernel_name="python3", on_cell_start=started, resources=where)
        client.execute()
        bar.n = len(book.cells)
        bar.set_postfix_str("done")
    return book


def demo() -> None:
    """Notebooks 01 to 04; their HTML, and a few plain lines about what came out."""
    folder = artifacts()
    begun = time.time()
    for path in NOTEBOOKS:
        html, _ = HTMLExporter().from_notebook_node(execute(path))
        (folder / f"{path.stem}.html").write_text(html, encoding="utf-8")
    card = json.loads((folder / "model" / "card.json").read_text())
    answer = json.loads((folder / "prediction.json").read_text())
    low, high = card["auc_interval"]
    side = "at or above" if answer["probability"] >= answer["threshold"] else "below"
    print(f"""
Held-out synthetic patients: AUC {card["auc"]:.3f}, 95 % interval {low:.3f} to {high:.3f} ({card["weights"]} weights).
Real mammogram {answer["file"]}: probability of malignant {answer["probability"]:.3f}, {side} the threshold
of {answer["threshold"]:.3f}. The model has seen synthetic images only: this says nothing about the patient.
Look at {folder / "prediction.png"} and at the notebooks, {folder}/*.html. The model is in {folder / "model"}.
It took {(time.time() - begun) / 60:.1f} minutes. Not a medical device.""")


def store_outputs() -> None:
    """Keep the outputs of the cells marked for comparison, and of no others."""
    for path in NOTEBOOKS:
        book = execute(path)
        for cell in book.cells:
            cell.metadata = {}
            if cell.cell_type == "code":
                cell.outputs = [o for o in cell.outputs if o.get("name") == "stdout" and CHECKED in cell.source]
                cell.execution_count = 1 if cell.outputs else None
        book.metadata = {key: book.metadata[key] for key in ("kernelspec",)}
        nbformat.write(book, path)


if __name__ == "__main__":
    {"demo": demo, "store-outputs": store_outputs}[sys.argv[1]]()
