"""The session's inside against transformers' own: every public name, and what changing it does.

Both sessions get the same calls by the same names, and must give the same masks afterwards.
"""

import types

import numpy as np
import pytest
import torch
from peers import draw_weights, largest_difference, peer_of
from transformers.models.sam2_video import modeling_sam2_video as peer_module

from sam2_hf import Sam2VideoConfig, Sam2VideoInferenceSession, Sam2VideoModel, SessionOptions

SIDE, CHANNELS = 64, 128
NUM_FRAMES = 24  # more than there are pointers: there frames that are dropped change their times
TOLERANCE = 1e-3  # logits of order 2, memories in bfloat16; see test_transformers_videos.py
STORED = "maskmem_features"
INPUTS = {"point_coords": torch.tensor([[[[20.0, 24.0]]]]), "point_labels": torch.ones(1, 1, 1)}
FRAMES = torch.from_numpy(
    np.random.default_rng(5).normal(size=(NUM_FRAMES, 3, SIDE, SIDE)).astype(np.float32)
)


@pytest.fixture(scope="module")
def pair(tiny_video_config, one_thread):
    """Our model and theirs with the same weights; theirs needs memories 64 channels wide."""
    fields = tiny_video_config.to_dict()
    for part, name in (("vision", "fpn_"), ("prompt_encoder", ""), ("mask_decoder", "")):
        fields[f"{part}_config"][f"{name}hidden_size"] = CHANNELS
    names = ("attention_hidden_size", "encoder_hidden_size", "fuser_embed_dim")
    fields |= {f"memory_{name}": CHANNELS for name in names}
    fields["memory_encoder_output_channels"] = 64
    fields["mask_downsampler_embed_dim"] = CHANNELS
    model = draw_weights(Sam2VideoModel(Sam2VideoConfig.from_dict(fields)), seed=1).eval()
    with torch.no_grad():
        model.mask_decoder.pred_obj_score_head.proj_out.bias.add_(5.0)
    return model, peer_of(model)


def open_both(video=FRAMES):
    options = SessionOptions.preset("transformers")
    size = (SIDE, SIDE)
    ours = Sam2VideoInferenceSession(
        None if video is None else video.clone(), *size, options=options
    )
    theirs = peer_module.Sam2VideoInferenceSession(
        None if video is None else video.clone(), *size, dtype=torch.float32
    )
    return ours, theirs


def click(session, frame=0, object_id=1):
    place = session.obj_id_to_idx(object_id)
    labels = INPUTS["point_labels"].int()
    session.add_point_inputs(place, frame, {**INPUTS, "point_labels": labels})
    session.obj_with_new_inputs = [object_id]


@torch.no_grad()
def tracked(pair, frames=range(5), clicked=(0,)):
    """Both sessions after some frames."""
    sessions = open_both()
    for model, session in zip(pair, sessions, strict=True):
        for frame in frames:
            if frame in clicked:
                click(session, frame)
            model(session, frame_idx=frame)
    return sessions


@torch.no_grad()
def masks(pair, sessions, **course):
    return [
        model(session, **course).pred_masks.clone()
        for model, session in zip(pair, sessions, strict=True)
    ]


def public(instance):
    return [name for name in dir(instance) if not name.startswith("_")]


def test_every_public_name_of_the_peers_session_is_here(pair):
    ours, theirs = tracked(pair)

    for mine, other in ((ours, theirs), (ours.cache, theirs.cache)):
        for name in public(other):
            is_method = isinstance(getattr(other, name), types.MethodType)
            assert callable(getattr(mine, name)) == is_method, name


def test_attributes_that_can_be_set_there_can_be_set_here():
    ours, theirs = open_both()

    for name in public(theirs):
        value = getattr(theirs, name)
        if name.endswith("device") or name in {"dtype", "video_height", "video_width"}:
            setattr(ours, name, value)
            assert str(getattr(ours, name)) == str(value)


