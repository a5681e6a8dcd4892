"""What is measured on real films, and how the demo weights are made."""
