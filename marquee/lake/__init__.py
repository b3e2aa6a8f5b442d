"""What is in the lake: keys, datasets, manifests, and the markers by which a run is published."""
