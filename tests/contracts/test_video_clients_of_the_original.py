"""What applications do with the original's video predictor, call by call.

Each test plays the calls of one application in its order, with the arguments it gives and the
attributes it reads and writes. The models in between (detectors, players) are left out.
"""

import copy

import numpy as np
import torch
from PIL import Image

from sam2_hf.original.sam2_camera_predictor import SAM2CameraPredictor
from sam2_hf.original.sam2_video_predictor import SAM2VideoPredictor
from tests.fakes import SIDE, FakeModel, center_of, fake_clip, picture
from tests.video.clip_files import write_clip

ROUGH = 4  # pixels: each mask that is given again is drawn on a quarter of the grid first


def predictor(**options):
    return SAM2VideoPredictor(FakeModel(**options))


def numbered_folder(folder, num_frames):
    """Frames as they are extracted for the original."""
    folder.mkdir()
    for number, frame in enumerate(fake_clip(num_frames)):
        Image.fromarray(frame).save(folder / f"{number:05d}.png")
    return str(folder)


def disc(x, y, radius=10):
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return (rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 < radius**2


def center(mask):
    return center_of(np.asarray(mask).squeeze())


def test_grounded_sam_2_prompts_boxes_and_keeps_segments_by_object(tmp_path):
    """IDEA-Research/Grounded-SAM-2, grounded_sam2_tracking_demo.py and its likes."""
    video_predictor = predictor()
    inference_state = video_predictor.init_state(video_path=numbered_folder(tmp_path / "car", 6))
    boxes = np.array([[10, 10, 30, 30], [30, 30, 50, 50]], np.float32)

    for object_id, box in enumerate(boxes, start=1):
        video_predictor.add_new_points_or_box(
            inference_state=inference_state, frame_idx=0, obj_id=object_id, box=box
        )
    segments = {
        frame: {number: (logits[row] > 0.0).cpu().numpy() for row, number in enumerate(out_obj_ids)}
        for frame, out_obj_ids, logits in video_predictor.propagate_in_video(inference_state)
    }

    assert list(segments) == list(range(6))
    masks = np.concatenate(list(segments[4].values()), axis=0)
    assert masks.shape == (2, SIDE, SIDE)
    assert [center(mask) for mask in masks] == [(24, 20), (44, 40)]


def test_grounded_sam_2_detects_again_every_few_frames_and_then_goes_back(tmp_path):
    """grounded_sam2_tracking_demo_with_continuous_id_plus.py."""
    video_predictor, step, length = predictor(), 4, 10
    state = video_predictor.init_state(
        video_path=numbered_folder(tmp_path / "car", length),
        offload_video_to_cpu=True,
        async_loading_frames=True,
    )
    seen, last = {}, {}
    for start in range(0, length, step):
        video_predictor.reset_state(state)
        for object_id in (1, 2):  # masks of a detector come as tensors
            mask = last.get(object_id, torch.tensor(disc(10 * object_id + 5, 20 * object_id)))
            found, _, _ = video_predictor.add_new_mask(state, start, object_id, mask)
            assert found == start
        for frame, ids, logits in video_predictor.propagate_in_video(
            state, max_frame_num_to_track=step, start_frame_idx=start
        ):
            last = {number: (logits[row] > 0.0)[0] for row, number in enumerate(ids)}
            seen[frame] = copy.deepcopy(last)

    assert sorted(seen) == list(range(length))
    assert abs(center(seen[8][1])[0] - 23) <= ROUGH

    video_predictor.reset_state(state)
    video_predictor.add_new_mask(state, 8, 2, seen[8][2].numpy())
    frames = [
        frame
        for frame, _, logits in video_predictor.propagate_in_video(
            state, max_frame_num_to_track=step * 2, start_frame_idx=8, reverse=True
        )
        if (logits[0] > 0.0).cpu().sum() > 0
    ]
    assert frames == list(range(8, -1, -1))
    assert (
        list(
            video_predictor.propagate_in_video(state, 0, max_frame_num_to_track=step, reverse=True)
        )
        == []
    )


def test_grounded_sam_2_appends_frames_of_a_camera():
    """grounded_sam2_tracking_camera_with_continuous_id.py, on names of its own."""
    video_predictor, interval, objects = predictor(), 4, {}
    state = video_predictor.init_state()
    state["images"] = torch.empty((0, 3, SIDE, SIDE), device="cpu")
    state["video_height"] = state["video_width"] = None
    for number in range(10):
        image = picture(number)
        if number % interval == 0:
            if state["video_height"] is None or state["video_width"] is None:
                state["video_height"], state["video_width"] = image.shape[:2]
            if state["images"].shape[0] > interval - 1:
                state = video_predictor.init_state()
                state["images"] = torch.empty((0, 3, SIDE, SIDE), device="cpu")
                state["video_height"], state["video_width"] = image.shape[:2]
            frame = video_predictor.add_new_frame(state, image)
            video_predictor.reset_state(state)
            mask = objects.get(1, torch.tensor(disc(20, 20)))
            frame, _, _ = video_predictor.add_new_mask(state, frame, 1, mask)
        else:
            frame = video_predictor.add_new_frame(state, image)
        frame, ids, logits = video_predictor.infer_single_frame(
            inference_state=state, frame_idx=frame
        )
        objects = {one: (logits[row] > 0.0)[0] for row, one in enumerate(ids)}
        assert frame == number % interval

    assert abs(np.subtract(center(objects[1]), (29, 20))).max() <= ROUGH


def test_label_studio_keeps_one_state_and_multiplies_points(tmp_path):
    """HumanSignal/label-studio-ml-backend, segment_anything_2_video."""
    backend = predictor()
    state = backend.init_state(video_path=numbered_folder(tmp_path / "frames", 8))
    for _ in range(2):  # a request, and another on the same video
        backend.reset_state(state)
        points = np.array([[0.3, 0.5], [0.25, 0.5], [0.35, 0.5]], np.float32)
        points[:, 0] *= SIDE
        points[:, 1] *= SIDE
        backend.add_new_points(
            inference_state=state,
            frame_idx=2,
            obj_id=0,
            points=points,
            labels=np.array([1] * 3, np.int32),
        )
        found = {
            frame: (logits[0] > 0.0).cpu().numpy()
            for frame, _, logits in backend.propagate_in_video(
                inference_state=state, start_frame_idx=2, max_frame_num_to_track=3
            )
        }

        assert list(found) == [2, 3, 4, 5]
        assert center(found[5]) == (22, 32)


class OnDemand:
    """A loader of frames that keeps the last two, as the interactive backend has one."""

    def __init__(self, clip):
        mean = torch.tensor((0.485, 0.456, 0.406))[:, None, None]
        deviation = torch.tensor((0.229, 0.224, 0.225))[:, None, None]
        self.frames = [
            (torch.from_numpy(frame).permute(2, 0, 1) / 255 - mean) / deviation for frame in clip
        ]
        self.video_height, self.video_width = clip[0].shape[:2]
        self.is_closed = False

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, index):
        assert not self.is_closed
        return self.frames[index]

    def close(self):
        self.is_closed = True


