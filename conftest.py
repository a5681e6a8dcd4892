"""nbval compares stderr too, where TensorFlow and others write what they like. It is not part of any promise here."""


def pytest_collection_modifyitems(items):
    for item in items:
        skipped = getattr(item.parent, "skip_compare", None)
        if skipped is not None and "stderr" not in skipped:
            item.parent.skip_compare = (*skipped, "stderr")
