"""Files that programs read: settings, annotations, tables, predictions, embeddings, saves."""

import copy
import io
import json
import random
import shutil
from functools import partial
from itertools import product
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.comparison.score_file import load_scores
from evaluation.item_files import ItemFiles
from evaluation.run_settings import read_settings
from evaluation.sets.open_set import open_set
from evaluation.vos.prediction_files import is_finished, read_labels
from sam2_hf import (
    EncodedImage,
    ImageSegmentationPipeline,
    Sam2ImageProcessor,
    Sam2VideoProcessor,
    rle,
)
from sam2_hf.data.config import SourceConfig
from sam2_hf.processing.label_maps import to_label_map
from sam2_hf.training.config_io import as_yaml, read_config
from sam2_hf.training.dataset_registry import open_source
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from tests.bad_input.bad_files import float_tiff, png_bomb, write_bad_files
from tests.bad_input.judging import Input, each, faults_of
from tests.damage import DEEP, damaged
from tests.small_sets import write_davis, write_lvos, write_masklets
from tests.training.drawn_data import coco_rle, square, write_coco
from tests.video.storage.test_saved_document_fuzz import Save, change_json, chosen_places, outcome
from tests.video.transformers_usage import SIZE, clip

SEED = 17
DAMAGES = 30  # of each kind of file
NOT_JSON = (
    "",
    "[]",
    "null",
    "7",
    '"a"',
    "[[]]",
    "{}",
    '{"a": NaN}',
    DEEP,
    "[" * 100_000,
    "{",
    "\0",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


BASE = {
    "model": "sam2-hiera-micro",
    "output": "out",
    "steps": 3,
    "data": [{"kind": "pairs", "path": "photos", "augment": {"degrees": 5}}],
    "optimizer": {"learning_rate": 1e-4, "betas": [0.9, 0.99]},
    "validation": {"every": 5},
    "lora": {"rank": 4},
}
BOMB = "a0: &a0 [x, x]\n" + "\n".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)
)
NO_CONFIGS = {
    "nothing": "",
    "a list": "- 1\n- 2",
    "a text": "abc",
    "a number": "7",
    "a tab": "a:\n\t- 1",
    "open bracket": "{",
    "bytes": b"\xff\xfe\x00a",
    "a zero": "a: \0",
    "deep lists": "[" * 5000,
    "deep mappings": "{a: " * 5000,
    "deep indents": "\n".join(" " * n + "a:" for n in range(2000)),
    "aliases that multiply": BOMB,
    "a tag of Python": "!!python/object/apply:os.system ['true']",
    "an unknown tag": "!x {a: 1}",
    "a loop": "&a [*a]",
    "a loop of mappings": "model: &a {b: *a}",
    "a list as a key": "? [1, 2]\n: 3",
    "a date": "model: 2020-01-01",
    "two documents": "a: 1\n---\nb: 2",
    "merge of itself": "a: &a\n  <<: *a",
}
FIELDS = (
    *("steps", "seed", "workers", "data", "optimizer.learning_rate", "optimizer.betas"),
    *("drop_path", "ema_decay", "image_size", "lora.rank", "lora.alpha", "validation.every"),
    *("data.0.weight", "data.0.augment.degrees", "data.0.augment.zoom", "data.0.frame_step"),
    *("data.0.options", "frozen"),
)
CHANGES = (
    *("", "=", "steps", "steps=[", "steps=" + "[" * 3000, "data.9.path=x", "a.b.c=1"),
    *("steps.x=1", "steps=1e400", f"seed={10**400}", "data.-1.path=x", "data.x=1"),
    *("steps=\0", "data.0.path.x=1", f"data.{'9' * 5000}.path=x", "data.\u00b2.path=x"),
)
ODD = (10**400, -(10**400), float("nan"), float("inf"), "x", None, [], {}, True, -1, 1.5, [[[[]]]])


def with_field(content, field, value):
    """A copy of nested content with one value replaced."""
    content = copy.deepcopy(content)
    inside = content
    *path, last = field.split(".")
    for key in path:
        inside = inside[int(key) if key.isdigit() else key]
    inside[last] = value
    return json.dumps(content)


