"""Version of the package; written into its output files."""

__version__ = "0.1.0"