def put_loader_in(state, images):
    """Replace the frames; the loader before is closed afterwards."""
    old = state.get("images")
    state["images"] = images
    state["num_frames"] = len(images)
    state["video_height"] = images.video_height
    state["video_width"] = images.video_width
    state["cached_features"] = {}
    old.close()


def take_apart(state):
    """Release whatever is in a state, key by key."""
    state.get("images").close()
    for key in (
        *("images", "cached_features", "constants", "point_inputs_per_obj", "mask_inputs_per_obj"),
        *("output_dict_per_obj", "temp_output_dict_per_obj", "frames_tracked_per_obj"),
    ):
        value = state.get(key)
        if hasattr(value, "clear"):
            value.clear()
        state.pop(key, None)
    state.clear()


def presence(state, place, frame):
    """The object's score on a tracked frame, as the backend looks it up."""
    outputs = state["output_dict_per_obj"][place]["non_cond_frame_outputs"].get(frame)
    score = None if outputs is None else outputs.get("object_score_logits")
    return None if score is None else float(score.item())


def test_label_studio_puts_its_own_loader_in_and_takes_everything_apart(tmp_path):
    """HumanSignal/label-studio-ml-backend, segment_anything_video_interactive."""
    backend = predictor(gone_on=(6, 7))
    state = backend.init_state(
        video_path=numbered_folder(tmp_path / "frames", 10),
        async_loading_frames=True,
        offload_video_to_cpu=True,
    )
    assert (backend.device.type, backend.image_size) == ("cpu", SIDE)
    images = OnDemand(fake_clip(10))
    put_loader_in(state, images)

    backend.reset_state(state)
    box = (np.array([0.2, 0.2, 0.5, 0.5]) * np.array([SIDE] * 4, np.float32)).astype(np.float32)
    backend.add_new_points_or_box(inference_state=state, frame_idx=1, obj_id=0, box=box)
    steps = backend.propagate_in_video(
        inference_state=state, start_frame_idx=1, max_frame_num_to_track=8, reverse=False
    )
    scores = {}
    while min((score for score in scores.values() if score is not None), default=1) > 0:
        frame, ids, logits = next(steps)
        for place, _ in enumerate(ids):
            scores[frame] = presence(state, place, frame)
        assert (logits[0] > 0.0).cpu().numpy().squeeze().shape == (SIDE, SIDE)
    steps.close()
    backend.reset_state(state)
    take_apart(state)

    assert scores[1] is None
    assert list(scores) == [1, 2, 3, 4, 5, 6]
    assert images.is_closed
    assert not state