def configs(place, _models):
    path = place / "config.yaml"

    def read(text, changes=()):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_config(str(path), changes)

    def comes_back(config):
        return read(as_yaml(config)) == config

    yield from each("YAML of", NO_CONFIGS, read)
    for field, value in product(FIELDS, ODD):
        call = partial(read, with_field(BASE, field, value))
        yield Input(f"{field}={value!r:.30}", call, comes_back)
    for seed in range(DAMAGES):
        content, what = damaged(json.dumps(BASE), seed)
        yield Input(f"config, {what}", partial(read, content), comes_back)
    yield from each("--set", CHANGES, lambda change: read(json.dumps(BASE), [change]))
    names = ("/dev/zero", "/", "a\0b", "x" * 5000, "../../etc/passwd", "")
    yield from each("--config", names, read_config)


def annotations(place, _models):
    root = place / "coco"
    path = write_coco(root, [coco_rle(square())], names=("a.jpg",))
    sound = json.loads(path.read_text())

    def read(content):
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return open_source(SourceConfig("coco", str(path))).whole_clip(0).masks_othw

    def drawn(masks_othw):
        return masks_othw.dtype == bool and masks_othw.shape[1:] == (1, 48, 64)

    for text in NOT_JSON:
        yield Input(f"COCO {text:.20}", partial(read, text.encode()))
    segmentations = (
        *(None, 7, "a", [], {}, [[]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5]], [["a"] * 6], [[[1] * 6]]),
        *([[float("nan")] * 6], [[1e300] * 6], [[10**400] * 6], [[None] * 6], [[-1e9] * 6]),
        *({"size": [48, 64]}, {"counts": "abc"}, {"size": [48, 64], "counts": [-1, 9]}),
        *({"size": [10**6, 10**6], "counts": [10**12]}, {"size": [0, 0], "counts": []}),
        *({"size": [48, 64], "counts": [10**400]}, {"size": [10**400, 1], "counts": [1]}),
        *({"size": [48, 64], "counts": "\xff"}, {"size": ["a", "b"], "counts": [1]}),
        *({"size": [48, 64], "counts": "0" * 400_000}, {"size": 48, "counts": [1]}),
        *({"size": [48, 64], "counts": [1.5] * 2}, {"size": [48, 64], "counts": [float("nan")]}),
        *({"size": [48, 65], "counts": [48 * 65]}, {"size": [48, 64], "counts": {"a": 1}}),
    )
    for one in segmentations:
        content = copy.deepcopy(sound)
        content["annotations"][0]["segmentation"] = one
        yield Input(f"COCO segmentation {one!r:.40}", partial(read, content))
    for key in ("id", "file_name", "height", "width"):
        for value in (None, "a", -1, 10**400, float("nan"), [], {}, "../../../../etc/passwd", "a\0",
                      True, "x" * 5000, "/dev/zero"):  # fmt: skip
            content = copy.deepcopy(sound)
            content["images"][0][key] = value
            yield Input(f"COCO {key}={value!r:.30}", partial(read, content), drawn)
    for seed in range(DAMAGES):
        content, what = damaged(json.dumps(sound), seed)
        yield Input(f"COCO, {what}", partial(read, content), drawn)


def photo_masks(place, _models):
    Image.new("RGB", (64, 48)).save(place / "sa_1.jpg")
    one = {"image": {"height": 48}, "annotations": [{"segmentation": coco_rle(square())}]}

    def read(content):
        (place / "sa_1.json").write_bytes(content)
        return open_source(SourceConfig("sa1b", str(place))).whole_clip(0).masks_othw

    yield from each("SA-1B", NOT_JSON, lambda text: read(text.encode()))
    for seed in range(DAMAGES):
        content, what = damaged(json.dumps(one), seed)
        yield Input(f"SA-1B, {what}", partial(read, content), _are_masks)


