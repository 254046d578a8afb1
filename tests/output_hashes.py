"""Hashes of what this package computes: equal before and after a change that moves code only.

    python -m tests.output_hashes                   # every case, about a minute on one core
    python -m tests.output_hashes session train/    # cases with one of these words in their names
    python -m tests.output_hashes --list

Prints a line for each case, its name and the beginning of a SHA-256 over the bits of masks, logits,
scores, weights and files. Seeds are fixed and torch computes in one thread, so two runs on one
machine agree; another CPU may add in another order. A case that fails prints its error instead of a
hash, so that one that a version lacks does not hide the others.

Only public names and command lines are used, and the formulas of `tests/golden`, so the same file
also measures versions whose files lie elsewhere.

Suffixes: hw = rows and columns in pixels, hw3 = and red, green, blue.
"""

import argparse
import contextlib
import copy
import hashlib
import io
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import av
import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from skimage import data
from torch import Tensor
from transformers.utils import logging

from evaluation import run_image, run_interactive, run_vos
from sam2_hf import (
    Click,
    EncodedImage,
    ImageSegmentationPipeline,
    MaskGenerationPipeline,
    ObjectPrompt,
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
    Sam2VideoConfig,
    Sam2VideoInferenceSession,
    Sam2VideoModel,
    Sam2VideoProcessor,
    VideoPrompt,
    VideoSegmentationPipeline,
)
from sam2_hf.cli import main as command_line
from sam2_hf.training import train
from tests.golden.seeded_inputs import clip as drawn_clip, photo as drawn_photo
from tests.golden.seeded_weights import fill

Values = Iterator[object]
Case = Callable[[Path], Values]

GOLDEN = Path(__file__).parent / "golden"
MODEL = "sam2-hiera-micro"  # comes with the package
DIGITS = 16  # of a SHA-256
CUP, CAT = 1, 2
HEIGHT, WIDTH, FRAMES = 144, 256, 20
NOT_OF_THE_RESULT = {"environment", "info", "time_s", "seconds", "package", "version"}
TIMED_COLUMNS = {"seconds", "clips_per_second", "loader_share", "click_share"}


# What is computed on


@cache
def moving_scene() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Frames in which a cup and a cat pass each other before a launch pad, and their label maps."""
    background_hw3 = data.rocket()[100 : 100 + HEIGHT, 200 : 200 + WIDTH]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    things = (
        (CAT, data.chelsea()[60 : 60 + HEIGHT, 100 : 100 + WIDTH], 30, lambda t: (190 - 6 * t, 60)),
        (CUP, data.coffee()[150 : 150 + HEIGHT, 170 : 170 + WIDTH], 36, lambda t: (60 + 5 * t, 85)),
    )
    frames, labels = [], []
    for time in range(FRAMES):
        frame_hw3, labels_hw = background_hw3.copy(), np.zeros((HEIGHT, WIDTH), np.uint8)
        for number, texture_hw3, radius, path in things:
            x, y = path(time)
            inside_hw = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
            shift = (y - HEIGHT // 2, x - WIDTH // 2)
            frame_hw3[inside_hw] = np.roll(texture_hw3, shift, (0, 1))[inside_hw]
            labels_hw[inside_hw] = number
        frames.append(frame_hw3)
        labels.append(labels_hw)
    return frames, labels


def write_picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_videos(root: Path, names: Sequence[str], count: int) -> Path:
    """Write parts of the scene in the folders of DAVIS."""
    frames, labels = moving_scene()
    for place, name in enumerate(names):
        for frame in range(count):
            time = frame + 6 * place
            write_picture(root / "JPEGImages" / name / f"{frame:05d}.jpg", frames[time])
            write_picture(root / "Annotations" / name / f"{frame:05d}.png", labels[time])
    return root


def write_pairs(root: Path, count: int = 4) -> Path:
    """Write frames of the scene as photos beside their label maps."""
    frames, labels = moving_scene()
    for number in range(count):
        write_picture(root / f"{number}.jpg", frames[5 * number])
        write_picture(root / f"{number}.png", labels[5 * number])
    return root


def write_film(path: Path, count: int) -> Path:
    """Write the beginning of the scene as a video file."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate, stream.thread_count = 4_000_000, 1
        for frame_hw3 in moving_scene()[0][:count]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_hw3)))
        container.mux(stream.encode())
    return path


