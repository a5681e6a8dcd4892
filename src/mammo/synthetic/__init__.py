"""Synthetic mammograms that know their own truth.

    manifest = mammo.generate_dataset("demo_data", patients=200, seed=0)

A phantom is built from the outside in: the outline of a compressed breast and its thickness, fatty and
glandular tissue drawn from power-law noise and combed towards the nipple, the pectoral muscle (MLO), a
mass, and at last the detector. Every patient has two views (CC and MLO) of one breast with the same mass
in both. Benign masses are round or oval with a smooth margin, malignant ones irregular with spicules.
What a mass adds in all, how bright it is at its thickest and where it lies are drawn from the same
distributions for both, so that shape and margin are what tells them apart; the spicules take their share,
so the core of a malignant mass is somewhat smaller. Everything about a patient comes from `(seed, patient
number)`: the same seed gives the same pixels, whatever is generated beside it and in however many
processes, as long as the versions of NumPy, SciPy and Pillow are the same.

Coordinates are pixels, rows before columns, the chest wall on the left until the very last step.
"""

from mammo.synthetic.dataset import generate_dataset, noise_dataset
from mammo.synthetic.phantom import Patient, draw_patient, phantom

__all__ = ["Patient", "draw_patient", "generate_dataset", "noise_dataset", "phantom"]
