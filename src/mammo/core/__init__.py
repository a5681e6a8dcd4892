"""What everything else stands on: the manifest, files, errors, and Keras without its log lines."""
