"""The session API of transformers, as views of this package's session."""
