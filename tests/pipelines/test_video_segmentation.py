"""Prompts and a video in, masklets out."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf import (
    FrameError,
    ObjectLibrary,
    PromptError,
    Reference,
    ReviewRules,
    SessionError,
    SessionOptions,
    VideoError,
    VideoPrompt,
    VideoSegmentation,
    VideoSegmentationPipeline,
)
from tests.video.transformers_usage import SIZE, clip

CLICK = VideoPrompt(2, 7, clicks=(30, 20))
BOX = VideoPrompt(4, 3, box=(10, 12, 40, 30))


@pytest.fixture
def segment(tiny_video_model):
    """The pipeline."""
    return VideoSegmentationPipeline(tiny_video_model)


def test_a_prompted_video_has_a_masklet_of_each_object(segment):
    result = segment(clip(), [CLICK, BOX])

    assert (result.object_ids, result.size, result.num_frames) == ((7, 3), SIZE, 8)
    assert result.frames == result.masklets[7].frames == result.masklets[3].frames == [*range(8)]
    assert {number: mask.shape for number, mask in result.masks(5).items()} == {7: SIZE, 3: SIZE}


def test_an_object_is_known_from_another_picture_or_a_library(segment):
    mask = np.zeros(SIZE, bool)
    mask[12:30, 10:30] = True
    reference = Reference(clip(1)[0], mask, object_id=5, name="square")

    alone = segment(clip(), references=[reference])
    beside = segment(clip(), [CLICK], references=reference)
    library = ObjectLibrary()
    with segment.open(clip()) as session:
        reference.add_to(session)
        library.add("square", session, 5)
        expected = [result.masks[5] for result in session.propagate()]
    recalled = segment(clip(), references=[library.reference("square", 5)])

    assert (alone.object_ids, beside.object_ids) == ((5,), (5, 7))
    assert alone.names == beside.names == recalled.names == {5: "square"}
    for found in (alone, recalled):
        for frame, mask_hw in enumerate(expected):
            np.testing.assert_array_equal(found.masklets[5].mask(frame), mask_hw)


@pytest.mark.parametrize("prompts", [None, []])
def test_several_videos_need_references_only(segment, prompts):
    mask = np.zeros(SIZE, bool)
    mask[12:30, 10:30] = True
    reference = Reference(clip(1)[0], mask, object_id=5, name="square")
    videos = [np.stack(clip()), clip(6)]

    found = list(segment(videos, prompts, references=[reference]))

    assert [one.frames for one in found] == [[*range(8)], [*range(6)]]
    alone = segment(videos[0], references=[reference])
    for frame in range(8):
        np.testing.assert_array_equal(found[0].masklets[5].mask(frame), alone.masks(frame)[5])
    (empty,) = segment(videos[:1], [[]])
    assert empty.object_ids == ()


def test_a_broken_frame_leaves_a_result_with_the_names_of_references(segment):
    mask = np.zeros(SIZE, bool)
    mask[12:30, 10:30] = True
    frames = [*clip()[:5], np.zeros((3, 3, 3), np.uint8)]

    with pytest.raises(FrameError, match="frame 5") as caught:
        segment(frames, references=[Reference(clip(1)[0], mask, object_id=5, name="square")])

    assert caught.value.tracked.names == {5: "square"}
    assert caught.value.tracked.frames == [*range(5)]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"references": 3}, "Give a list of Reference"),
        ({"references": [CLICK]}, "Give a list of Reference"),
        ({"reference": []}, "Did you mean references"),
        ({"references": ()}, "there is no prompt and no reference.*Reference"),
        ({"references": [Reference(None, None, 1)], "text": "a cup"}, "both text"),
    ],
)
def test_what_is_no_list_of_references_is_refused(segment, given, words):
    with pytest.raises(PromptError, match=words):
        segment(clip(), **given)


@pytest.mark.parametrize(
    ("direction", "frames"),
    [("both", [*range(8)]), ("forward", [2, 3, 4, 5, 6, 7]), ("backward", [0, 1, 2, 3, 4])],
)
def test_a_direction_may_be_chosen(segment, direction, frames):
    assert segment(clip(), [CLICK, BOX], direction).frames == frames


def test_a_video_without_objects_has_no_masklets(segment):
    """Where a detector found nothing in it, also beside other videos."""
    alone = segment(clip(), [])
    first, second = segment([clip(), clip()], [[CLICK], []])

    for found in (alone, second):
        assert (found.object_ids, found.frames, found.masks(0)) == ((), [], {})
        assert (found.size, found.num_frames) == (SIZE, 8)
    assert first.object_ids == (7,)


def test_attributes_of_the_result_are_items_too(segment):
    found = segment(clip(), [CLICK])

    assert found["masklets"] is found.masklets
    assert {"size", "frames", "fps", "times"} <= set(found.keys())
    assert dict(**found)["size"] == SIZE


def test_one_prompt_needs_no_list(segment):
    assert segment(clip(), CLICK).object_ids == (7,)


def test_the_masks_are_those_of_a_session(segment):
    session = segment.open(clip())
    session.click(2, 7, (30, 20))
    expected = {result.frame: result.masks[7] for result in session.propagate(direction="both")}

    result = segment(clip(), CLICK)

    for frame, mask in expected.items():
        assert np.array_equal(result.masks(frame)[7], mask)


def test_nothing_but_masks_is_held_when_a_video_is_done(segment):
    result = segment(clip(), [CLICK, BOX])

    held = result._session.bytes_held()
    masks = sum(len(m.rle(f)["counts"]) for m in result.masklets.values() for f in m.frames)
    assert held.device == 0
    assert masks < held.ram < masks + 16 * 1024  # a record of a mask takes some hundred bytes


def test_doubtful_frames_are_listed_by_the_rules_given(tiny_video_model):
    strict = VideoSegmentationPipeline(tiny_video_model, rules=ReviewRules(min_iou=2.0))
    lenient = VideoSegmentationPipeline(
        tiny_video_model, rules=ReviewRules(-9.0, 0.0, 0, max_area_factor=1e9)
    )

    assert strict(clip(), CLICK).frames_to_review
    assert lenient(clip(), CLICK).frames_to_review == []


def test_several_videos_of_different_lengths_come_one_by_one(segment):
    results = segment([clip(3), clip(5)], [[VideoPrompt(0, 1, clicks=(30, 20))], [CLICK, BOX]])

    found = [(result.num_frames, result.object_ids) for result in results]

    assert found == [(3, (1,)), (5, (7, 3))]


def test_the_next_video_waits_until_it_is_asked_for(segment):
    opened = []
    segment.open = lambda video: opened.append(len(video)) or type(segment).open(segment, video)

    results = segment([clip(3), clip(5)], [[CLICK], [CLICK]])
    before = [*opened]
    next(results)

    assert (before, opened) == ([], [3])


@pytest.mark.parametrize(
    ("videos", "prompts", "message"),
    [
        ([clip(3)], [[CLICK], [CLICK]], r"1 video\(s\) and 2 lists"),
        (clip(3), [[CLICK]], "Give one list of VideoPrompts for each video"),
        ([clip(3), clip(3)], [[CLICK], [3]], "the prompts of video 1"),
        (clip(3), None, "there is no prompt"),
        ([clip(3)], [[(3, 3)]], "the prompts of video 0"),
    ],
)
def test_videos_and_prompts_must_go_together(segment, videos, prompts, message):
    with pytest.raises(PromptError, match=message):
        segment(videos, prompts)


def test_two_videos_are_not_one(segment):
    with pytest.raises(VideoError, match="2 videos where one is expected"):
        segment([clip(3), clip(3)], [CLICK])


def test_progress_is_told_after_each_frame(segment):
    told = []

    segment(clip(4), CLICK, on_progress=lambda done, total: told.append((done, total)))

    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_nobody_knows_how_many_frames_an_iterator_gives(segment):
    told = []
    prompt = VideoPrompt(0, 1, clicks=(30, 20))

    result = segment(
        iter(clip(4)), prompt, "forward", on_progress=lambda *counts: told.append(counts)
    )

    assert told[-1] == (4, None)
    assert result.num_frames == 4


def test_a_bar_is_shown_on_request(segment, capsys):
    segment(clip(3), CLICK, progress=True)

    assert "tracking" in capsys.readouterr().err


def test_options_are_those_of_every_session(tiny_video_model):
    segment = VideoSegmentationPipeline(tiny_video_model, compat="official", window=64)

    assert segment.options == SessionOptions.preset("official", window=64)
    assert segment.open(clip()).options is segment.options


def test_an_unknown_option_is_refused(tiny_video_model):
    with pytest.raises(SessionError, match="no option 'windows'"):
        VideoSegmentationPipeline(tiny_video_model, windows=64)


def test_a_prompt_that_does_not_fit_closes_the_video(segment, monkeypatch):
    session, closed = segment.open(clip()), []
    monkeypatch.setattr(segment, "open", lambda _: session)
    monkeypatch.setattr(session.frames, "close", lambda: closed.append(True))

    with pytest.raises(PromptError, match="lies outside"):
        segment(clip(), VideoPrompt(0, 1, clicks=(999, 3)))

    assert closed


def test_times_and_rate_are_the_videos(segment):
    result = segment(clip(3), VideoPrompt(0, 1, clicks=(3, 3)))

    assert (result.fps, result.times) == (None, {0: None, 1: None, 2: None})


def test_a_closed_result_has_no_masks_any_more(segment):
    with segment(clip(3), VideoPrompt(0, 1, clicks=(3, 3))) as result:
        assert isinstance(result, VideoSegmentation)
        assert result.masks(0)[1].shape == SIZE

    with pytest.raises(SessionError, match="closed"):
        result.masks(0)


def test_tracking_leaves_torchs_gradients_as_they_were(segment):
    segment(clip(3), VideoPrompt(0, 1, clicks=(3, 3)))

    assert torch.is_grad_enabled()


def test_a_video_is_plotted_named_and_saved_by_the_ending_of_the_file(segment, tmp_path):
    cup = VideoPrompt(2, 300, clicks=(30, 20), name="cup")
    found = segment(clip(), [cup, BOX])

    assert repr(found) == "VideoSegmentation(objects cup, 3 on 8 frames, 80 x 48 pixels)"
    assert found.plot(2).size == SIZE[::-1]
    assert found.plot().size > (3 * SIZE[1], 2 * SIZE[0])  # a sheet of six frames
    assert found._repr_png_().startswith(b"\x89PNG")
    content = json.loads(found.save(tmp_path / "clip.json").read_text())
    assert content["annotations"] == json.loads(json.dumps(found.to_coco()["annotations"]))
    assert [row["name"] for row in content["categories"]] == ["object", "cup"]
    prompts = [annotation["prompts"][0] for annotation in content["annotations"]]
    assert [prompt["frame"] for prompt in prompts] == [4, 2]
    assert prompts[0]["boxes"] == [[10, 12, 40, 30]]
    assert prompts[1]["points"] == [[30, 20, 1]]
    found.save(tmp_path / "clip.txt")
    assert (tmp_path / "clip.txt").read_text().count(",300,") == sum(
        mask.any() for _, mask in found.masklets[300]
    )
    with pytest.raises(PromptError, match="davis cannot hold object 300"):
        found.save(tmp_path / "masks", "davis")


def test_frames_of_a_folder_have_the_names_of_its_pictures_in_every_coco(segment, tmp_path):
    for place, picture in enumerate(clip(2)):
        Image.fromarray(picture).save(tmp_path / f"shot{place}.png")

    found = segment(tmp_path, VideoPrompt(0, 7, clicks=(30, 20)))

    (video,) = found.to_coco()["videos"]
    assert video["file_names"] == [f"{tmp_path.name}/shot{place}.png" for place in range(2)]
    saved = json.loads(found.save(tmp_path.parent / "clip.json").read_text())
    assert saved["videos"] == [video]


def test_one_frame_of_a_video_is_a_result_like_that_of_a_photo(segment):
    found = segment(clip(), [CLICK, BOX]).named({3: "plate"})

    frame = found.on_frame(5)

    np.testing.assert_array_equal(
        np.asarray(frame.cutout())[..., 3] > 0, found.masks(5)[7] | found.masks(5)[3]
    )
    np.testing.assert_array_equal(np.asarray(found.cutout(5)), np.asarray(frame.cutout()))
    assert found.polygons(5).keys() == {3, 7}
    names = {item["object_id"]: item.get("name") for item in frame.to_coco()["annotations"]}
    assert names == {3: "plate", 7: None}
    assert frame.drawn_prompts() is None
    clicked = found.on_frame(CLICK.frame)
    assert clicked.drawn_prompts().clicks == ((30, 20, True),)
    without = replace(clicked, prompts=None).plot()
    assert (np.asarray(clicked.plot()) != np.asarray(without)).any()
    gone = segment(iter(clip()), CLICK).on_frame(5)
    assert gone.origin is None  # the pictures of an iterator are gone; masks are drawn on gray
    assert gone.plot().size == SIZE[::-1]
    with pytest.raises(FrameError, match=r"frame 9 was not tracked. Frames with a mask: 0-7"):
        found.on_frame(9)


def test_results_of_a_session_are_such_results_too(segment):
    session = segment.open(clip())
    session.click(2, 7, (30, 20))

    result = session.preview(2).named({7: "cup"})

    assert repr(result).startswith("FrameResult(cup, IoU ")
    assert result.plot().size == SIZE[::-1]
    mask = result.masks[7]
    pixels = session.frames.picture(2)
    np.testing.assert_array_equal(np.asarray(result.cutout())[mask][:, :3], pixels[mask])
    assert result.to_coco()["annotations"][0]["object_id"] == 7
    assert pickle.loads(pickle.dumps(result)).origin is None  # a copy forgets the video