def masklets(place, _models):
    root = write_masklets(place, as_video=False)
    file = root / "sav_1_manual.json"
    sound = json.loads(file.read_text())

    def read(content):
        file.write_bytes(content)
        return open_source(SourceConfig("sav", str(root), num_frames=0)).whole_clip(0).masks_othw

    def read_set(content):
        file.write_bytes(content)
        video = open_set("sav-train", str(root))[0]
        return [mask for frame in video.annotated for mask in video.masks(frame).values()]

    yield from each("SA-V", NOT_JSON, lambda text: read(text.encode()))
    yield from each("SA-V set", NOT_JSON, lambda text: read_set(text.encode()))
    chance = random.Random(SEED)
    for number in range(DAMAGES):
        changed = copy.deepcopy(sound)
        field = chance.choice(chosen_places(changed))
        what = f"{number}, {field}: {change_json(changed, field, chance)}"
        content = json.dumps(changed).encode()
        yield Input(f"SA-V {what}", partial(read, content), _are_masks)
        all_masks = lambda masks: all(mask.dtype == bool for mask in masks)  # noqa: E731
        yield Input(f"SA-V set {what}", partial(read_set, content), all_masks)
    rates = (0, -6, 5, 1e-300, 1e300, float("nan"), "a", None, [], [[6]], 10**400, {}, 0.1)
    yield from each("SA-V fps", rates, lambda fps: read(json.dumps(sound | {"fps": fps}).encode()))


def _are_masks(masks_othw):
    return masks_othw.dtype == bool and masks_othw.any()


