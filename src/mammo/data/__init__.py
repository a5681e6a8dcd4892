"""From a file to the model's input, and batches of them."""
