"""Training on cached features of the frozen backbone."""
