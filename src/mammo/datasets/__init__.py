r"""One module a data set: the folder as its owner publishes it -> manifest.

from mammo.datasets import folder
manifest = folder.manifest("my_data", patient_pattern=r"(P\d+)_")
"""
