"""Run notebooks from the top, with a progress bar.

python notebooks/run.py demo                      # all five; results under artifacts/
python notebooks/run.py profile                   # all five, then the ten slowest cells
python notebooks/run.py store-outputs             # renew the outputs that the tests compare

Numbers after the command choose notebooks: `python notebooks/run.py profile 01 02`.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from tqdm import tqdm

from mammo.notebook import artifacts

HERE = Path(__file__).parent
CHECKED = "NBVAL_CHECK_OUTPUT"
SLOWEST = 10


def execute(path: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs; raises nbclient's CellExecutionError where a cell fails."""
    book = nbformat.read(path, as_version=4)
    heading = ""
    with tqdm(
        total=len(book.cells), desc=path.stem, unit="cell", bar_format="{l_bar}{bar}| {elapsed} {postfix}"
    ) as bar:

        def started(cell, cell_index):
            nonlocal heading
            heading = heading_of(cell) or heading
            bar.n = cell_index
            bar.set_postfix_str(heading)

        folder = {"metadata": {"path": str(HERE)}}
        client = NotebookClient(book, timeout=1200, kernel_name="python3", on_cell_start=started, resources=folder)
        client.execute()
        bar.n = len(book.cells)
        bar.set_postfix_str("done")
    return book


def heading_of(cell) -> str:
    """The first heading of a Markdown cell, or nothing."""
    lines = cell.source.splitlines() if cell.cell_type == "markdown" else []
    return next((line.lstrip("# ") for line in lines if line.startswith("#")), "")


def demo(paths: list[Path]) -> None:
    """Run the notebooks, keep them as HTML, and summarise the model and the prediction."""
    folder, start = artifacts(), time.time()
    for path in paths:
        html, _ = HTMLExporter().from_notebook_node(execute(path))
        (folder / f"{path.stem}.html").write_text(html, encoding="utf-8")
    print()
    if (folder / "model" / "card.json").is_file():
        card = json.loads((folder / "model" / "card.json").read_text())
        auc = card["metrics"]["auc"]
        low, high = auc["interval"]
        print(f"Model: {folder / 'model'}, starting from weights: {card['weights']}.")
        print(f"AUC on synthetic test patients: {auc['value']:.3f}, 95 % interval {low:.3f} to {high:.3f}.")
    if (folder / "prediction.json").is_file():
        result = json.loads((folder / "prediction.json").read_text())
        print(f"The real mammogram {result['file']}: {result['result']} ({result['reason']}),")
        print(f"probability of malignant {result['probability']:.3f}. The model was trained on synthetic images only,")
        print("so this says nothing about the patient.")
        print(f"Picture: {folder / 'prediction.png'}.")
    print(f"Notebooks with their results: {folder}/*.html.")
    print(f"Time: {(time.time() - start) / 60:.1f} minutes. This is not a medical device.")


def profile(paths: list[Path]) -> None:
    """Run the notebooks and print how long each took, and the slowest cells."""
    cells, total = [], {}
    for path in paths:
        heading, start = "", time.time()
        for number, cell in enumerate(execute(path).cells):
            heading = heading_of(cell) or heading
            if cell.cell_type == "code":
                cells.append((seconds(cell), f"{path.stem}, cell {number}: {heading}"))
        total[path.stem] = time.time() - start
    print("\nseconds  notebook")
    for name, duration in total.items():
        print(f"{duration:7.1f}  {name}")
    print("\nseconds  slowest cells")
    for duration, name in sorted(cells, reverse=True)[:SLOWEST]:
        print(f"{duration:7.1f}  {name}")


def seconds(cell) -> float:
    """How long a code cell took, by the times that nbclient records."""
    times = cell.metadata.get("execution", {})
    begin, end = (times.get(key) for key in ("iopub.status.busy", "shell.execute_reply"))
    if not begin or not end:
        return 0.0
    return (parse(end) - parse(begin)).total_seconds()


def parse(moment: str) -> datetime:
    """A time as Jupyter writes it; Python 3.10 does not read the Z."""
    return datetime.fromisoformat(moment.replace("Z", "+00:00"))


def store_outputs(paths: list[Path]) -> None:
    """Keep the outputs of the cells marked for comparison, and of no others."""
    for path in paths:
        book = execute(path)
        for cell in book.cells:
            cell.metadata = {"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {}
            if cell.cell_type == "code":
                cell.outputs = [o for o in cell.outputs if o.get("name") == "stdout" and CHECKED in cell.source]
                cell.execution_count = 1 if cell.outputs else None
        book.metadata = {key: book.metadata[key] for key in ("kernelspec",)}
        nbformat.write(book, path)


if __name__ == "__main__":
    command, *numbers = sys.argv[1:] or [""]
    commands = {"demo": demo, "profile": profile, "store-outputs": store_outputs}
    notebooks = [path for path in sorted(HERE.glob("0*.ipynb")) if not numbers or path.name[:2] in numbers]
    if command not in commands or not notebooks:
        sys.exit(__doc__)
    commands[command](notebooks)
