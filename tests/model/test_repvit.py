"""RepViT, by itself and against timm's own class if a folder with timm is given.

    pytest --timm FOLDER tests/model/test_repvit.py

timm imports torchvision, which cannot stand beside this package's tests: names of it are enough.
"""

import importlib
import sys
from contextlib import contextmanager
from types import ModuleType

import pytest
import torch
from torch import nn

from sam2_hf.model.configs.configuration_backbones import RepVitConfig
from sam2_hf.model.repvit import RepVit

SMALL = {"embed_dim": [8, 16, 24, 32], "depth": [1, 1, 2, 1]}
FILTERS = {"NEAREST": 0, "BILINEAR": 2, "BICUBIC": 3, "BOX": 4, "HAMMING": 5, "LANCZOS": 1}
TORCHVISION = (
    *("torchvision", "torchvision.io", "torchvision.ops", "torchvision.ops.misc"),
    *("torchvision.models", "torchvision.models.feature_extraction", "torchvision.datasets"),
    *("torchvision.transforms", "torchvision.transforms.functional", "torchvision.transforms.v2"),
    "torchvision.transforms.v2.functional",
)


class AnyNames(ModuleType):
    """A module that has every class it is asked for."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (nn.Module,), FILTERS)


@contextmanager
def stand_in_torchvision():
    modules = {name: AnyNames(name) for name in TORCHVISION}
    for name, module in modules.items():
        module.__path__ = []
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]


def config(**changes):
    arguments = {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]}
    return RepVitConfig(model_args=arguments | changes)


def drawn(shapes):
    """Weights as after training: no statistic is that of a new normalization."""
    random = torch.Generator().manual_seed(0)
    return {
        name: tensor
        if not tensor.is_floating_point()
        else torch.rand(tensor.shape, generator=random) + 0.5
        if name.endswith(("running_var", "bn.weight"))
        else torch.randn(tensor.shape, generator=random) * max(tensor[0].numel(), 4) ** -0.5
        for name, tensor in shapes.items()
    }


def test_each_stage_halves_the_grid():
    pictures = torch.randn(2, 3, 64, 96)

    stages = RepVit(config(**SMALL)).eval()(pictures).intermediate_hidden_states

    shapes = [tuple(stage.shape) for stage in stages]
    assert shapes == [(2, 16, 24, 8), (2, 8, 12, 16), (2, 4, 6, 24), (2, 2, 3, 32)]


def test_the_published_size_is_that_of_edgetam():
    stages = RepVit(RepVitConfig()).timm_model

    assert [len(stages[f"stages_{stage}"].blocks) for stage in range(4)] == [2, 2, 14, 2]
    assert len(RepVit(RepVitConfig()).state_dict()) == 676


def test_stochastic_depth_is_refused():
    backbone = RepVit(config(**SMALL))
    backbone.set_drop_path(0.0)

    with pytest.raises(ValueError, match="none"):
        backbone.set_drop_path(0.1)


@torch.no_grad()
@pytest.mark.parametrize("sizes", [{}, SMALL], ids=["published", "small"])
def test_features_are_bit_for_bit_those_of_timm(sizes, request):
    folder = request.config.getoption("--timm")
    if folder is None:
        pytest.skip("--timm names no folder that holds timm")
    sys.path.append(str(folder))
    with stand_in_torchvision():
        timm = importlib.import_module("timm")
        theirs = timm.create_model("repvit_m1", features_only=True, **sizes).eval()
    ours = RepVit(config(**sizes)).eval()
    weights = drawn(theirs.state_dict())
    theirs.load_state_dict(weights)
    ours.timm_model.load_state_dict(weights)
    pictures = torch.randn(1, 3, 128, 128)

    found = ours(pictures).intermediate_hidden_states

    for stage_bhwc, wanted_bchw in zip(found, theirs(pictures), strict=True):
        assert torch.equal(stage_bhwc.permute(0, 3, 1, 2), wanted_bchw)
