"""Training: the head on cached features, then the last stages, or all of them, with it."""