@cache
def bundled() -> Sam2VideoModel:
    return Sam2VideoModel.from_pretrained(MODEL).eval()


def drawn_config(version: str) -> Sam2VideoConfig:
    """The architecture of golden/micro.npz (SAM 2.1) or golden/micro20.npz (SAM 2.0)."""
    trunk = {
        "hidden_size": 32,
        "image_size": [256, 256],
        "embed_dim_per_stage": [32, 64, 128, 256],
        "blocks_per_stage": [1, 2, 3, 1],
        "window_size_per_stage": [8, 4, 7, 4],
        "global_attention_blocks": [4],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_positional_embedding_background_size": [7, 7],
    }
    vision = {
        "backbone_config": trunk,
        "backbone_channel_list": [256, 128, 64, 32],
        "backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]],
    }
    is_2_1 = version == "micro"
    return Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={"image_size": 256},
        image_size=256,
        memory_attention_rope_feat_sizes=[16, 16],
        enable_occlusion_spatial_embedding=is_2_1,
        enable_temporal_pos_encoding_for_object_pointers=is_2_1,
    )


@cache
def drawn_models(version: str) -> tuple[Sam2Model, Sam2VideoModel]:
    """Load the weights of a golden file by way of an original checkpoint."""
    shapes = json.loads((GOLDEN / "manifests" / f"{version}.json").read_text())
    weights = {name: torch.from_numpy(values) for name, values in fill(shapes).items()}
    config = drawn_config(version)
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    fields = config.to_dict()
    of_images = Sam2Config(**{part: {**fields[part], "model_type": None} for part in parts})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{version}.pt"
        torch.save({"model": weights}, path)
        return (
            Sam2Model.from_pretrained(path, config=of_images).eval(),
            Sam2VideoModel.from_pretrained(path, config=config).eval(),
        )


@cache
def golden_frames() -> list[np.ndarray]:
    return list(drawn_clip(8, 540, 960, 3))


# What is hashed


def update(digest: "hashlib._Hash", value: object) -> None:
    """Add a value: its kind, its shape, and every bit of it."""
    if isinstance(value, dict):
        for name in sorted(value, key=str):
            update(digest, f"key {name}")
            update(digest, value[name])
    elif isinstance(value, list | tuple):
        update(digest, f"list {len(value)}")
        for one in value:
            update(digest, one)
    else:
        digest.update(bits_of(value))


def bits_of(value: object) -> bytes:
    if isinstance(value, Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1)
        return (
            f"{value.dtype} {tuple(value.shape)}".encode()
            + flat.view(torch.uint8).numpy().tobytes()
        )
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}".encode() + value.tobytes()
    if isinstance(value, bytes):
        return value
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value).encode()
    raise TypeError(f"no bits are known of a {type(value).__name__}")


def of_result(result: object) -> list[object]:
    """All that a session answers on a frame."""
    scores = [result.iou, result.object_score, sorted(result.prompted)]
    return [result.frame, list(result.object_ids), result.video_logits(), result.masks, *scores]


def of_masklets(session: Sam2VideoInferenceSession) -> Values:
    """All that a session keeps, by object and frame, and where it wants somebody to look."""
    for object_id in session.object_ids:
        masklet = session.masklet(object_id)
        for frame in masklet.frames:
            scores = [masklet.iou(frame), masklet.object_score(frame), masklet.area(frame)]
            yield [object_id, frame, masklet.rle(frame), *scores]
    for found in session.frames_to_review():
        yield repr(found)


