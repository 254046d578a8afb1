"""Which version of the package this is; written into the files that it makes."""

__version__ = "0.1.0"
