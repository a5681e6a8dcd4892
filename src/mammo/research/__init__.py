"""Measurements on real mammograms, and how the demo weights were trained."""
