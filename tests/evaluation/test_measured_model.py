"""Which model was measured."""

import hashlib

import torch

from evaluation.measured_model import describe_model, weights_file


def test_a_folder_is_known_by_the_hash_of_its_weights(tiny_video_model, tiny_checkpoint):
    content = (tiny_checkpoint / "model.safetensors").read_bytes()

    found = describe_model(str(tiny_checkpoint), tiny_video_model)

    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert (found.name, found.file_bytes) == ("sam2-tiny", len(content))
    assert found.parameters == sum(p.numel() for p in tiny_video_model.parameters())
    assert found.image_size == 64


def test_without_a_file_the_weights_themselves_are_hashed(tiny_video_model, tiny_video_config):
    other = type(tiny_video_model)(tiny_video_config)
    other.load_state_dict(tiny_video_model.state_dict())

    first = describe_model("owner/name", tiny_video_model)
    same = describe_model("owner/name", other)
    with torch.no_grad():
        next(other.parameters()).add_(1)

    assert first == same != describe_model("owner/name", other)
    assert (first.name, first.file_bytes) == ("name", 0)


def test_a_file_is_itself_and_what_is_not_here_is_none(tiny_checkpoint):
    file = tiny_checkpoint / "model.safetensors"

    assert weights_file(str(file)) == weights_file(str(tiny_checkpoint)) == file
    assert weights_file("facebook/sam2.1-hiera-tiny") is None
