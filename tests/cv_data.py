"""Features of 40 patients with two rows each, one of six telling the classes apart, for tests of cross-validation."""

import numpy as np

PATIENTS = np.repeat([f"P{number:02d}" for number in range(40)], 2)
TRUTH = np.repeat(np.arange(40) % 2, 2)
FEATURES = np.random.default_rng(0).normal(size=(80, 6)) + TRUTH[:, None] * [1.5, 0, 0, 0, 0, 0]
