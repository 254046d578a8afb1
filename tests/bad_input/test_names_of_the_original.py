"""The original's names for photos are a border too: what is no prompt or option is refused."""

from functools import partial

import numpy as np
import pytest
import torch

from sam2_hf.original.automatic_mask_generator import OPTIONS, SAM2AutomaticMaskGenerator
from sam2_hf.original.model_building import BuildOptions, named_config, pretrained_config
from sam2_hf.original.sam2_image_predictor import SAM2ImagePredictor
from tests.bad_input.judging import Input, each, equals, faults_of
from tests.bad_input.odd_values import NO_BOXES, NO_COORDINATES, NO_FLAGS, NOTHING, no_masks
from tests.bad_input.test_prompts import ARE_LOGITS, ODD_OPTIONS, ODD_PICTURES
from tests.small_checkpoint import small_config
from tests.video.transformers_usage import clip

PHOTO = clip(1)[0]
MASK = (16, 16)


@pytest.fixture(scope="module")
def predictor(tiny_model):
    predictor = SAM2ImagePredictor(tiny_model)
    predictor.set_image(PHOTO)
    return predictor


def prompts(predictor):
    ask = lambda **given: predictor.predict(**given)[2]  # noqa: E731
    point = lambda xy: ask(point_coords=[xy], point_labels=[1])  # noqa: E731
    for place, where in {"x": lambda v: (v, 20), "y": lambda v: (30, v), "alone": list}.items():
        values = {name: value for name, value in NO_COORDINATES.items() if place != "alone"}
        yield from each(f"point_coords, {place}", values, lambda v, w=where: point(w(v)))
    known = ("-1", "2", "a list of 2", "bytes")  # no point at all; a corner of a box; a 1
    labels = lambda value: ask(point_coords=[(30, 20)], point_labels=[value])  # noqa: E731
    yield from each("point_labels", NO_FLAGS, labels, known)
    several = ("no number", "two in one")
    yield from each("box", NO_BOXES, lambda box: ask(box=box), several)
    yield from each("mask_input", no_masks(MASK), lambda v: ask(mask_input=v), ARE_LOGITS)
    right = equals(partial(ask, point_coords=[(30.0, 20.0)], point_labels=[1]))
    for name, given in {
        "texts": {"point_coords": [("30", "20")], "point_labels": ["1"]},
        "tensors": {"point_coords": torch.tensor([[30, 20]]), "point_labels": torch.tensor([1])},
        "True": {"point_coords": [(30, 20)], "point_labels": [True]},
    }.items():
        yield Input(f"a point as {name}", partial(ask, **given), right)


def photos(predictor):
    yield from each("set_image", ODD_PICTURES, predictor.set_image)
    yield from each("a batch with", ODD_PICTURES, lambda v: predictor.set_image_batch([PHOTO, v]))
    yield from each("set_image_batch", ODD_PICTURES, predictor.set_image_batch)


def options(predictor):
    model = predictor.model
    numbers = ("-1", "1.5")
    for option in ("mask_threshold", "max_hole_area", "max_sprinkle_area"):
        call = partial(_with, SAM2ImagePredictor, model, option)
        yield from each(f"SAM2ImagePredictor({option})", ODD_OPTIONS, call, numbers)
    generator = SAM2AutomaticMaskGenerator(model)
    for option in OPTIONS:
        leave = ("None", "-1", "1.5", "True", "an array")
        call = partial(_with, SAM2AutomaticMaskGenerator, model, option)
        yield from each(f"SAM2AutomaticMaskGenerator({option})", ODD_OPTIONS, call, leave)
        leave += ("a list",)
        yield from each(f"{option} set to", ODD_OPTIONS, partial(setattr, generator, option), leave)


def _with(kind, model, option, value):
    return kind(model, **{option: value})


def builders(_predictor):
    config = small_config()
    for option, leave in {
        "device": ("None", "-1"),
        "mode": (),
        "hydra_overrides_extra": ("a list",),
        "apply_postprocessing": ("True",),
        "vos_optimized": ("True",),
        "compat": ("None",),
    }.items():
        build = lambda v, option=option: BuildOptions(**{option: v}).image_model(config, None)  # noqa: E731
        yield from each(f"a builder's {option}", ODD_OPTIONS, build, leave)
    for name in ("image_size", "num_maskmem", "image_encoder.trunk.embed_dim", "sam2", ""):
        for value in ("", "a", "-1", "1e99", "[]", "null", "{}", "nan", "[[1]]", "9" * 400):
            override = f"++model.{name}={value}"
            build = BuildOptions(device="cpu", hydra_overrides_extra=[override])
            yield Input(override[:60], partial(build.image_model, config, None))
    yield from each("config_file", ODD_OPTIONS, named_config)
    yield from each(
        "model_id", ("", "a b", "no/such/model", "nowhere.pt", "a\0b"), pretrained_config
    )
    weights = ("", "nowhere.pt", "no/such/folder", "a\0b", 7, NOTHING, np.zeros(3))
    yield from each("ckpt_path", weights, partial(BuildOptions().image_model, config))


BORDERS = {border.__name__: border for border in (prompts, photos, options, builders)}


@pytest.mark.parametrize("border", BORDERS.values(), ids=BORDERS)
def test_what_cannot_be_used_is_refused_or_read_rightly(predictor, border):
    count, faults = faults_of(border(predictor))

    assert count >= 40
    assert not faults, f"{len(faults)} of {count} inputs:\n" + "\n".join(faults)