def _png(level):
    file = io.BytesIO()
    Image.fromarray(np.full((24, 36), level, np.uint8)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


PATHS = ("../../../out", "/tmp/out", "a/b", "..", ".", "", "a\\b", "c:x", "a\0b", "x" * 300)
NOT_THE_COLUMN = {
    "video": (7, [1], {"a": 1}, None, 1.5, True),
    "frame_names": (7, [1, 2], "ab", [], None, ["0"], [["0"], ["1"]]),
    "annotated": (7, ["a", "b"], [0.5, 1.0], [1, 0], [0, 7], [-1, 0], [2**40], None, "ab"),
    "object_ids": ([1, 1], [-1], ["a"], [1.5], 7, None, [2**40], [[1]]),
    "first_frames": ([5], [0, 1], ["a"], 7, None, [0.5], [[0]]),
    "frames": ([], "ab", [1, 2], ["a", "b"], 7, [None, None], None),
    "label_maps": ([], "ab", [1, 2], ["a", "b"], 7, [None, None], ["/dev/zero"] * 2, [[], []]),
    "size": ("a", [0.5, 2.0]),
    "object_runs": ([["a"]], [[1]], [1]),
    "video_file": (7, "/dev/zero", b"", "a.mp4", [1]),
}


def tables(place, _models):
    sound = {
        "video": "a",
        "frames": [_png(0)] * 2,
        "frame_names": ["00000", "00001"],
        "annotated": [0, 1],
        "label_maps": [_png(1)] * 2,
        "object_ids": [1],
        "first_frames": [0],
    }
    file = place / "table.parquet"

    def read(changes):
        datasets.Dataset.from_list([sound | changes]).to_parquet(str(file))
        video = open_set("folder", str(file))[0]
        return [video.picture(0), *video.masks(1).values()]

    def read_bytes(content):
        file.write_bytes(content)
        return open_set("folder", str(file))

    yield from each("a video called", PATHS, lambda name: read({"video": name}))
    yield from each("a frame called", PATHS, lambda name: read({"frame_names": ["0", name]}))
    for name, values in NOT_THE_COLUMN.items():
        yield from each(name, values, lambda value, name=name: read({name: value}))
    bomb = {"bytes": png_bomb(place / "bomb.png").read_bytes(), "path": None}
    for stored in (bomb, {"bytes": b"", "path": None}, {"bytes": b"abc", "path": "/dev/zero"}):
        for name in ("frames", "label_maps"):
            call = partial(read, {name: [stored] * 2})
            yield Input(f"{name} of {stored['bytes'][:9]!r}", call)
    contents = (b"abc", b"", random.Random(1).randbytes(999))
    yield from each("a table of", contents, read_bytes)


def listed_sets(place, _models):
    davis = write_davis(place / "davis", videos=("cat",), frames=2)
    lvos = write_lvos(place / "lvos", frames=11)
    meta = (lvos / "valid_meta.json").read_text()
    listing = davis / "ImageSets" / "2017" / "val.txt"

    def listed(text):
        listing.write_bytes(text if isinstance(text, bytes) else text.encode())
        return open_set("davis17-val", str(davis))[0].labels(0)

    def of_meta(content):
        (lvos / "valid_meta.json").write_bytes(content)
        video = open_set("lvos-val", str(lvos))[0]
        return [video.annotated_for(number) for number in video.given]

    for text in ("", "../cat", "/etc", "cat/../cat", "\0", b"\xff\xfe", "dog", "cat\ncat", ".."):
        yield Input(f"DAVIS listing {text!r}", partial(listed, text))
    for text in NOT_JSON:
        yield Input(f"LVOS meta {text:.20}", partial(of_meta, text.encode()))
    for seed in range(DAMAGES):
        content, what = damaged(meta, seed)
        right = lambda frames: all(frames) and all(map(min, frames)) is not None  # noqa: E731
        yield Input(f"LVOS meta, {what}", partial(of_meta, content), right)


NO_PLACES = ("a name with a zero", "a long name", "no name")  # that a link could lead to


def predictions(place, _models):
    davis = write_davis(place / "predicted", videos=("cat",), frames=2)
    video = open_set("davis17-val", str(davis))[0]
    out = place / "out"
    (out / "cat").mkdir(parents=True)
    Image.new("L", (36, 24)).save(out / "cat" / "00001.png")
    target = out / "cat" / "00000.png"
    bad = write_bad_files(place / "bad", out / "cat" / "00001.png", random.Random(SEED))

    def put(source):
        target.unlink(missing_ok=True)
        target.symlink_to(source)

    def read(source):
        put(source)
        return read_labels(video, 0, out)

    def finished(source):
        put(source)
        return is_finished(video, out)

    def right_size(labels_hw):
        return labels_hw.shape == video.size

    for name, path in bad.items():
        check = right_size if name == "flipped bits" else None
        yield Input(f"label map {name}", partial(to_label_map, path), check)
        if name not in NO_PLACES:
            yield Input(f"prediction {name}", partial(read, path), check)
            yield Input(f"finished {name}", partial(finished, path), lambda answer: answer is False)
    for name, values in {"NaN": np.nan, "inf": np.inf, "half": 0.5, "1e30": 1e30}.items():
        path = float_tiff(place / f"{name}.tiff", np.full((24, 36), values))
        yield Input(f"prediction of {name}", partial(read, path))
        yield Input(f"label map of {name}", partial(to_label_map, str(path)))


def results(place, _models):
    file = place / "a.json"
    files = ItemFiles(place, dict, lambda content: content["a"] + 1)

    def read_with(reader, text):
        file.write_text(text)
        return reader(file)

    mappings = ("{}", '{"a": NaN}')
    settings = partial(read_with, read_settings)
    yield from each("run.json", NOT_JSON, settings, [repr(text) for text in mappings])
    yield from each("scores.json", NOT_JSON, partial(read_with, load_scores))
    items = partial(read_with, lambda _file: files.load_all(["a"]))
    yield from each("item", NOT_JSON, items, [repr(mappings[1])])  # which is a number, and no more


def embeddings(place, models):
    pipeline = ImageSegmentationPipeline(models[0])
    path = pipeline.encode(clip(1)[0]).save(place / "photo.safetensors")
    content = path.read_bytes()
    right = pipeline(EncodedImage.load(path), points=(3, 4)).masks
    chance = random.Random(SEED)
    head = int.from_bytes(content[:8], "little")

    def load(data):
        (place / "odd.safetensors").write_bytes(data)
        return pipeline(EncodedImage.load(place / "odd.safetensors"), points=(3, 4))

    def is_whole(answer):
        return answer.masks.shape[1:] == SIZE and np.isfinite(answer.scores).all()

    assert right.shape[1:] == SIZE
    for number in range(DAMAGES):
        data = bytearray(content)
        data[8 + chance.randrange(head)] = chance.randrange(32, 127)
        # one letter of the head: another size is another size, all else is refused
        yield Input(f"embedding, letter {number}", partial(load, bytes(data)),
                    lambda answer: np.isfinite(answer.scores).all())  # fmt: skip
        cut = content[: chance.randrange(len(content))]
        yield Input(f"embedding cut to {len(cut)}", partial(load, cut))
    for name, data in {"nothing": b"", "zeros": bytes(100), "a huge head": b"\xff" * 100}.items():
        yield Input(f"embedding of {name}", partial(load, data))
    for name, bad in write_bad_files(place / "more", _picture(place), chance).items():
        yield Input(f"embedding {name}", partial(EncodedImage.load, bad))


def _picture(place):
    Image.new("L", (36, 24)).save(place / "small.png")
    return place / "small.png"


def saves_and_settings(place, models):
    _, video_model, processor = models
    folder = place / "saved"
    processor.save_pretrained(place / "processor")
    with Sam2VideoInferenceSession.open(clip(6), video_model) as session:
        session.click(0, 1, (30, 20))
        session.box(0, 2, (10, 10, 40, 30))
        list(session.propagate(limit=2))
        session.save(folder)
    chance = random.Random(SEED + 1)

    def load(number):
        save = Save(folder, place / "copy")
        field = chance.choice(chosen_places(save.session))
        what = field, change_json(save.session, field, chance)
        save.close()
        found = outcome(place / "copy", video_model)
        return number, what, None if found is None else bool(found[1].isfinite().all())

    for number in range(12):
        yield Input(f"save {number}", partial(load, number), lambda answer: answer[2] is not False)
    for kind, name in (
        (Sam2ImageProcessor, "processor_config.json"),
        (Sam2VideoProcessor, "processor_config.json"),
    ):
        text = (place / "processor" / name).read_text()
        for seed in range(DAMAGES):
            content, what = damaged(text, seed)

            def read(kind=kind, content=content, name=name):
                target = place / "odd"
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(place / "processor", target)
                (target / name).write_bytes(content)
                return kind.from_pretrained(target)

            yield Input(f"{kind.__name__}, {what}", read, _prepares)


def run_lengths(_place, _models):
    counts = (b"\xff", "~" * 9, "0" * 400_000, "o" * 400_000, "1" * 7, 7, None, [], {}, "P" * 99)
    coco = lambda value: rle.from_coco({"size": [9, 9], "counts": value})  # noqa: E731
    yield from each("RLE", counts, coco)
    sizes = ([9], [9, -9], [10**400, 1], "ab", None, [1.5, 2], [True, True], [10**9, 10**9])
    yield from each("RLE size", sizes, lambda v: rle.decode({"size": v, "counts": [81]}))


def _prepares(processor):
    """Whether finite pixels come out of a processor that was loaded."""
    own = getattr(processor, "image_processor", processor)
    return bool(
        torch.as_tensor(own(clip(1)[0], return_tensors="pt")["pixel_values"]).isfinite().all()
    )


BORDERS = {
    border.__name__: border
    for border in (
        configs,
        annotations,
        photo_masks,
        masklets,
        tables,
        listed_sets,
        predictions,
        results,
        embeddings,
        saves_and_settings,
        run_lengths,
    )
}


@pytest.mark.parametrize("border", BORDERS.values(), ids=BORDERS)
@pytest.mark.usefixtures("one_thread")
def test_bad_files_are_refused_or_read_rightly(
    tiny_model, tiny_video_model, video_processor, tmp_path, border
):
    count, faults = faults_of(
        border(Path(tmp_path), (tiny_model, tiny_video_model, video_processor))
    )

    assert count >= 18
    assert not faults, f"{len(faults)} of {count} inputs:\n" + "\n".join(faults)
