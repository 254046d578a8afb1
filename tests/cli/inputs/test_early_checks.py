"""Mistakes that are reported before torch is imported."""

import contextlib
import json
import subprocess
import sys

import pytest

from sam2_hf.cli.arguments import read_arguments
from sam2_hf.cli.inputs.early_checks import prepare
from sam2_hf.cli.report import CommandReport
from sam2_hf.errors import MissingPackageError

# Runs each command line of stdin, and prints its exit code, what is told, and whether torch came.
PROGRAM = """
import contextlib, io, json, sys
from sam2_hf.cli import main
answers = []
for arguments in json.load(sys.stdin):
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        code = main(arguments)
    heavy = {"torch", "transformers", "numpy", "av", "gradio"} & set(sys.modules)
    answers.append([code, told.getvalue(), sorted(heavy)])
print(json.dumps(answers))
"""
CUP, CLIP = ["segment", "cup.png", "--point", "3,3"], ["track", "cup.mp4", "--click", "0:1:3,3"]
EXPORT = ["export", "sam2-hiera-micro", "out"]
LABEL = ["label", "cup.mp4", "--out", "set"]
NUMBERS = (
    *("--points-per-side", "--points-per-batch", "--pred-iou-thresh", "--stability-score-thresh"),
    *("--box-nms-thresh", "--crop-n-layers", "--min-mask-region-area"),
)
MISTAKES = [
    (["segment", "none.png", "--point", "3,3"], "there is no image file none.png"),
    (["segment", "text.jpg", "--point", "3,3"], "PIL does not know its format"),
    (["segment", "cup.png"], "there is no prompt"),
    (["segment", "--point", "3,3"], "there is no photo"),
    (["segment", "cup.png", "--point", "1,1", "--box", "1,1,9,9", "--box", "2,2,9,9"], "2 boxes"),
    ([*CUP, "--out", "text.jpg"], "cannot make the folder text.jpg: text.jpg is a file"),
    ([*CUP, "--out", "text.jpg/deep/er"], "text.jpg is a file"),
    ([*CUP, "--model", "./none"], "there is no file or folder ./none"),
    ([*CUP, "--model", "none.pt"], "there is no file or folder none.pt"),
    ([*CUP, "--device", "gpu"], "device 'gpu' cannot be used. Use cpu, cuda, cuda:1 or mps"),
    ([*CUP, "--device", "cuda:x"], "device 'cuda:x' cannot be used"),
    ([*CUP, "--dtype", "fp16"], "invalid choice: 'fp16'"),
    ([*CUP, "--pont", "3,3"], "there is no option --pont. Did you mean --point?"),
    (["segment", "http://127.0.0.1:9/cup.png", "--point", "3,3"], "cannot be downloaded"),
    (["everything", "none.png", "g*.png", "empty"], "3 of 3 failed: none.png, g*.png, empty"),
    (["everything", "--from-file", "empty.txt"], "the list of photos empty.txt is empty"),
    ([*CUP, "--text", "a dog"], "there is --text, and there is --point as well"),
    (["segment", "cup.png", "--text", " "], "--text holds ' '"),
    (["segment", "cup.png", "--text", "dog", "--text", "dog"], "--text names 'dog' twice"),
    (["segment", "cup.png", "--text", "dog", "--name", "1=cat"], "leave out --name"),
    (["segment", "cup.png", "--text", "dog", "--detector", "./none"], "no folder ./none for"),
    ([*CUP, "--detector", "google/owlv2"], "--detector is for --text, which is missing"),
    ([*CUP, "--detection-threshold", "0.5"], "--detection-threshold is for --text"),
    (["everything", "cup.png", "--labels", "a,,b"], "--labels holds ''"),
    (["everything", "cup.png", "--scorer", "some/clip"], "--scorer is for --labels"),
    ([*CLIP, "--text", "a dog"], "there is --text, and there is --click as well"),
    (
        ["track", "cup.mp4", "--reference", "cup.png:cup.png:1", "--text", "a dog"],
        "there is --text, and there is --reference as well",
    ),
    (["track", "cup.mp4", "--text", "dog", "--direction", "backward"], "forward in time"),
    (["track", "--camera", "0", "--text", "dog"], "--text needs a video"),
    (["track", "cup.mp4", "--text", "dog", "--detect-every", "-1"], "--detect-every"),
    (["track", "none.mp4", "--click", "0:1:3,3"], "there is no video file or folder none.mp4"),
    (["track", "cup.mp4"], "there is no prompt"),
    ([*CLIP, "--camera", "0"], "not both"),
    ([*CLIP, "--mask", "0:1:none.png"], "there is no mask file none.png"),
    ([*CLIP, "cup.mp4"], "'cup.mp4' is an unexpected argument"),
    ([*CLIP, "--outputs", "gif"], "there is no format 'gif'"),
    (["track", "empty", "--click", "0:1:3,3"], "the folder empty has no picture"),
    (["track", "text.jpg", "--click", "0:1:3,3"], "PIL does not know its format"),
    (["track", "none.bin", "--click", "0:1:3,3"], "none.bin is empty"),
    (["track", "--camera", "0", "--click", "1:1:3,3"], "all must be for frame 0"),
    (["track", "cup.mp4", "--point", "0:1:3,3"], "no option --point. Did you mean --click?"),
    (["segment", "cup.mp4", "--point", "3,3"], "cup.mp4 is a video; `sam2-hf track` reads it"),
    ([*CUP, "--model", "text.jpg"], "text.jpg is not a checkpoint"),
    (["segmnet", "cup.png"], "there is no command 'segmnet'. Did you mean segment?"),
    (["cup.png"], "there is no command 'cup.png'"),
    (["convert", "none.pt", "out"], "there is no file or folder none.pt"),
    (["export", "none.pt", "out"], "there is no file or folder none.pt"),
    (["export", "check", "none"], "there is no folder none"),
    (["completion", "csh"], "invalid choice: 'csh'"),
    ([*CUP, "--name", "7=cup"], "names object 7, but the objects are 1"),
    ([*CLIP, "--name", "7=cup"], "names object 7, but the objects are 1"),
    (["track", "cup.mp4", "--click", "0:0:3,3"], "davis cannot hold object 0"),
    *((["everything", "cup.png", name, "-4"], f"argument {name}: '-4' is not") for name in NUMBERS),
    (["everything", "cup.png", "--points-per-side", "0"], "it must be at least 1, not 0"),
    (["everything", "cup.png", "--pred-iou-thresh", "1.5"], "'1.5' is not a number from 0 to 1"),
    (["everything", "cup.png", "--box-nms-thresh", "nan"], "'nan' is not a number from 0 to 1"),
    ([*EXPORT, "--format", "nonsense"], "there is no export to 'nonsense'"),
    ([*EXPORT, "--format", "torchscript", "--fixed"], "torchscript has no fixed shapes"),
    ([*EXPORT, "--image-size", "100"], "multiple of 32"),
    ([*EXPORT, "--push-to-hub", "a/b/c"], "'a/b/c' is not a valid name for a Hub repo"),
    (
        ["export", "check", "empty", "--push-to-hub", "a b"],
        "'a b' is not a valid name for a Hub repo",
    ),
    (["export", "sam2-hiera-micro", "text.jpg/out"], "text.jpg is a file. Choose another OUT."),
    ([*LABEL, "--text", "a dog", "--max-objects", "2"], "and --text says which objects there are"),
    ([*LABEL, "--prompts", "text.jpg", "--max-objects", "2"], "and --prompts says which objects"),
    ([*LABEL, "--prompts", "text.jpg", "--split-frames", "9"], "Leave out --split-frames"),
    (["convert", "sam2-hiera-micro", "text.jpg/out"], "text.jpg is a file. Choose another OUT."),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory, stored_photo):
    """What is answered to each mistake, in one process."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "cup.png").write_bytes(stored_photo.read_bytes())
    (folder / "cup.mp4").write_bytes(b"not read")
    (folder / "text.jpg").write_text("not a picture")
    (folder / "empty.txt").write_text("\n")
    (folder / "none.bin").touch()
    (folder / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([arguments for arguments, _ in MISTAKES]),
        capture_output=True,
        check=True,
        cwd=folder,
        text=True,
    )
    assert not (folder / "sam2_out").exists()
    return json.loads(done.stdout)


@pytest.mark.parametrize("place", range(len(MISTAKES)), ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_mistake_is_told_before_torch_is_imported(answers, place):
    code, told, heavy = answers[place]

    assert (code, heavy) == (2, [])
    assert MISTAKES[place][1] in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("video", "formats", "purpose"),
    [
        ("cup.mp4", "davis", "Reading a video"),
        ("frames", "sav,alpha", "Writing a video"),
        ("frames", "davis,sav", None),
        (None, "davis", "Reading a video"),
    ],
)
def test_a_missing_pyav_is_reported_only_where_it_is_needed(
    monkeypatch, tmp_path, stored_photo, video, formats, purpose
):
    (tmp_path / "cup.mp4").write_bytes(b"not read")
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "0.png").write_bytes(stored_photo.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "av", None)
    source = ["--camera", "0"] if video is None else [video]
    arguments = read_arguments(["track", *source, "--click", "0:1:3,3", "--save", formats])
    arguments.report = CommandReport("track")

    with contextlib.ExitStack() as open_files:
        if purpose is None:
            assert prepare(arguments, open_files)
        else:
            with pytest.raises(MissingPackageError, match=rf"{purpose} needs .*sam2-hf\[video\]"):
                prepare(arguments, open_files)
