"""Files that programs read: settings, annotations, tables, predictions, embeddings, saves."""

import copy
import io
import json
import random
import shutil
from functools import partial
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.item_files import ItemFiles
from evaluation.run_settings import read_settings
from evaluation.score_file import load_scores
from evaluation.sets.open_set import open_set
from evaluation.vos.prediction_files import is_finished, read_labels
from sam2_hf import (
    EncodedImage,
    ImageSegmentationPipeline,
    Sam2ImageProcessor,
    Sam2VideoProcessor,
    rle,
)
from sam2_hf.processing.label_maps import to_label_map
from sam2_hf.training.config_files import as_yaml, read_config
from sam2_hf.training.data_config import SourceConfig
from sam2_hf.training.source_registry import open_source
from sam2_hf.video.session import Sam2VideoInferenceSession
from tests.bad_input.bad_files import float_tiff, png_bomb, write_bad_files
from tests.bad_input.judging import Input, faults_of
from tests.damage import DEEP, damaged
from tests.small_sets import write_davis, write_lvos, write_masklets
from tests.training.drawn_data import coco_rle, square, write_coco
from tests.video.test_saved_session_fuzz import Save, change_json, outcome
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


def configs(place, _models):
    base = {"model": "sam2-hiera-micro", "output": "out", "steps": 3,
            "data": [{"kind": "pairs", "path": "photos", "augment": {"degrees": 5}}],
            "optimiser": {"learning_rate": 1e-4, "betas": [0.9, 0.99]},
            "validation": {"every": 5}, "lora": {"rank": 4}}  # fmt: skip
    path = place / "config.yaml"

    def read(text, changes=()):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_config(str(path), changes)

    def comes_back(config):
        return read(as_yaml(config)) == config

    bomb = "a0: &a0 [x, x]\n" + "\n".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)
    )
    texts = {
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
        "aliases that multiply": bomb,
        "a tag of Python": "!!python/object/apply:os.system ['true']",
        "an unknown tag": "!x {a: 1}",
        "a loop": "&a [*a]",
        "a loop of mappings": "model: &a {b: *a}",
        "a list as a key": "? [1, 2]\n: 3",
        "a date": "model: 2020-01-01",
        "two documents": "a: 1\n---\nb: 2",
        "merge of itself": "a: &a\n  <<: *a",
    }
    for name, text in texts.items():
        yield Input(f"YAML of {name}", partial(read, text))
    nested: list = []
    for _ in range(400):
        nested = [nested]
    odd = (
        10**400,
        -(10**400),
        float("nan"),
        float("inf"),
        "x",
        None,
        [],
        {},
        True,
        -1,
        1.5,
        nested,
    )
    for field in ("steps", "seed", "workers", "data", "optimiser.learning_rate", "optimiser.betas",
                  "drop_path", "ema_decay", "image_size", "lora.rank", "lora.alpha",
                  "validation.every", "data.0.weight", "data.0.augment.degrees",
                  "data.0.augment.zoom", "data.0.frame_step", "data.0.options", "frozen"):  # fmt: skip
        for value in odd:
            content = copy.deepcopy(base)
            inside = content
            *path_to, last = field.split(".")
            for key in path_to:
                inside = inside[int(key) if key.isdigit() else key]
            inside[last] = value
            text = json.dumps(content)
            yield Input(f"{field}={value!r:.30}", partial(read, text), comes_back)
    for seed in range(DAMAGES):
        content, what = damaged(json.dumps(base), seed)
        yield Input(f"config, {what}", partial(read, content), comes_back)
    sound = json.dumps(base)
    for change in ("", "=", "steps", "steps=[", "steps=" + "[" * 3000, "data.9.path=x", "a.b.c=1",
                   "steps.x=1", "steps=1e400", f"seed={10**400}", "data.-1.path=x", "data.x=1",
                   "steps=\0", "data.0.path.x=1", f"data.{'9' * 5000}.path=x",
                   "data.٣.path=x", "data.².path=x"):  # fmt: skip
        yield Input(f"--set {change:.30}", partial(read, sound, [change]))
    for name in ("/dev/zero", "/", "a\0b", "x" * 5000, "../../etc/passwd", ""):
        yield Input(f"--config {name:.20}", partial(read_config, name))


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


