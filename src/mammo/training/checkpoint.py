"""Training that goes on where it was interrupted."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from mammo.core.backend import keras
from mammo.core.files import read_arrays, write_arrays
from mammo.training.feature_cache import make_room

SAVE_EVERY_S = 60  # writing takes a second or two


class Checkpoint(keras.callbacks.Callback):
    """Saves the state of a training once a minute, and restores it when the same training begins again.

    As `keras.callbacks.BackupAndRestore`, and in addition the history, the best weights and the patience that
    `EarlyStopping` has used up, so that an interrupted training ends as an uninterrupted one does.

    Parameters
    ----------
    path : Path
        The file; its name stands for all that the training depends on. Removed when the training has ended.
    stopping : keras.callbacks.EarlyStopping
        Comes before this callback in `model.fit`.
    needed : set of Path
        Files in the cache that must not make room for the checkpoint.
    """

    def __init__(self, path: Path, stopping: keras.callbacks.EarlyStopping, needed: set[Path]):
        super().__init__()
        self.path, self.stopping, self.needed = path, stopping, needed
        self.history: dict[str, list[float]] = {}
        self.active, self._state, self._saved = True, None, 0.0

    def restore(self, model: keras.Model, epochs: int) -> int:
        """Give the model what was saved; returns the number of epochs it was trained for.

        0, and nothing is restored, where nothing was saved or the file is damaged. A training of more epochs than now
        is left for later: this one starts anew and does not touch its file.
        """
        arrays = read_arrays(self.path)
        if not arrays:
            return 0
        state = json.loads(str(arrays.pop("state")))
        done = len(state["history"]["loss"])
        if done > epochs:
            self.active = False
            return 0
        parts = {name: [] for name in ("model", "optimizer", "best")}
        for name in sorted(arrays, key=lambda name: int(name.split()[1])):
            parts[name.split()[0]].append(arrays[name])
        model.set_weights(parts["model"])
        for variable, value in zip(model.optimizer.variables, parts["optimizer"], strict=True):
            variable.assign(value)
        self.history, self._state = state["history"], (state, parts["best"])
        print(f"Resumed after epoch {done}.")
        return done

    def on_train_begin(self, logs=None):
        self._saved = time.perf_counter()
        if self._state:
            state, best = self._state
            self.stopping.best, self.stopping.wait = state["best"], state["wait"]
            self.stopping.best_epoch, self.stopping.best_weights = state["best_epoch"], best

    def on_epoch_end(self, epoch, logs=None):
        self.history = {name: [*self.history.get(name, ()), float(value)] for name, value in (logs or {}).items()}
        if self.active and time.perf_counter() - self._saved > SAVE_EVERY_S:
            self._save()
            self._saved = time.perf_counter()

    def finish(self) -> None:
        """Remove the file: the training has ended."""
        if self.active:
            self.path.unlink(missing_ok=True)

    def _save(self) -> None:
        stopping, model = self.stopping, self.model
        parts = {
            "model": model.get_weights(),
            "optimizer": [variable.numpy() for variable in model.optimizer.variables],
            "best": stopping.best_weights or [],  # none where the last epoch is kept
        }
        state = {
            "history": self.history,
            "best": float(stopping.best),
            "wait": stopping.wait,
            "best_epoch": stopping.best_epoch,
        }
        arrays = {f"{name} {index}": array for name, part in parts.items() for index, array in enumerate(part)}
        arrays["state"] = np.array(json.dumps(state))
        size = sum(array.nbytes for array in arrays.values()) + 10**6
        if make_room(self.path.parents[1], size, {path for path in self.needed if path.is_file()}):
            try:
                write_arrays(self.path, arrays)
            except OSError as error:
                self.active = False
                print(
                    "If this training is interrupted, the epochs since its last checkpoint are lost: "
                    f"{self.path.parent} cannot be written ({error.strerror or error})."
                )
