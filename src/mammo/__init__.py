"""Learn, test and try breast-cancer detection on mammograms. Not a medical device.

    import mammo
    mammo.load_classifier("artifacts/model").predict("image.dcm").probability

The public names stand in `__init__.pyi`, where an editor finds their definitions. They are imported when they are first
used, so that `import mammo` costs no TensorFlow.
"""

import lazy_loader

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