def segment_files(place, _models):
    sa1b = place / "sa1b"
    sa1b.mkdir()
    Image.new("RGB", (64, 48)).save(sa1b / "sa_1.jpg")
    one = {"image": {"height": 48}, "annotations": [{"segmentation": coco_rle(square())}]}

    def read_photo(content):
        (sa1b / "sa_1.json").write_bytes(content)
        return open_source(SourceConfig("sa1b", str(sa1b))).whole_clip(0).masks_othw

    def read_video(content):
        (sav / "sav_1_manual.json").write_bytes(content)
        return open_source(SourceConfig("sav", str(sav), num_frames=0)).whole_clip(0).masks_othw

    def read_set(content):
        (sav / "sav_1_manual.json").write_bytes(content)
        video = open_set("sav-train", str(sav))[0]
        return [video.masks(frame) for frame in video.annotated]

    def is_masks(masks):
        return masks.dtype == bool and masks.any()

    def are_masks(frames):
        return all(mask.dtype == bool for masks in frames for mask in masks.values())

    sav = write_masklets(place / "sav", as_video=False)
    many = json.loads((sav / "sav_1_manual.json").read_text())
    for text in NOT_JSON:
        yield Input(f"SA-1B {text:.20}", partial(read_photo, text.encode()))
        yield Input(f"SA-V {text:.20}", partial(read_video, text.encode()))
        yield Input(f"SA-V set {text:.20}", partial(read_set, text.encode()))
    for seed in range(DAMAGES):
        content, what = damaged(json.dumps(one), seed)
        yield Input(f"SA-1B, {what}", partial(read_photo, content), is_masks)
    chance = random.Random(SEED)
    for number in range(DAMAGES):
        changed = copy.deepcopy(many)
        where, way = change_json(changed, chance)
        content = json.dumps(changed).encode()
        yield Input(f"SA-V {number} {where} {way}", partial(read_video, content), is_masks)
        yield Input(f"SA-V set {number} {where} {way}", partial(read_set, content), are_masks)
    for fps in (
        0,
        -6,
        5,
        1e-300,
        1e300,
        float("nan"),
        "a",
        None,
        [],
        [[6]],
        10**400,
        {},
        True,
        0.1,
    ):
        content = json.dumps(many | {"fps": fps}).encode()
        sound = (
            is_masks if fps is True else None
        )  # 1 a second divides 24, and is more than there is
        yield Input(f"SA-V fps={fps!r:.20}", partial(read_video, content), sound)


def sets_and_tables(place, _models):
    def png(level):
        file = io.BytesIO()
        Image.fromarray(np.full((24, 36), level, np.uint8)).save(file, "PNG")
        return file.getvalue()

    sound = {
        "video": "a",
        "frames": [{"bytes": png(0), "path": None}] * 2,
        "frame_names": ["00000", "00001"],
        "annotated": [0, 1],
        "label_maps": [{"bytes": png(1), "path": None}] * 2,
        "object_ids": [1],
        "first_frames": [0],
    }
    table = place / "table.parquet"

    def read(changes):
        datasets.Dataset.from_list([sound | changes]).to_parquet(str(table))
        video = open_set("folder", str(table))[0]
        return [video.picture(0), *video.masks(1).values()]

    bomb = png_bomb(place / "bomb.png").read_bytes()
    for name in (
        "../../../out",
        "/tmp/out",
        "a/b",
        "..",
        ".",
        "",
        "a\\b",
        "c:x",
        "a\0b",
        "x" * 300,
    ):
        yield Input(f"a video called {name!r:.20}", partial(read, {"video": name}))
        yield Input(f"a frame called {name!r:.20}", partial(read, {"frame_names": ["0", name]}))
    changes = {
        "video": (7, [1], {"a": 1}, None, 1.5, True),
        "frame_names": (7, [1, 2], "ab", [], None, ["0"], [["0"], ["1"]]),
        "annotated": (7, ["a", "b"], [0.5, 1.0], [1, 0], [0, 7], [-1, 0], [2**40], None, "ab"),
        "object_ids": ([1, 1], [-1], ["a"], [1.5], 7, None, [2**40], [[1]]),
        "first_frames": ([5], [0, 1], ["a"], 7, None, [0.5], [[0]]),
        "frames": ([], "ab", [1, 2], ["a", "b"], [b"", b""], [bomb, bomb], 7, [None, None]),
        "label_maps": ([], "ab", [1, 2], ["a", "b"], [b"", b""], [bomb, bomb], 7, [None, None],
                       ["/dev/zero"] * 2, [[png(1)], [png(1)]]),
        "size": ("a", [1], [-1, 5], [0.5, 2.0]),
        "object_runs": ("a", [["a"]], [[1]], [1]),
        "video_file": (7, "/dev/zero", b"", "a.mp4", [1]),
    }  # fmt: skip
    allowed = {("size", 1), ("size", 2), ("size", 3), ("size", 0), ("object_runs", 0)}
    for name, values in changes.items():
        for number, value in enumerate(values):
            right = (lambda _answer: True) if (name, number) in allowed else None
            stored = value
            if name in ("frames", "label_maps") and isinstance(value, list):
                stored = [
                    {"bytes": one, "path": None} if isinstance(one, bytes) else one for one in value
                ]
            yield Input(f"{name}={value!r:.40}", partial(read, {name: stored}), right)
    for name, content in {
        "text": b"abc",
        "nothing": b"",
        "noise": random.Random(1).randbytes(999),
    }.items():

        def read_other(content=content):
            (place / "other.parquet").write_bytes(content)
            return open_set("folder", str(place / "other.parquet"))

        yield Input(f"a table of {name}", read_other)
    yield from _listed_sets(place)


