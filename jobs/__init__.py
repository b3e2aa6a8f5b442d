"""The jobs: one folder for each image, the command line, and the registry."""
