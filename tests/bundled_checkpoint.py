"""A checkpoint of a test's own, in place of the installed one."""

import socket

from sam2_hf import Sam2ImageProcessor, Sam2VideoProcessor
from sam2_hf.model.checkpoints import bundled_models

NAME = bundled_models.SMALL_MODEL


def look_for_bundled_models_in(folder, monkeypatch):
    """Let checkpoints be found in a folder alone; an empty one means that none is installed."""
    monkeypatch.setattr(bundled_models, "_places", lambda name: [folder / name])


def bundle(video_model, folder, monkeypatch):
    """Save a model with its processors as the bundled one; returns where."""
    side = video_model.config.image_size
    video_model.save_pretrained(folder / NAME)
    processor = Sam2ImageProcessor(size={"height": side, "width": side})
    Sam2VideoProcessor(processor).save_pretrained(folder / NAME)
    look_for_bundled_models_in(folder, monkeypatch)
    return folder / NAME


def forbid_network(monkeypatch):
    """Fail at whoever opens a connection or looks up a name."""

    def refuse(*where, **options):
        raise RuntimeError(f"somebody asked the network: {where}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