def _listed_sets(place):
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


def predictions(place, _models):
    davis = write_davis(place / "predicted", videos=("cat",), frames=2)
    video = open_set("davis17-val", str(davis))[0]
    out = place / "out"
    (out / "cat").mkdir(parents=True)
    Image.new("L", (36, 24)).save(out / "cat" / "00001.png")
    target = out / "cat" / "00000.png"
    bad = write_bad_files(place / "bad", out / "cat" / "00001.png", random.Random(SEED))

    def put(source):
        if target.is_symlink() or target.exists():
            target.unlink()
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
        if "name" not in name:
            check = right_size if name == "flipped bits" else None
            yield Input(f"prediction {name}", partial(read, path), check)
            yield Input(f"finished {name}", partial(finished, path), lambda answer: answer is False)
        yield Input(f"label map {name}", partial(to_label_map, path),
                    right_size if name == "flipped bits" else None)  # fmt: skip
    for name, values in {"NaN": np.nan, "inf": np.inf, "half": 0.5, "1e30": 1e30}.items():
        path = float_tiff(place / f"{name}.tiff", np.full((24, 36), values))
        yield Input(f"prediction of {name}", partial(read, path))
        yield Input(f"label map of {name}", partial(to_label_map, str(path)))
    for text in NOT_JSON:
        file = place / "item" / "a.json"

        def settings(read, text=text, file=file):
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
            return read(file)

        is_mapping = text.startswith("{") and text.endswith("}")
        yield Input(f"run.json {text:.20}", partial(settings, read_settings),
                    (lambda found: isinstance(found, dict)) if is_mapping else None)  # fmt: skip
        yield Input(f"scores.json {text:.20}", partial(settings, load_scores))
        files = ItemFiles(file.parent, dict, lambda content: content["a"] + 1)
        yield Input(f"item {text:.20}", partial(settings, lambda _file, f=files: f.load_all(["a"])),
                    (lambda found: found["a"] != found["a"]) if "NaN" in text else None)  # fmt: skip


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
        what = change_json(save.session, chance)
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
    for counts in (
        b"\xff",
        "~" * 9,
        "0" * 400_000,
        "o" * 400_000,
        "1" * 7,
        7,
        None,
        [],
        {},
        "P" * 99,
    ):
        yield Input(
            f"RLE {counts!r:.20}", partial(rle.from_coco, {"size": [9, 9], "counts": counts})
        )
    for size in ([9], [9, -9], [10**400, 1], "ab", None, [1.5, 2], [True, True], [10**9, 10**9]):
        yield Input(f"RLE size {size!r:.20}", partial(rle.decode, {"size": size, "counts": [81]}))


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
        segment_files,
        sets_and_tables,
        predictions,
        embeddings,
        saves_and_settings,
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

    assert count >= 40
    assert not faults, f"{len(faults)} of {count} inputs:\n" + "\n".join(faults)
