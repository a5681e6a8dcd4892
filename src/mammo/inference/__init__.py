"""From a file to a prediction: classifier, out-of-distribution detector, whole folders."""
