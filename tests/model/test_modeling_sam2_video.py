"""The steps of the video model, with the session left out."""

import pytest
import torch
from peers import largest_difference

from sam2_hf import Sam2Model
from sam2_hf.model.prompt_encoder import NO_OBJECT, Prompts
from tests.drawn_video import (
    GRID,
    HIDDEN,
    MEMORY,
    clicks,
    disc_masks,
    drawn_video_model,
    own_video_model,
    pixel_values,
    recollection,
    row_of,
    track,
)
from tests.small_checkpoint import SIDE

SAME_SUMS = 5e-5  # logits are of order 3 and pass a hundred sums, each right to seven digits


ANSWER = ("candidates_bmhw", "candidate_iou_bm", "logits_b1hw", "iou_b1", "pointer_bd", "score_b1")
VERSIONS = ("2.0", "2.1")


def assert_same_answers(ours, theirs, rows=slice(None)):
    for name in ANSWER:
        assert largest_difference(getattr(ours, name)[rows], getattr(theirs, name)) <= SAME_SUMS


def test_sizes_are_asked_of_the_model_itself():
    model = drawn_video_model()

    assert (model.image_size, model.grid, model.mask_input_size) == (64, (4, 4), (16, 16))
    assert (model.hidden_dim, model.mem_dim, model.num_maskmem) == (HIDDEN, MEMORY, 7)
    assert (model.memory_shape, model.num_memory_tokens) == ((MEMORY, 4, 4), 16)


