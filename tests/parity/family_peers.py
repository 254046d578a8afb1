"""transformers' classes of the other families, beside ours with the same weights.

Their EdgeTAM needs timm, which needs torchvision: its backbone is ours here, and
`test_timm.py` compares that with timm's own.
"""

import copy
import importlib
from types import SimpleNamespace

import torch
import transformers
from torch import nn
from transformers.models.edgetam import modeling_edgetam
from transformers.models.edgetam_video import modeling_edgetam_video

from sam2_hf.model.configs.configuration_backbones import RepVitConfig
from sam2_hf.model.repvit import RepVit


class SharedBackbone(nn.Module):
    """Our RepViT with the answers of transformers' wrapper of timm."""

    def __init__(self, config):
        super().__init__()
        self.timm_model = RepVit(RepVitConfig(**config.to_dict())).timm_model

    def forward(self, pixel_values, **kwargs):
        stem, *stages = self.timm_model.values()
        maps = [stem(pixel_values)]
        for stage in stages:
            maps.append(stage(maps[-1]))
        return SimpleNamespace(last_hidden_state=maps[1:], hidden_states=None)


def edgetam_peer(model, monkeypatch):
    """Build transformers' EdgeTAM, for images or videos, with the config and weights of ours."""
    vision = SimpleNamespace(from_config=modeling_edgetam.EdgeTamVisionModel)
    backbone = SimpleNamespace(
        from_config=lambda config: (
            SharedBackbone(config)
            if config.model_type == RepVitConfig.model_type
            else modeling_edgetam.EdgeTamVisionModel(config)
        )
    )
    monkeypatch.setattr(modeling_edgetam_video, "AutoModel", vision)
    monkeypatch.setattr(modeling_edgetam, "AutoModel", backbone)
    kinds = {
        "edgetam": (transformers.EdgeTamConfig, modeling_edgetam.EdgeTamModel),
        "edgetam_video": (
            transformers.EdgeTamVideoConfig,
            modeling_edgetam_video.EdgeTamVideoModel,
        ),
    }
    config_class, kind = kinds[model.config.model_type]
    return _loaded(kind(config_class.from_dict(model.config.to_dict())), model)


def sam3_peer(model):
    """Build transformers' tracker of SAM 3, for images or videos, as ours."""
    modules = {"sam3_tracker": "Sam3TrackerModel", "sam3_tracker_video": "Sam3TrackerVideoModel"}
    kind = model.config.model_type
    module = importlib.import_module(f"transformers.models.{kind}.modeling_{kind}")
    config_class = getattr(transformers, type(model.config).__name__)
    peer_class = getattr(module, modules[kind])
    return _loaded(peer_class(config_class.from_dict(model.config.to_dict())), model)


def _loaded(peer, model):
    peer.load_state_dict(copy.deepcopy(model.state_dict()))
    return peer.eval()


def single_mask_pointers(kind, monkeypatch):
    """Take the pointer of a given mask from the single mask, as in training.

    See `test_transformers_videos.py`.
    """
    original = kind._single_frame_forward

    def forward(self, *args, multimask_output=False, **kwargs):
        return original(self, *args, multimask_output=multimask_output, **kwargs)

    monkeypatch.setattr(kind, "_single_frame_forward", forward)


def prompted_session(module, kind, pixels, prompt):
    """A session of theirs, prompted by hand: their processor needs torchvision."""
    side = pixels.shape[-1]
    session = getattr(module, kind)(pixels.clone(), side, side, dtype=torch.float32)
    place = session.obj_id_to_idx(1)
    if isinstance(prompt, torch.Tensor):
        session.add_mask_inputs(place, 0, prompt[None, None].float())
    else:
        labels = torch.ones(1, 1, 1, dtype=torch.int32)
        points = {"point_coords": torch.tensor([[[prompt]]]), "point_labels": labels}
        session.add_point_inputs(place, 0, points)
    session.obj_with_new_inputs = [1]
    return session
