"""The contents of the lake: keys, datasets, manifests, and the markers that publish runs."""
