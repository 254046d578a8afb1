"""The bundled model: measurement, bundling, checks and model card."""