@torch.no_grad()
@pytest.mark.parametrize("version", VERSIONS)
def test_every_step_gives_what_the_next_one_takes(version):
    model = drawn_video_model(version)

    features = model.encode_image(pixel_values())
    embedding = model.condition_on_memory(features, recollection(2))
    masks = model.decode_masks(features, embedding, Prompts(), multimask_output=True)
    memory = model.encode_memory(features, masks.logits_b1hw, masks.score_b1, binarize=False)

    assert features.embedding_bchw.shape == (1, HIDDEN, GRID, GRID)
    assert features.fine_bchw.shape == (1, HIDDEN // 8, 4 * GRID, 4 * GRID)
    assert features.coarse_bchw.shape == (1, HIDDEN // 4, 2 * GRID, 2 * GRID)
    assert embedding.shape == (2, HIDDEN, GRID, GRID)
    assert masks.candidates_bmhw.shape == (2, 3, 4 * GRID, 4 * GRID)
    assert masks.pointer_bd.shape == (2, HIDDEN)
    assert masks.score_b1.shape == masks.iou_b1.shape == (2, 1)
    assert memory.shape == (2, MEMORY, GRID, GRID)


@torch.no_grad()
def test_frames_in_a_batch_do_not_see_each_other():
    model, memories = drawn_video_model(), recollection(2)

    together = track(model, model.encode_image(pixel_values(2)), memories)

    for index in range(2):
        own = model.encode_image(pixel_values(2)[[index]])
        assert_same_answers(together, track(model, own, row_of(memories, index)), [index])


@torch.no_grad()
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("pointers", [3, 0])
def test_objects_that_share_a_frame_get_what_each_gets_alone(version, pointers):
    model = drawn_video_model(version)
    features, memories = model.encode_image(pixel_values()), recollection(3, pointers=pointers)

    together = track(model, features, memories)
    memory = model.encode_memory(features, together.logits_b1hw, together.score_b1, binarize=True)

    for index in range(3):
        alone = track(model, features, row_of(memories, index))
        own = model.encode_memory(features, alone.logits_b1hw, alone.score_b1, binarize=True)
        assert_same_answers(together, alone, [index])
        assert largest_difference(memory[[index]], own) <= SAME_SUMS


@torch.no_grad()
def test_the_answer_is_the_candidate_of_the_best_predicted_iou():
    model = drawn_video_model()

    masks = track(model, model.encode_image(pixel_values()), recollection(4))

    best = masks.candidate_iou_bm.argmax(dim=1)
    for index, chosen in enumerate(best):
        assert torch.equal(masks.logits_b1hw[index, 0], masks.candidates_bmhw[index, chosen])
        assert masks.iou_b1[index, 0] == masks.candidate_iou_bm[index].max()


@torch.no_grad()
def test_a_frame_without_memories_is_segmented_as_an_image(tiny_config):
    """The image model with the same weights gives the same masks."""
    video = drawn_video_model()
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    fields = video.config.to_dict()
    image = Sam2Model(type(tiny_config)(**{part: fields[part] for part in parts})).eval()
    image.load_state_dict(video.state_dict(), strict=False)
    asked = clicks(objects=1)

    found = track(video, video.encode_image(pixel_values()), None, asked)
    answer = image(pixel_values(), input_points=asked.points_bpt2, input_labels=asked.labels_bpt)

    assert largest_difference(found.candidates_bmhw, answer.pred_masks[:, 0]) <= SAME_SUMS
    assert largest_difference(found.score_b1, answer.object_score_logits[:, 0]) <= SAME_SUMS


@torch.no_grad()
def test_of_an_object_out_of_view_nothing_is_left_but_a_marked_pointer():
    model = own_video_model()
    model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(-50)

    masks = track(model, model.encode_image(pixel_values()), recollection(2))

    assert (masks.score_b1 < 0).all()
    assert (masks.logits_b1hw == NO_OBJECT).all()
    assert torch.equal(masks.pointer_bd, model.no_object_pointer.expand(2, -1))


@torch.no_grad()
@pytest.mark.parametrize("version", VERSIONS)
def test_the_memory_of_an_object_out_of_view_is_marked_in_sam_2_1(version):
    model = drawn_video_model(version)
    features, logits = model.encode_image(pixel_values()), torch.zeros(2, 1, SIDE, SIDE)

    seen, hidden = model.encode_memory(
        features, logits, torch.tensor([[1.0], [0.0]]), binarize=False
    )

    if version == "2.0":
        assert largest_difference(hidden, seen) <= SAME_SUMS
    else:
        mark = model.occlusion_spatial_embedding_parameter[0]
        assert largest_difference(hidden - seen, mark[:, None, None].expand_as(seen)) <= SAME_SUMS


@torch.no_grad()
@pytest.mark.parametrize("version", VERSIONS)
def test_pointers_carry_their_age_in_sam_2_1_only(version):
    model = drawn_video_model(version)
    features, memories = model.encode_image(pixel_values()), recollection(1)
    older = type(memories)(
        memories.spatial, memories.ages, memories.pointers_bpd, memories.times_bp + 0.5
    )

    first, second = (model.condition_on_memory(features, each) for each in (memories, older))

    assert torch.equal(first, second) == (version == "2.0")


@torch.no_grad()
def test_a_given_mask_is_the_answer():
    model = drawn_video_model()

    masks = model.use_mask_as_output(model.encode_image(pixel_values()), disc_masks())

    assert torch.equal(masks.full_logits_b1hw, disc_masks() * 20 - 10)
    assert masks.logits_b1hw.shape == (2, 1, 4 * GRID, 4 * GRID)
    assert masks.iou_b1.tolist() == [[1.0], [1.0]]
    assert masks.score_b1.tolist() == [[10.0], [-10.0]]
    assert torch.equal(masks.pointer_bd[1], model.no_object_pointer[0])
    assert not torch.equal(masks.pointer_bd[0], model.no_object_pointer[0])


@torch.no_grad()
def test_a_mask_is_remembered_as_seen_or_by_its_probabilities():
    model = drawn_video_model()
    features, score = model.encode_image(pixel_values()), torch.ones(1, 1)
    faint = disc_masks()[:1] * 2 - 1

    as_seen = model.encode_memory(features, faint, score, binarize=True)

    certain = model.encode_memory(features, faint * 1000, score, binarize=False)
    faintly = model.encode_memory(features, faint, score, binarize=False)
    assert largest_difference(as_seen, certain) <= SAME_SUMS
    assert largest_difference(as_seen, faintly) > 100 * SAME_SUMS


@torch.no_grad()
def test_masks_of_low_resolution_are_enlarged_before_they_are_remembered():
    model = drawn_video_model()
    features, score = model.encode_image(pixel_values()), torch.ones(1, 1)
    low = torch.randn(1, 1, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(low, scale_factor=4, mode="bilinear")

    found = model.encode_memory(features, low, score, binarize=True)

    assert torch.equal(found, model.encode_memory(features, large, score, binarize=True))


@torch.no_grad()
def test_no_step_changes_its_inputs_or_the_model():
    model, memories, pixels = drawn_video_model(), recollection(2), pixel_values()
    features = model.encode_image(pixels)
    given = (*memories.spatial, pixels, features.embedding_bchw, features.fine_bchw)
    tensors = (*given, *model.state_dict().values())
    before, attributes = [tensor.clone() for tensor in tensors], list(vars(model))

    masks = track(model, features, memories, clicks())
    model.encode_memory(features, masks.logits_b1hw, masks.score_b1, binarize=False)

    assert all(map(torch.equal, tensors, before))
    assert list(vars(model)) == attributes


@torch.no_grad()
@pytest.mark.parametrize("version", VERSIONS)
def test_bfloat16_is_close_and_decides_masks_in_float32(version):
    model = own_video_model(version).to(torch.bfloat16)

    features = model.encode_image(pixel_values().bfloat16())
    masks = track(model, features, recollection(2))
    memory = model.encode_memory(features, masks.logits_b1hw, masks.score_b1, binarize=False)

    exact = drawn_video_model(version)
    expected = track(exact, exact.encode_image(pixel_values()), recollection(2))
    assert masks.logits_b1hw.dtype == torch.float32
    assert memory.dtype == masks.pointer_bd.dtype == torch.bfloat16
    assert torch.isfinite(memory.float()).all()
    assert (masks.logits_b1hw - expected.logits_b1hw).abs().mean() < 0.1 * (
        expected.logits_b1hw.abs().mean()
    )


class Recorder:
    """A session that notes what it is asked for."""

    def segment_frame(self, model, **asked):
        self.asked = model, asked
        return "output"

    def iterate_frames(self, model, **asked):
        self.asked = model, asked
        return iter(["output"])


def test_transformers_methods_hand_over_to_the_session():
    model, session, frame = drawn_video_model(), Recorder(), pixel_values()[0]

    assert model(session, frame_idx=3, frame=frame, reverse=True) == "output"

    asked = {"frame_idx": 3, "frame": frame, "reverse": True, "remember": True}
    assert session.asked == (model, asked)


def test_transformers_iterator_hands_over_to_the_session():
    model, session = drawn_video_model(), Recorder()

    assert list(model.propagate_in_video_iterator(session, max_frame_num_to_track=4)) == ["output"]

    assert session.asked[1] == {
        "start_frame_idx": None,
        "max_frame_num_to_track": 4,
        "reverse": False,
        "show_progress_bar": False,
    }
