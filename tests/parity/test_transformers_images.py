"""The image model against transformers' own, each loading what the other saved."""

from dataclasses import dataclass

import pytest
import torch
import transformers
from peers import draw_weights, largest_difference, transformers_warnings

import sam2_hf
from sam2_hf.model.configs.configuration_sam2 import with_image_size

ANSWER_TOLERANCE = 1e-4  # logits of order 3 after a hundred sums, taken in another order
FEATURE_TOLERANCE = 1e-5  # of their deviation
NUM_OBJECTS = 3
PROMPTS = ("points", "boxes", "points and boxes", "mask", "mask and points", "nothing")


@dataclass(frozen=True, eq=False)
class Couple:
    """Two models with the same weights, one of which was loaded from the other's files."""

    saved: transformers.PreTrainedModel
    loaded: transformers.PreTrainedModel
    report: dict[str, set[str]]
    warnings: list[str]
    pictures: torch.Tensor
    embeddings: tuple[list[torch.Tensor], list[torch.Tensor]]

    @property
    def image_size(self):
        return self.pictures.shape[-1]


def first_class(name, fields, package):
    """Build an architecture in one of the two packages with weights that leave nothing at zero."""
    config = package.Sam2Config.from_dict(fields)
    return draw_weights(package.Sam2Model(config), seed=len(name)).eval()


@pytest.fixture(scope="module", params=["micro", "tiny at 512"])
def architecture(request, micro_config):
    """Name and config fields; the tiny model at half its size, since all sizes sum alike."""
    if request.param == "micro":
        return request.param, micro_config.to_dict()
    return request.param, with_image_size(sam2_hf.Sam2Config(), 512).to_dict()


@pytest.fixture(scope="module", params=["theirs to ours", "ours to theirs"])
def couple(request, architecture, tmp_path_factory):
    packages = (transformers, sam2_hf)
    source, target = packages if request.param == "theirs to ours" else packages[::-1]
    saved = first_class(*architecture, source)
    folder = tmp_path_factory.mktemp("checkpoint")
    saved.save_pretrained(folder)
    with transformers_warnings() as warnings:
        loaded, report = target.Sam2Model.from_pretrained(folder, output_loading_info=True)

    size = saved.config.prompt_encoder_config.image_size
    pictures = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    embeddings = tuple(model.get_image_embeddings(pictures) for model in (saved, loaded))
    return Couple(saved, loaded, report, warnings, pictures, embeddings)


def draw_prompts(kind, size):
    """Draw prompts for three objects, or one with a mask, in each of two pictures."""
    generator = torch.Generator().manual_seed(2)
    objects = 1 if "mask" in kind else NUM_OBJECTS
    prompts = {}
    if "points" in kind:
        prompts["input_points"] = torch.rand(2, objects, 2, 2, generator=generator) * size
        prompts["input_labels"] = torch.randint(0, 2, (2, objects, 2), generator=generator)
    if "boxes" in kind:
        corners = torch.rand(2, objects, 2, 2, generator=generator) * size
        prompts["input_boxes"] = corners.sort(dim=2).values.flatten(2)
    if "mask" in kind:
        prompts["input_masks"] = torch.randn(2, 1, size // 4, size // 4, generator=generator) * 5
    return prompts


def test_every_weight_arrives_bit_by_bit_and_without_a_word(couple):
    saved, loaded = couple.saved.state_dict(), couple.loaded.state_dict()

    assert saved.keys() == loaded.keys()
    assert all(torch.equal(value, loaded[name]) for name, value in saved.items())
    assert not any(couple.report.values())
    assert couple.warnings == []


def without_dtype(fields):
    """Drop what only says how a config was saved."""
    return {
        name: without_dtype(value) if isinstance(value, dict) else value
        for name, value in fields.items()
        if name != "dtype"
    }


@pytest.mark.parametrize("part", ["vision_config", "prompt_encoder_config", "mask_decoder_config"])
def test_the_config_arrives(couple, part):
    saved, loaded = (getattr(model.config, part) for model in (couple.saved, couple.loaded))

    assert without_dtype(loaded.to_dict()) == without_dtype(saved.to_dict())


def test_features_are_equal(couple):
    for one, other in zip(*couple.embeddings, strict=True):
        assert largest_difference(one, other) <= FEATURE_TOLERANCE * one.std().item()


@torch.no_grad()
@pytest.mark.parametrize("multimask", [True, False], ids=["several masks", "one mask"])
@pytest.mark.parametrize("kind", PROMPTS)
def test_answers_are_equal(couple, kind, multimask):
    prompts = draw_prompts(kind, couple.image_size)

    one, other = (
        model(image_embeddings=embeddings, multimask_output=multimask, **prompts)
        for model, embeddings in zip((couple.saved, couple.loaded), couple.embeddings, strict=True)
    )

    assert one.pred_masks.std() > 0.5
    for name in ("pred_masks", "iou_scores", "object_score_logits"):
        assert largest_difference(one[name], other[name]) <= ANSWER_TOLERANCE, name


@torch.no_grad()
def test_a_picture_and_a_click_in_one_call_answer_alike(couple):
    prompts = draw_prompts("points", couple.image_size)
    own = {name: value[:1] for name, value in prompts.items()}

    one, other = (model(couple.pictures[:1], **own) for model in (couple.saved, couple.loaded))

    for name in ("pred_masks", "iou_scores", "object_score_logits"):
        assert largest_difference(one[name], other[name]) <= ANSWER_TOLERANCE, name


@pytest.fixture(scope="module")
def video_folder(micro_config, tmp_path_factory):
    """A checkpoint of transformers' video model, as the released ones are."""
    fields = micro_config.to_dict()
    fields |= {"image_size": 256, "memory_attention_rope_feat_sizes": [16, 16]}
    fields["model_type"] = "sam2_video"
    for part in ("prompt_encoder", "mask_decoder"):
        fields[f"{part}_config"]["model_type"] = f"sam2_video_{part}"
    model = transformers.Sam2VideoModel(transformers.Sam2VideoConfig.from_dict(fields))
    folder = tmp_path_factory.mktemp("video")
    draw_weights(model).save_pretrained(folder)
    return folder


def test_a_video_checkpoint_loads_as_an_image_model_without_a_word(video_folder):
    with transformers_warnings() as warnings:
        model, report = sam2_hf.Sam2Model.from_pretrained(video_folder, output_loading_info=True)

    assert type(model.config) is sam2_hf.Sam2Config
    assert warnings == []
    assert not report["missing_keys"]
    assert not report["mismatched_keys"]
    assert not report["error_msgs"]


@torch.no_grad()
def test_a_video_checkpoint_answers_like_the_image_part_of_transformers(video_folder):
    ours = sam2_hf.Sam2Model.from_pretrained(video_folder)
    theirs = transformers.Sam2Model.from_pretrained(video_folder)
    pictures = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    points = torch.tensor([[[[100.0, 50.0]]]])

    one, other = (model(pictures, input_points=points) for model in (ours, theirs))

    assert largest_difference(one.pred_masks, other.pred_masks) <= ANSWER_TOLERANCE
    assert largest_difference(one.iou_scores, other.iou_scores) <= ANSWER_TOLERANCE