def test_samgeo_mixes_points_and_boxes_of_several_frames(tmp_path):
    """opengeos/segment-geospatial, samgeo2.py: `set_video` and `predict_video`."""
    video = predictor()
    state = video.init_state(
        numbered_folder(tmp_path / "scenes", 6),
        offload_video_to_cpu=False,
        offload_state_to_cpu=False,
        async_loading_frames=False,
    )
    prompts = {
        1: {"points": np.array([[20, 20]], np.float32), "labels": np.array([1], np.int32)},
        2: {"box": np.array([30, 30, 50, 50], np.float32), "frame_idx": 3},
    }
    with torch.inference_mode():
        for object_id, prompt in prompts.items():
            video.add_new_points_or_box(
                inference_state=state,
                frame_idx=prompt.get("frame_idx", 0),
                obj_id=object_id,
                points=prompt.get("points"),
                labels=prompt.get("labels"),
                box=prompt.get("box"),
            )
        video.propagate_in_video_preflight(state)
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for frame, ids, logits in video.propagate_in_video(state):
        if frame == 5:
            for row, number in enumerate(ids):
                labels[(logits[row] > 0.0).cpu().numpy()[0]] = number

    assert center(labels == 1) == (25, 20)
    assert center(labels == 2)[1] == 40


def test_the_nodes_for_comfyui_resize_first_and_give_height_and_width():
    """kijai/ComfyUI-segment-anything-2, nodes.py."""
    model, height, width = predictor(), 96, 160
    image = torch.from_numpy(fake_clip(5)).permute(0, 3, 1, 2).float() / 255  # at model.image_size
    assert model.image_size == image.shape[-1]
    model.to("cpu")
    state = model.init_state(image.contiguous(), height, width, device="cpu")
    for number, xy in enumerate([[40.0, 30.0], [100.0, 60.0]]):
        model.add_new_points_or_box(
            inference_state=state,
            frame_idx=0,
            obj_id=number,
            points=np.array([xy]),
            labels=np.array([1.0]),
            clear_old_points=True,
            box=None,
        )
    joined = {}
    for frame, ids, logits in model.propagate_in_video(state):
        mask = np.zeros(logits.shape[-2:], np.uint8)
        for row, _ in enumerate(ids):
            mask = np.logical_or(mask, (logits[row] > 0.0).cpu().numpy())
        joined[frame] = mask

    assert joined[0].shape == (1, height, width)
    assert joined[0][0, 30, 40]
    assert joined[0][0, 60, 100]
    assert state["num_frames"] == len(joined) == 5

    model.reset_state(state)
    model.add_new_points(
        inference_state=state,
        frame_idx=2,
        obj_id=0,
        points=np.array([[50, 40]]),
        labels=np.array([1]),
    )
    assert [frame for frame, _, _ in model.propagate_in_video(state)] == [2, 3, 4]


def test_roboflow_prompts_boxes_on_a_stream_and_tracks():
    """roboflow/inference, models/sam2_rt, on the camera fork."""
    camera = SAM2CameraPredictor(FakeModel())
    assert not camera.condition_state

    camera.load_first_frame(picture(0))
    number = 0
    if camera.condition_state and camera.condition_state["obj_ids"]:
        number = max(camera.condition_state["obj_ids"]) + 1
    for box in ((10, 10, 30, 30), (30, 30, 50, 50)):
        _, ids, logits = camera.add_new_prompt(
            frame_idx=0,
            obj_id=number,
            bbox=np.array([box]),
            clear_old_points=True,
            normalize_coords=True,
        )
        number += 1
    masks = np.squeeze((logits > 0.0).cpu().numpy()).astype(bool)
    assert masks.shape == (2, SIDE, SIDE)
    assert np.array(ids).tolist() == [0, 1]
    assert isinstance(camera.state_dict(), dict)

    ids, logits = camera.track(picture(1))

    assert [center(one > 0) for one in logits] == [(21, 20), (41, 40)]


def test_the_servers_of_the_demo_cancel_remove_and_count(tmp_path):
    """The original's own demo/backend/server/inference/predictor.py."""
    server = predictor()
    session = {
        "canceled": False,
        "state": server.init_state(
            str(
                write_clip(tmp_path / "clip.mp4", fake_clip(8), codec="libx264rgb", pix_fmt="rgb24")
            ),
            offload_video_to_cpu=False,
        ),
    }
    state = session["state"]
    for number, xy in ((1, [0.3, 0.3]), (2, [0.6, 0.6])):
        _, ids, masks = server.add_new_points_or_box(
            inference_state=state,
            frame_idx=0,
            obj_id=number,
            points=[xy],
            labels=[1],
            clear_old_points=False,
            normalize_coords=False,
        )
    assert (masks > 0)[:, 0].cpu().numpy().shape == (2, SIDE, SIDE)
    for reverse in (False, True):
        for frame, _, _ in server.propagate_in_video(
            inference_state=state, start_frame_idx=0, max_frame_num_to_track=None, reverse=reverse
        ):
            if frame == 3:
                break

    ids, updated = server.remove_object(state, 1)
    assert ids == [2]
    assert [(frame, (masks > 0)[:, 0].numpy().shape) for frame, masks in updated] == [
        (0, (1, SIDE, SIDE))
    ]
    frame, ids, masks = server.clear_all_prompts_in_frame(state, 0, 2)
    assert f"{state['num_frames']} frames, {len(state['obj_ids'])} objects" == "8 frames, 1 objects"
    server.reset_state(state)
    assert state["obj_ids"] == []