def test_the_same_is_remembered_under_the_same_names(pair):
    ours, theirs = tracked(pair, clicked=(0, 2))

    assert ours.output_dict_per_obj.keys() == theirs.output_dict_per_obj.keys()
    for kind, expected in theirs.output_dict_per_obj[0].items():
        found = ours.output_dict_per_obj[0][kind]
        assert found.keys() == expected.keys()
        for frame, outputs in expected.items():
            assert outputs.keys() <= found[frame].keys()
            for key, value in outputs.items():
                scale = max(1.0, value.float().abs().max().item())
                difference = largest_difference(found[frame][key].float(), value.float())
                assert difference <= TOLERANCE * 10 * scale, (frame, key)


def test_the_same_frames_objects_and_prompts_are_listed(pair):
    ours, theirs = tracked(pair, clicked=(0, 2))

    assert {k: dict(v) for k, v in ours.frames_tracked_per_obj[0].items()} == (
        theirs.frames_tracked_per_obj[0]
    )
    for name in ("obj_ids", "obj_with_new_inputs", "num_frames", "video_height", "video_width"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.processed_frames.keys() == theirs.processed_frames.keys()
    assert all(torch.equal(ours.processed_frames[f], FRAMES[f]) for f in range(NUM_FRAMES))
    assert ours.mask_inputs_per_obj[0] == theirs.mask_inputs_per_obj[0] == {}
    expected = theirs.point_inputs_per_obj[0]
    assert ours.point_inputs_per_obj[0].keys() == expected.keys()
    for frame, inputs in expected.items():
        for key, value in inputs.items():
            assert torch.equal(ours.point_inputs_per_obj[0][frame][key], value), key


def test_the_cache_holds_the_same_features(pair):
    ours, theirs = tracked(pair)

    found, expected = (session.cache.get_vision_features(4) for session in (ours, theirs))

    assert ours.cache.get_vision_features(0) is theirs.cache.get_vision_features(0) is None
    assert found.keys() == expected.keys()
    for key, maps in expected.items():
        for mine, other in zip(found[key], maps, strict=True):
            assert largest_difference(mine, other) <= TOLERANCE, key


def outputs_of(session, kind="non_cond_frame_outputs"):
    return session.output_dict_per_obj[0][kind]


def set_pointer(session):
    outputs_of(session)[4]["object_pointer"] = torch.ones(1, 1, CHANNELS)


def set_features(session):
    outputs_of(session)[3][STORED] = torch.zeros_like(outputs_of(session)[3][STORED])


def store_pointer(session):
    session.store_output(
        0, 4, "object_pointer", torch.ones(1, 1, CHANNELS), is_conditioning_frame=False
    )


def move_output(session):
    outputs_of(session)[1] = dict(outputs_of(session).pop(4))


def store_whole(session):
    session.store_output(0, 4, output_value=dict(outputs_of(session)[1]))


def merge_prompted(session):
    outputs_of(session, "cond_frame_outputs").update({3: dict(outputs_of(session)[3])})


def cache_other(session):
    session.cache.cache_vision_features(5, session.cache.get_vision_features(4))


def set_frame(session):
    session.processed_frames[5] = session.processed_frames[0]


def add_frame(session):
    session.add_new_frame(session.processed_frames[0][None], 5)


# what changes the mask of the next frame, and what does not
CHANGES = {
    "pop": lambda s: outputs_of(s).pop(4),
    "del": lambda s: outputs_of(s).__delitem__(3),
    "clear": lambda s: outputs_of(s).clear(),
    "popitem": lambda s: outputs_of(s).pop(max(outputs_of(s))),
    "pointer": set_pointer,
    "features": set_features,
    "store one": store_pointer,
    "store whole": store_whole,
    "move": move_output,
    "merge": merge_prompted,
    "features of another frame": cache_other,
    "pixels": set_frame,
    "new pixels": add_frame,
}
NO_CHANGES = {
    "drop masks": lambda s: outputs_of(s)[4].pop("high_res_masks"),
    "frames": lambda s: s.processed_frames.pop(0),
    "del frame": lambda s: s.processed_frames.__delitem__(1),
    "frame of none": lambda s: s.processed_frames.__setitem__(1, None),
    "fewer frames": lambda s: setattr(
        s, "processed_frames", {k: v for k, v in s.processed_frames.items() if k > 2}
    ),
    "cache": lambda s: s.cache.clear_all(),
    "new inputs": lambda s: setattr(s, "obj_with_new_inputs", []),
    "missing": lambda s: outputs_of(s).pop(77, None),
    "copy": lambda s: outputs_of(s).copy().clear(),
    "tracked": lambda s: s.frames_tracked_per_obj[0].pop(3),
}


@pytest.mark.parametrize("name", [*CHANGES, *NO_CHANGES])
def test_a_change_of_the_inside_has_the_same_effect(pair, name):
    untouched = masks(pair, tracked(pair), frame_idx=5)
    sessions = tracked(pair)

    for session in sessions:
        (CHANGES | NO_CHANGES)[name](session)
    found, expected = masks(pair, sessions, frame_idx=5)

    assert largest_difference(found, expected) <= TOLERANCE
    is_changed = largest_difference(untouched[0], found) > TOLERANCE
    assert is_changed == (name in CHANGES)


@pytest.mark.parametrize("way", ["set", "append"])
def test_prompts_are_answered_again_when_their_object_is_listed_again(pair, way):
    sessions = tracked(pair)
    before = sessions[0].get_output(0, 0, "pred_masks").clone()

    for session in sessions:
        outputs_of(session, "cond_frame_outputs")[0]["pred_masks"] = torch.zeros_like(before)
        if way == "set":
            session.obj_with_new_inputs = [1]
        else:
            session.obj_with_new_inputs.append(1)
    listed = [list(session.obj_with_new_inputs) for session in sessions]
    found, expected = masks(pair, sessions, frame_idx=0)

    assert listed == [[1], [1]]
    assert sessions[0].obj_with_new_inputs == sessions[1].obj_with_new_inputs == []
    assert largest_difference(found, expected) <= TOLERANCE
    assert largest_difference(found, before) <= TOLERANCE


def test_an_answered_frame_needs_no_pixels(pair):
    sessions = tracked(pair)

    for session in sessions:
        del session.processed_frames[0]
    found, expected = masks(pair, sessions, frame_idx=0)

    assert largest_difference(found, expected) <= TOLERANCE


@pytest.mark.parametrize("kind", ["points", "masks"])
def test_a_session_made_by_hand_is_prompted_before_the_model_is_known(pair, kind):
    sessions = open_both(None)
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., :30, :20] = 1

    for session in sessions:
        if kind == "points":
            click(session)
        else:
            session.add_mask_inputs(session.obj_id_to_idx(1), 0, mask)
            session.obj_with_new_inputs = [1]
        if kind == "points":
            given = session.point_inputs_per_obj[0][0]["point_coords"], INPUTS["point_coords"]
        else:
            given = session.mask_inputs_per_obj[0][0], mask
        assert torch.equal(*given)
        assert session.obj_with_new_inputs == [1]
    found, expected = masks(pair, sessions, frame=FRAMES[0])

    assert largest_difference(found, expected) <= TOLERANCE


@pytest.mark.parametrize(
    "numbers",
    [(0, 1, 4, 5), (0, 10, 3, 4, 5), (0, 1, 1, 2), (7, 6, 5), (0, 1000, 2000), (3, 4, 9, 8)],
    ids=str,
)
@torch.no_grad()
def test_a_stream_with_numbers_of_its_own_is_tracked_alike(pair, numbers):
    """Numbers may be left out, come again or go back; memories are chosen by them."""
    model, peer = pair
    ours, theirs = open_both(None)
    for session in (ours, theirs):
        click(session, numbers[0])

    for place, number in enumerate(numbers):
        theirs.cache.clear_all()  # there a number that comes again gets the features it had
        found = model(ours, frame=FRAMES[place], frame_idx=number)
        expected = peer(theirs, frame=FRAMES[place], frame_idx=number)
        assert (found.frame_idx, found.object_ids) == (number, [1])
        assert largest_difference(found.pred_masks, expected.pred_masks) <= TOLERANCE, number

    assert list(ours.processed_frames) == sorted(set(numbers))
