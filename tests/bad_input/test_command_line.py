"""Bad arguments and bad files on the command line: exit code 2, one line, in a short time."""

import io
import random
import shutil
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_hf.cli import main
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL, bundled_folder
from sam2_hf.writers.mp4 import video_writer
from tests.bad_input.bad_files import float_tiff, write_bad_files
from tests.bad_input.judging import Input, faults_of
from tests.damage import damaged

SEED = 17
MODEL = str(bundled_folder(SMALL_MODEL))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sound photo and clip, and a folder of bad files."""
    place = tmp_path_factory.mktemp("files")
    chance = np.random.default_rng(0)
    Image.fromarray(chance.integers(0, 255, (48, 64, 3), np.uint8)).save(place / "cup.png")
    with video_writer(place / "clip.mp4", fps=5) as writer:
        for _ in range(3):
            writer.write(np.full((48, 64, 3), 90, np.uint8))
    return place


@pytest.fixture(scope="module")
def bad_files(folder):
    return write_bad_files(folder / "bad", folder / "cup.png", random.Random(SEED))


def told(*arguments):
    """Run the command line; its exit code and what it says on stderr."""
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        code = main([str(one) for one in arguments])
    return code, said.getvalue()


def is_refusal(answer):
    """Whether it is exit code 2 and one line that says whose it is and that it is an error."""
    code, said = answer
    lines = said.splitlines()
    is_ours = len(lines) == 1 and lines[0].startswith("sam2-hf") and "error: " in lines[0]
    return code == 2 and is_ours and "Traceback" not in said


def refused(what, *arguments):
    return Input(what, partial(told, *arguments), is_refusal)


def photos(folder, bad_files):
    out = ("--out", folder / "out", "--model", MODEL)
    for name, path in bad_files.items():
        yield refused(f"segment {name}", "segment", path, "--point", "3,4", *out)
        if name != "no name":
            yield refused(f"everything of {name}", "everything", path, *out)
    cup = folder / "cup.png"
    for text in (
        *("", "3", "3,4,5", "nan,4", "inf,4", "4,-inf", "1e999,4", f"{10**400},4", "a,b", "3;4"),
        *("99999,4", "-50,4", "3,4,x", "3,4,-,-", ",", "0x10,4", "3,4\n5", "(3,4)", "\0,4"),
    ):
        yield refused(f"--point {text!r:.30}", "segment", cup, f"--point={text}", *out)
    for text in ("", "1,2,3", "1,2,nan,4", "9,9,1,1", f"1,2,{10**400},4", "a", "500,500,600,600"):
        yield refused(f"--box {text!r:.30}", "segment", cup, f"--box={text}", *out)
    for text in ("", "1", "2,1", "nan,3", "0,inf", f"0,{10**400}", "half", "1,1"):
        more = ("--point", "3,4", f"--value-range={text}")
        yield refused(f"--value-range {text!r:.30}", "segment", cup, *more, *out)
    yield refused("no prompt", "segment", cup, *out)
    for name, value in {
        "--points-per-side": ("0", "-3", "1.5", str(10**30), str(10**9), "nan"),
        "--points-per-batch": ("0", "-1", "x"),
        "--crop-n-layers": ("-1", str(10**9), "40", "x"),
        "--pred-iou-thresh": ("nan", "inf", "x"),
        "--min-mask-region-area": ("x", "1.5"),
    }.items():
        for text in value:
            yield refused(f"{name} {text:.20}", "everything", cup, f"{name}={text}", *out)


def models_and_folders(folder, bad_files):
    cup, point = folder / "cup.png", ("--point", "3,4")
    for name, path in bad_files.items():
        more = ("--out", folder / "out", f"--model={path}")
        yield refused(f"--model {name}", "segment", cup, *point, *more)
    for text in ("tpu", "cuda:99", "cpu:x", "-1", "cuda:99999999999999999999", "a\0b"):
        more = ("--out", folder / "out", "--model", MODEL, f"--device={text}")
        yield refused(f"--device {text!r}", "segment", cup, *point, *more)
    for name in ("text", "pipe", "inside a file", "zero", "null", "a name with a zero", "loop",
                 "a long name"):  # fmt: skip
        more = ("--model", MODEL, f"--out={bad_files[name]}")
        yield refused(f"--out {name}", "segment", cup, *point, *more)
        yield refused(f"everything --out {name}", "everything", cup, *more)
        yield refused(
            f"track --out {name}", "track", folder / "clip.mp4", "--click", "0:1:3,4", *more
        )
    text = (Path(MODEL) / "config.json").read_text()
    for seed in range(12):
        place = folder / f"model{seed}"
        shutil.copytree(MODEL, place, dirs_exist_ok=True)
        content, what = damaged(text, 1000 + seed)
        (place / "config.json").write_bytes(content)
        arguments = ("segment", cup, *point, "--out", folder / "out", "--model", place)
        yield Input(f"config.json, {what}", partial(told, *arguments), _is_refusal_or_done)
    for name, path in bad_files.items():
        yield refused(f"convert {name}", "convert", path, folder / "converted")
        yield refused(f"revert {name}", "convert", path, folder / "converted.pt")
    for name in ("text", "pipe", "inside a file", "a name with a zero"):
        yield refused(f"convert to {name}", "convert", MODEL, f"{bad_files[name]}")


def _is_refusal_or_done(answer):
    return answer[0] == 0 or is_refusal(answer)


def videos(folder, bad_files):
    clip, click = folder / "clip.mp4", ("--click", "0:1:3,4")
    out = ("--out", folder / "tracked", "--model", MODEL)
    for name, path in bad_files.items():
        if name not in ("no name",):
            yield refused(f"track {name}", "track", path, *click, *out)
            yield refused(f"everything in {name}", "everything", path, "--video", *out)
        yield refused(f"--mask {name}", "track", clip, f"--mask=0:1:{path}", *out)
    cut = folder / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[:200])
    yield refused("a video that is cut off", "track", cut, *click, *out)
    yield refused("everything in a video that is cut off", "everything", cut, *out)
    renamed = folder / "list.mp4"
    renamed.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{clip}\n#EXT-X-ENDLIST\n")
    yield refused("a renamed play list", "track", renamed, *click, *out)
    for name, values in {
        "NaN": np.full((48, 64), np.nan),
        "infinity": np.full((48, 64), np.inf),
        "zeros": np.zeros((48, 64)),
        "another size": np.ones((40, 64)),
    }.items():
        path = float_tiff(folder / f"{name}.tiff", values)
        yield refused(f"a mask of {name}", "track", clip, f"--mask=0:1:{path}", *out)
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    for number in range(2):
        (pictures / f"{number}.png").write_bytes(b"no picture")
    yield refused("a folder of damaged pictures", "track", pictures, *click, *out)


def video_numbers(folder, _bad_files):
    clip, click = folder / "clip.mp4", ("--click", "0:1:3,4")
    out = ("--out", folder / "tracked", "--model", MODEL)
    for text in (
        *("", "0:1", "0:1:3", "a:1:3,4", "0:a:3,4", "-1:1:3,4", "99:1:3,4", "0:1:nan,4"),
        *("0.5:1:3,4", f"0:1:{10**400},4", f"{10**30}:1:3,4", f"0:{10**30}:3,4", "0:1:99999,4"),
        *("True:1:3,4", "0:1.0:3,4", "0::3,4", ":::", "0:1:3,4:5"),
    ):
        yield refused(f"--click {text!r:.30}", "track", clip, f"--click={text}", *out)
    digits = "9" * 5000
    yield refused("a frame of 5000 digits", "track", clip, f"--click={digits}:1:3,4", *out)
    yield refused("an object of 5000 digits", "track", clip, f"--click=0:{digits}:3,4", *out)
    for text in ("", "0:1", "0:1:1,2,3", "0:1:9,9,1,1", "0:1:nan,1,2,3", "0:1:500,500,600,600"):
        yield refused(f"track --box {text!r}", "track", clip, f"--box={text}", *out)
    for name, texts in {
        "--start": ("-1", "x", "1.5", str(10**30), "99"),
        "--limit": ("0", "-1", "x", "1.5"),
        "--outputs": ("", "gif", "mp4;png", ","),
        "--direction": ("", "up", "BOTH"),
        "--camera": ("-1", "x", "1.5"),
    }.items():
        for text in texts:
            yield refused(f"{name} {text!r:.20}", "track", clip, *click, f"{name}={text}", *out)
    for name, texts in {
        "--key-frame-every": ("0", "-1", "1.5", "x", ""),
        "--max-objects": ("0", "nan"),
        "--min-area": ("-0.1", "1.1", "inf", "x"),
        "--layout": ("", "flat"),
        "--save": ("", "cvat", "mp4;png"),
    }.items():
        for text in texts:
            yield refused(f"everything {name} {text!r}", "everything", clip, f"{name}={text}", *out)


def sets(folder, bad_files):
    clip, out = folder / "clip.mp4", ("--out", folder / "set", "--model", MODEL)
    for name, path in bad_files.items():
        yield refused(f"--prompts {name}", "label", clip, f"--prompts={path}", *out)
        more = ("--retrack", f"--review={path}")
        yield refused(f"--review {name}", "label", *more, "--out", folder / "set")
    for name in ("text", "pipe", "inside a file", "a name with a zero", "loop", "a long name"):
        more = ("--model", MODEL, f"--out={bad_files[name]}")
        yield refused(f"label --out {name}", "label", clip, *more)
    for name in ("--workers", "--threads", "--max-objects", "--split-frames", "--lease"):
        for text in ("0", "-1", "x", "1.5"):
            yield refused(f"{name} {text}", "label", clip, f"{name}={text}", *out)
    for name in ("--min-iou", "--min-object-score", "--min-stability", "--min-agreement"):
        for text in ("nan", "inf", "x", "-0.1", "1.5"):
            yield refused(f"{name} {text}", "label", clip, f"{name}={text}", *out)
    for name, text in {"--phase": "", "--export": "png", "--points-per-side": str(10**9)}.items():
        yield refused(f"{name} {text!r}", "label", clip, f"{name}={text}", *out)


BORDERS = {
    border.__name__: border for border in (photos, models_and_folders, videos, video_numbers, sets)
}


@pytest.mark.parametrize("border", BORDERS.values(), ids=BORDERS)
@pytest.mark.usefixtures("one_thread")
def test_bad_arguments_end_in_one_line_and_exit_code_2(folder, bad_files, border):
    count, faults = faults_of(border(folder, bad_files))

    assert count >= 40
    assert not faults, f"{len(faults)} of {count} inputs:\n" + "\n".join(faults)