def of_files(folder: Path, skip: Sequence[str] = ()) -> Values:
    """Files by name: pictures and videos by their pixels, tables and JSON without times."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not any(path.match(pattern) for pattern in skip):
            yield name
            yield of_file(path)


def of_file(path: Path) -> object:
    if path.suffix in {".png", ".jpg"}:
        return np.asarray(Image.open(path))
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    if path.suffix == ".json":
        return without_times(json.loads(path.read_text()))
    if path.suffix == ".csv":
        return without_timed_columns(path.read_text())
    if path.suffix == ".safetensors":
        return load_file(path)
    return path.read_bytes()


def without_times(content: object) -> object:
    if isinstance(content, dict):
        kept = {name: value for name, value in content.items() if name not in NOT_OF_THE_RESULT}
        return {name: without_times(value) for name, value in kept.items()}
    return [without_times(one) for one in content] if isinstance(content, list) else content


def without_timed_columns(text: str) -> list[dict[str, str]]:
    header, *rows = [line.split(",") for line in text.splitlines()]
    tables = [dict(zip(header, row, strict=True)) for row in rows]
    return [{name: row[name] for name in row if name not in TIMED_COLUMNS} for row in tables]


# Photos

PROMPTS = {
    "point": {"input_points": [[[[500.0, 375.0]]]], "input_labels": [[[1]]]},
    "points": {
        "input_points": [[[[500.0, 375.0], [1125.0, 625.0], [40.0, 40.0]]]],
        "input_labels": [[[1, 1, 0]]],
    },
    "box": {"input_boxes": [[[425.0, 600.0, 700.0, 875.0]]]},
    "box_point": {
        "input_boxes": [[[425.0, 600.0, 700.0, 875.0]]],
        "input_points": [[[[575.0, 750.0]]]],
        "input_labels": [[[0]]],
    },
    "boxes": {"input_boxes": [[[75.0, 275.0, 1725.0, 850.0], [425.0, 600.0, 700.0, 875.0]]]},
}


@torch.inference_mode()
def golden_photo(version: str, folder: Path, *, fast: bool = False) -> Values:
    """The `image/*` entries of a golden file as our model computes them."""
    model, _ = drawn_models(version)
    model.fast = fast
    processor = Sam2Processor(Sam2ImageProcessor(size={"height": 256, "width": 256}))
    inputs = processor(images=drawn_photo(1200, 1800, 1), return_tensors="pt")
    embeddings = model.get_image_embeddings(inputs["pixel_values"])
    yield list(embeddings)
    rows, columns = np.mgrid[:64, :64]
    disc = np.where((rows - 21) ** 2 + (columns - 32) ** 2 < 12**2, 8.0, -8.0).astype(np.float32)
    for name, prompt in PROMPTS.items():
        sizes = [[1200, 1800]]
        asked = processor(original_sizes=sizes, return_tensors="pt", **prompt)
        asked.pop("original_sizes")
        masks = {"input_masks": torch.from_numpy(disc)[None, None]} if name == "points" else {}
        for multimask, more in ((True, {}), (False, {}), (False, masks)):
            found = model(image_embeddings=embeddings, multimask_output=multimask, **asked, **more)
            yield [found.pred_masks, found.iou_scores, found.object_score_logits]
        yield processor.post_process_masks(found.pred_masks, sizes)[0]


def golden_everything(folder: Path) -> Values:
    """Two lists of golden/amg.npz: with crops, and with a second look at each mask."""
    model, _ = drawn_models("micro")
    model.fast = False
    processor = Sam2Processor(Sam2ImageProcessor(size={"height": 256, "width": 256}))
    with np.load(GOLDEN / "amg.npz") as lists:
        for variant in ("crops", "m2m"):
            options = json.loads(lists[f"small/{variant}"].tobytes())["args"]
            generate = MaskGenerationPipeline(
                model, processor, output_mode="uncompressed_rle", **options
            )
            yield generate.generate(drawn_photo(534, 800, 2))


def pipeline_of(kind: type, **options: object) -> object:
    processor = Sam2Processor.from_pretrained(MODEL)
    return kind(Sam2Model.from_pretrained(MODEL).eval(), processor, **options)


def photo_prompts(folder: Path) -> Values:
    """Clicks, a box and an earlier mask on one photo, before and after it went to a file."""
    segment = pipeline_of(ImageSegmentationPipeline)
    encoded = segment.encode(data.coffee())
    encoded.save(folder / "coffee.safetensors")
    prompts = [
        ObjectPrompt(clicks=(Click((290, 225)), Click((40, 40), positive=False))),
        ObjectPrompt(box=(130, 40, 480, 390)),
    ]
    for picture in (encoded, EncodedImage.load(folder / "coffee.safetensors"), data.coffee()):
        for found in segment(picture, objects=prompts):
            yield [found.masks, found.scores, found.low_res_logits, found.object_score]


def everything(folder: Path) -> Values:
    """Every mask of a photo, with crops and without, specks removed."""
    thresholds = {"pred_iou_thresh": 0.4, "stability_score_thresh": 0.1}
    for more in ({"points_per_side": 12, "min_mask_region_area": 50}, {"crop_n_layers": 1}):
        grid = {"points_per_side": 6} | more
        generate = pipeline_of(MaskGenerationPipeline, output_mode="coco_rle", **thresholds, **grid)
        yield generate.generate(data.coffee())


# Videos


@torch.inference_mode()
def golden_clicks(version: str, folder: Path, *, fast: bool = False) -> Values:
    """Case A of a golden file: clicks, a box, tracking, a correction, tracking again."""
    session = golden_session(version, fast=fast)
    session.click(0, 2, [(200, 300), (275, 175)], positive=[True, False])
    yield of_result(session.preview(0))
    session.box(0, 5, (300, 0, 500, 400))
    yield of_result(session.preview(0))
    yield from map(of_result, session.propagate())
    session.click(4, 2, (250, 220), positive=False)
    yield of_result(session.preview(4))
    yield from map(of_result, session.propagate())
    yield from of_masklets(session)


def golden_mask(version: str, folder: Path) -> Values:
    """Case B: a mask tracked both ways, an object added and one removed; then C, none in view."""
    session = golden_session(version)
    rows, columns = np.mgrid[:540, :960]
    session.mask(4, 1, (rows - 250) ** 2 + (columns - 420) ** 2 < 90**2)
    yield of_result(session.preview(4))
    yield from map(of_result, session.propagate(start=4))
    yield from map(of_result, session.propagate(start=4, direction="backward"))
    session.click(5, 7, (700, 300))
    yield from map(of_result, session.propagate())
    session.remove(1)
    yield from map(of_result, session.propagate(start=5))
    absent = golden_session(version, lowered=6.0)
    absent.click(0, 1, (200, 300))
    yield from map(of_result, absent.propagate(limit=3))


def golden_session(
    version: str, *, fast: bool = False, lowered: float = 0.0
) -> Sam2VideoInferenceSession:
    """Open a session under the options of the golden files, on eight of their frames."""
    _, model = drawn_models(version)
    if lowered:
        model = copy.deepcopy(model)
        with torch.no_grad():
            model.mask_decoder.pred_obj_score_head.proj_out.bias -= lowered
    model.fast = fast
    options = {"compat": "official", "fill_hole_area": 0, "memory_dtype": torch.float32}
    return Sam2VideoInferenceSession.open(golden_frames(), model, **options)


def session(folder: Path, **options: object) -> Values:
    """Two objects on 20 frames: clicks, a box, a mask, corrections, removals, both directions."""
    frames, labels = moving_scene()
    found = Sam2VideoInferenceSession.open(frames, bundled(), **options)
    found.click(0, CUP, (60, 85))
    found.click(0, CUP, [(100, 40), (50, 75)], positive=[False, True])
    found.box(2, CAT, (147, 29, 209, 91))
    yield of_result(found.preview(0))
    yield of_result(found.preview(2))
    yield from map(of_result, found.propagate())
    found.click(10, CUP, (110, 95))
    found.click(14, CAT, (100, 70), positive=False)
    yield of_result(found.preview(14))
    found.clear(14, CAT)
    found.mask(12, CAT, labels[12] == CAT)
    yield of_result(found.preview(12))
    found.box(16, CUP, (0, 0, 20, 20))
    yield found.undo()
    yield from map(of_result, found.propagate(start=10, limit=6, direction="both"))
    yield from of_masklets(found)
    found.remove(CUP)
    yield from map(of_result, found.propagate(start=17))


def session_with_prompts_inside_a_run(folder: Path) -> Values:
    """Clicks on frames to come and gone by while frames are tracked."""
    found = Sam2VideoInferenceSession.open(moving_scene()[0], bundled())
    found.click(0, CUP, (60, 85))
    for result in found.propagate(limit=14):
        yield of_result(result)
        if result.frame == 3:
            found.click(8, CAT, (142, 60))
            found.click(2, CUP, (75, 95))
        if result.frame == 10:
            found.clear(8, CAT)
            found.click(12, CAT, (118, 50))
    yield from of_masklets(found)


def session_in_a_file(folder: Path) -> Values:
    """A window of frames and no RAM, on a video file; then all frames, spilled to a file."""
    film = write_film(folder / "scene.mp4", FRAMES)
    for options in ({"keep": "window", "window": 16}, {"keep": "all"}):
        spill = {"ram_budget": 0, "spill_folder": folder}
        with contextlib.closing(
            Sam2VideoInferenceSession.open(film, bundled(), **spill, **options)
        ) as found:
            found.click(1, CUP, (65, 85))
            yield from map(of_result, found.propagate(limit=17))
            found.click(15, CUP, (135, 85))
            yield from map(of_result, found.propagate(start=15, direction="backward", limit=3))
            yield from of_masklets(found)


def live_session(folder: Path) -> Values:
    """A stream of pictures, prompted as they come."""
    live = Sam2VideoInferenceSession.open(None, bundled(), window=16)
    for frame, picture_hw3 in enumerate(moving_scene()[0]):
        yield of_result(live.step(picture_hw3))
        if frame == 1:
            live.click(1, CUP, (65, 85))
        if frame == 5:
            live.box(4, CAT, (135, 29, 197, 91))
        if frame == 10:
            live.click(10, CUP, (110, 95))
            yield of_result(live.preview(10))
    yield from of_masklets(live)


def saved_session(folder: Path) -> Values:
    """A session that is saved in the middle of a run, loaded, corrected and tracked to the end."""
    frames, _ = moving_scene()
    before = Sam2VideoInferenceSession.open(frames, bundled())
    before.click(0, CUP, (60, 85))
    before.box(3, CAT, (141, 29, 203, 91))
    yield from map(of_result, before.propagate(limit=8))
    before.save(folder / "job")
    after = Sam2VideoInferenceSession.load(folder / "job", frames, bundled())
    after.click(6, CAT, (154, 60))
    yield from map(of_result, after.propagate(start=6))
    yield from of_masklets(after)


@torch.inference_mode()
def transformers_session(folder: Path) -> Values:
    """A session by the calls that transformers' users know."""
    processor = Sam2VideoProcessor.from_pretrained(MODEL)
    found = processor.init_video_session(video=moving_scene()[0][:10], inference_device="cpu")
    ask = partial(processor.add_inputs_to_inference_session, found)
    ask(frame_idx=0, obj_ids=[CUP], input_points=[[[[60, 85]]]], input_labels=[[[1]]])
    ask(frame_idx=0, obj_ids=[CAT], input_boxes=[[[159, 29, 221, 91]]])
    first = bundled()(inference_session=found, frame_idx=0)
    yield [first.pred_masks, first.object_score_logits]
    for output in bundled().propagate_in_video_iterator(found):
        size = [[found.video_height, found.video_width]]
        yield [output.frame_idx, output.pred_masks, output.object_score_logits]
        yield processor.post_process_masks([output.pred_masks], size, binarize=False)[0]


