"""How good a model is, and how sure that is: metrics, intervals, calibration, operating point, subgroups."""
