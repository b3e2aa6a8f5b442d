"""The version, which images and wheels carry."""

__version__ = "0.1.0"