def video_pipeline(folder: Path) -> Values:
    """A video file and a list of prompts."""
    film = write_film(folder / "scene.mp4", 8)
    prompts = [
        VideoPrompt(frame=0, object_id=CUP, clicks=(60, 85)),
        VideoPrompt(frame=3, object_id=CAT, box=(141, 29, 203, 91)),
    ]
    found = VideoSegmentationPipeline(bundled())(film, prompts)
    for object_id in (CUP, CAT):
        masklet = found.masklets[object_id]
        yield [[frame, masklet.rle(frame), masklet.iou(frame)] for frame in masklet.frames]


# Command lines


def run_command(main: Callable[[list[str]], int], *arguments: object) -> None:
    """Run a program of ours, quietly."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([str(argument) for argument in arguments])
    if code:
        raise RuntimeError(f"exit code {code}: {said.getvalue().strip().splitlines()[-1:]}")


def track_command(folder: Path) -> Values:
    """`sam2-hf track`: every kind of output, of a video file and of a folder of pictures."""
    prompts = ("--click", "0:1:60,85", "--click", "0:1:100,40,-", "--box", "2:2:147,29,209,91")
    more = ("--model", MODEL, "--outputs", "mp4,png,objects,json,csv")
    film = write_film(folder / "scene.mp4", 8)
    run_command(command_line, "track", film, *prompts, *more, "--out", folder / "film")
    pictures = write_videos(folder / "set", ["scene"], 6) / "JPEGImages" / "scene"
    run_command(
        command_line, "track", pictures, *prompts, *more, "--no-overlap", "--out", folder / "list"
    )
    yield from of_files(folder / "film")
    yield from of_files(folder / "list")


def photo_commands(folder: Path) -> Values:
    """`sam2-hf segment` and `sam2-hf everything` with all their files."""
    write_picture(folder / "coffee.png", data.coffee())
    photo, out = folder / "coffee.png", folder / "out"
    points = ("--point", "290,225", "--point", "40,40,-")
    run_command(command_line, "segment", photo, *points, "--model", MODEL, "--out", out / "segment")
    thresholds = ("--pred-iou-thresh", 0.45, "--stability-score-thresh", 0.1)
    grid = ("--points-per-side", 6, "--model", MODEL, "--out", out / "everything")
    run_command(command_line, "everything", photo, *thresholds, *grid)
    yield from of_files(out)


def training(folder: Path, sources: list[dict[str, object]], **changes: object) -> Values:
    """A run of one step: its losses, its gradients, the weights after it, and the saved model.

    The optimizer's first average is the gradient itself, since nothing of an earlier one is kept.
    """
    optimizer = {"learning_rate": 1e-3, "betas": [0.0, 0.99], "clip_norm": None}
    settings = {
        "model": MODEL,
        "output": str(folder / "run"),
        "image_size": 128,
        "steps": 1,
        "workers": 0,
        "data": sources,
        "prompts": {"corrections": 2},
        "optimiser": optimizer,
        "logging": {"every": 1, "picture_every": 1},
        "checkpoints": {"every": 1},
        **changes,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    run_command(train.train, "--config", folder / "config.yaml")
    yield without_timed_columns((folder / "run" / "train.csv").read_text())
    tensors = [load_file(path) for path in sorted((folder / "run").rglob("*.safetensors"))]
    yield sorted(hash_of(iter([one])) for one in tensors)
    for path in sorted((folder / "run").rglob("*.csv")):
        yield without_timed_columns(path.read_text())


def training_on_photos(folder: Path) -> Values:
    source = {"kind": "synthetic", "batch_size": 2, "max_objects": 2}
    yield from training(folder, [source])


def training_on_a_clip(folder: Path) -> Values:
    source = {"kind": "synthetic", "batch_size": 1, "num_frames": 3, "max_objects": 2}
    yield from training(folder, [source])


def training_on_files(folder: Path) -> Values:
    """Varied photos with label maps, adapters, an average of weights, and a validation."""
    strong = {"zoom": [0.8, 1.5], "stretch": 1.2, "hue": 0.05, "grayscale": 0.5, "mosaic": 0.5}
    path = str(write_pairs(folder / "photos"))  # a source without a name is called by its path
    photos = {"kind": "pairs", "path": path, "name": "photos", "batch_size": 2}
    root = write_videos(folder / "videos", ["scene"], 4)
    video = {"kind": "davis", "path": str(root), "name": "video", "num_frames": 0, "batch_size": 1}
    yield from training(
        folder,
        [{**photos, "augment": strong}],
        lora={"rank": 2, "merge": True},
        ema_decay=0.9,
        validation={"sources": [photos, video], "every": 1, "max_items": 1},
    )


def training_on_augmented_clips(folder: Path) -> Values:
    root = write_videos(folder / "videos", ["one", "two"], 6)
    source = {"kind": "davis", "path": str(root), "num_frames": 3, "batch_size": 1}
    varied = {"frame_step": [1, 2], "reverse": 0.5, "augment": {"frame_hue": 0.05, "mosaic": 0.3}}
    yield from training(folder, [{**source, **varied}], frozen=["vision_encoder.*"])


def dense_training(folder: Path) -> Values:
    """Many clicks on photos that are decoded once, with Muon."""
    photos = {"kind": "pairs", "path": str(write_pairs(folder / "photos")), "batch_size": 2}
    muon = {"kind": "muon", "learning_rate": 1e-3}
    dense = {"clicks": 8, "beside_prompts": 0.5}
    yield from training(folder, [{**photos, "unions": 1}], dense=dense, optimiser=muon)


def evaluation_of_videos(folder: Path) -> Values:
    """`evaluation.run_vos` on a set of its own: masks, scores and the picture of the worst."""
    root = write_videos(folder / "set", ["first", "second"], 6)
    common = ("--model", MODEL, "--dataset", "folder", "--root", root, "--out", folder / "out")
    run_command(run_vos.main, *common)
    yield from of_files(folder / "out", skip=["run.json", "*.md"])


def interactive_evaluation(folder: Path) -> Values:
    root = write_videos(folder / "set", ["first"], 3)
    common = ("--model", MODEL, "--dataset", "folder", "--root", root, "--out", folder / "out")
    run_command(run_interactive.main, *common, "--frames", 2, "--clicks", 2)
    yield from of_files(folder / "out", skip=["run.json", "*.md"])


def evaluation_of_photos(folder: Path) -> Values:
    photos = write_pairs(folder / "photos", 2)
    common = ("--model", MODEL, "--data", f"scene=pairs:{photos}", "--out", folder / "out")
    run_command(run_image.main, *common)
    yield from of_files(folder / "out", skip=["run.json", "*.md"])


CASES: dict[str, Case] = {
    "golden/micro/photo": partial(golden_photo, "micro"),
    "golden/micro/photo-fast": partial(golden_photo, "micro", fast=True),
    "golden/micro/clicks": partial(golden_clicks, "micro"),
    "golden/micro/clicks-fast": partial(golden_clicks, "micro", fast=True),
    "golden/micro/mask": partial(golden_mask, "micro"),
    "golden/micro/everything": golden_everything,
    "golden/micro20/clicks": partial(golden_clicks, "micro20"),
    "golden/micro20/mask": partial(golden_mask, "micro20"),
    "photo/prompts": photo_prompts,
    "photo/everything": everything,
    "session/default": session,
    "session/official": partial(session, compat="official"),
    "session/transformers": partial(session, compat="transformers"),
    "session/options": partial(
        session, non_overlap_masks=True, non_overlap_masks_for_mem_enc=True, pointer_times="clip"
    ),
    "session/prompts-inside": session_with_prompts_inside_a_run,
    "session/file": session_in_a_file,
    "session/live": live_session,
    "session/saved": saved_session,
    "session/transformers-names": transformers_session,
    "video/pipeline": video_pipeline,
    "cli/track": track_command,
    "cli/photos": photo_commands,
    "train/photos": training_on_photos,
    "train/clip": training_on_a_clip,
    "train/files": training_on_files,
    "train/augmented-clip": training_on_augmented_clips,
    "train/dense": dense_training,
    "evaluation/vos": evaluation_of_videos,
    "evaluation/interactive": interactive_evaluation,
    "evaluation/photos": evaluation_of_photos,
}


def hash_of(values: Values) -> str:
    digest = hashlib.sha256()
    for value in values:
        update(digest, value)
    return digest.hexdigest()[:DIGITS]


def hash_case(name: str) -> str:
    """Compute a case in a folder of its own, whatever was computed before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            warnings.catch_warnings(),
            torch.random.fork_rng(devices=[]),
        ):
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            return hash_of(CASES[name](Path(folder)))
    finally:
        torch.set_num_threads(threads)


def lines(names: Sequence[str]) -> Iterator[str]:
    """Yield a line for each case; one that fails tells why."""
    for name in names:
        try:
            yield f"{name} {hash_case(name)}"
        except Exception as error:
            yield f"{name} failed: {type(error).__name__}: {error}".splitlines()[0]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.output_hashes")
    parser.add_argument("words", nargs="*", help="only cases with one of these in their names")
    parser.add_argument("--list", action="store_true", help="only name the cases")
    options = parser.parse_args(arguments)
    names = [n for n in CASES if not options.words or any(word in n for word in options.words)]
    logging.disable_progress_bar()
    failed = False
    for line in names if options.list else lines(names):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        failed |= " failed: " in line
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
