"""Synthetic mammograms that know their own truth.

    manifest = mammo.generate_dataset("demo_data", patients=250, seed=0)

A phantom is built from the outside in: the outline of a compressed breast and its thickness, fatty and
glandular tissue drawn from power-law noise and combed towards the nipple, webs of ligaments, the pectoral muscle
(MLO), then film or digital processing, a lesion, and at last the grain. A patient has four views, CC and MLO of both
breasts, and the same lesion in both views of one of them. Benign and malignant lesions are matched in area,
brightness and place, so that shape and margin are what tells them apart (`lesions`); `lesion_classifier` measures how
plainly, `realism` how like real mammograms the images are.

Everything about a patient comes from `(seed, patient number)`: the same seed gives the same bytes, whatever is
generated beside it and in however many processes, with the same versions of NumPy, SciPy, Pillow, pydicom and
scikit-learn on the same kind of processor; on another kind some pixels differ in the last digit. Coordinates are
pixels, rows before columns, the chest wall on the left until the very last step.
"""

from mammo.synthetic.cbis_ddsm_replica import cbis_ddsm_folder
from mammo.synthetic.cmmd_replica import cmmd_folder
from mammo.synthetic.dataset import generate_dataset, noise_dataset
from mammo.synthetic.phantom import Patient, draw_patient, phantom

__all__ = ["Patient", "cbis_ddsm_folder", "cmmd_folder", "draw_patient", "generate_dataset", "noise_dataset", "phantom"]
