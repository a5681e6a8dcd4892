r"""One module a data set: the folder as its owner publishes it -> manifest.

from mammo.datasets import cbis_ddsm, folder
manifest = cbis_ddsm.manifest("CBIS-DDSM")                                     # one row an image
lesions = cbis_ddsm.lesions("CBIS-DDSM")                                       # one row a lesion, where located
manifest = folder.manifest("my_data", patient_pattern=r"(P\d+)_")              # your own

Read are BreakHis, CBIS-DDSM, CMMD, DDSM, INbreast, Mini-DDSM, mini-MIAS, RSNA and VinDr-Mammo, and your own images.
Each docstring says what to download, its licence and citation, the published counts, and the traps. An image with
several lesions is one row of the manifest, with the gravest label; `lesions` has them all. Places are in pixels of the
image file that is there (`_geometry.place_in_images`). The official split is kept where there is one ("train" and
"test"); of the others `mammo.split_by_patient` makes one.
"""
