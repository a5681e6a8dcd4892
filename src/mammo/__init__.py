"""Learn, test and try breast-cancer detection on mammograms. Not a medical device.

    import mammo
    mammo.load_classifier("artifacts/model").predict("image.dcm").probability

The names below are loaded when they are first used, so that `import mammo` costs no TensorFlow.
"""

from importlib import import_module

_HOME = {
    "CLASS_NAMES": "manifest",
    "Classifier": "prediction",
    "MammoError": "errors",
    "Prediction": "prediction",
    "breakdown": "groups",
    "build_model": "model",
    "check_manifest": "manifest",
    "checklist": "reporting",
    "combine": "decision",
    "compare": "comparison",
    "duplicates": "fingerprint",
    "evaluate": "evaluation",
    "fine_tune": "training",
    "generate_dataset": "synthetic",
    "grad_cam": "explanation",
    "learn_familiar": "familiar",
    "lesion_squares": "manifest",
    "load_classifier": "prediction",
    "load_manifest": "manifest",
    "noise_dataset": "synthetic",
    "predict_manifest": "prediction",
    "read_mammogram": "reading",
    "save_classifier": "model",
    "save_manifest": "manifest",
    "score_folder": "scoring",
    "split_by_patient": "manifest",
    "train_head": "training",
    "with_validation": "manifest",
}
_MODULES = {
    "datasets",
    "decision",
    "distributed",
    "evaluation",
    "manifest",
    "notebook",
    "plots",
    "preprocessing",
    "reading",
    "synthetic",
}

__version__ = "0.1.0"
__all__ = sorted(_HOME)


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(f"mammo.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"mammo.{name}")
    raise AttributeError(f"module 'mammo' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_HOME, *_MODULES])
