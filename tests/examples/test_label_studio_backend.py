"""The Label Studio backend, asked over HTTP with what Label Studio posts.

`pip install --target FOLDER --no-deps label-studio-sdk` and `PYTHONPATH=FOLDER` let Label Studio's
own reader of brush masks judge too.
"""

import json
import threading
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image
from skimage import data

from evaluation.demo_clip import FPS, demo_clip
from examples.label_studio_backend import videos
from examples.label_studio_backend.brush_rle import brush_rle
from examples.label_studio_backend.photos import read_prompt
from examples.label_studio_backend.server import Backend, make_server
from examples.label_studio_backend.task_files import TaskFiles
from examples.label_studio_backend.videos import VideoTracker
from sam2_hf import Sam2VideoModel, VideoSession, pipeline
from sam2_hf.errors import PromptError
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL
from sam2_hf.results.found_object import mask_box
from sam2_hf.writers.mp4 import video_writer
from tests.examples.brush_reader import read_brush
from tests.results.readers import fill, plain_mask, ring_mask

BRUSH = """<View><Image name="image" value="$image"/>
<BrushLabels name="mask" toName="image"><Label value="cup"/></BrushLabels>
<KeyPointLabels name="point" toName="image" smart="true"><Label value="cup"/></KeyPointLabels>
<RectangleLabels name="box" toName="image" smart="true"><Label value="cup"/></RectangleLabels>
</View>"""
POLYGON = BRUSH.replace("BrushLabels", "PolygonLabels")
VIDEO = """<View><Labels name="labels" toName="video"><Label value="cup"/></Labels>
<Video name="video" value="$clip" framerate="8"/>
<VideoRectangle name="box" toName="video" smart="true"/></View>"""
SIZE = (400, 600)
FRAMES = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("label_studio")
    Image.fromarray(data.coffee()).save(path / "coffee.png")
    with video_writer(path / "clip.mp4", fps=FPS) as writer:
        for frame in demo_clip()[0][:FRAMES]:
            writer.write(frame)
    return path


@pytest.fixture(scope="module")
def address(folder):
    files = TaskFiles(folder=folder)
    server = make_server(Backend(SMALL_MODEL, files), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()
    files.close()


def ask(url, content=None, kind="application/json"):
    """Send a request; return status and answer."""
    body = None if content is None else json.dumps(content).encode()
    try:
        with urlopen(Request(url, body, {"Content-Type": kind}), timeout=120) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def keypoint(x, y, positive=1):
    value = {"x": 100 * x / 600, "y": 100 * y / 400, "width": 0.3, "keypointlabels": ["cup"]}
    about = {"original_width": 600, "original_height": 400, "image_rotation": 0}
    kind = {"type": "keypointlabels", "from_name": "point", "to_name": "image", "id": "a"}
    return {**about, **kind, "value": value, "is_positive": positive}


def request(regions, config=BRUSH, **task):
    """Make what Label Studio posts to /predict when a smart region is drawn."""
    files = task or {"image": "/data/local-files/?d=coffee.png"}
    context = {"draft": None, "result": regions}
    params = {"login": None, "password": None, "context": context}
    tasks = [{"id": 7, "data": files}]
    return {"tasks": tasks, "project": "1.1700000000", "label_config": config, "params": params}


@pytest.fixture(scope="module")
def expected(folder):
    segment = pipeline("image-segmentation", model=SMALL_MODEL)
    points, labels = [(290, 225), (120, 260)], [1, 0]
    return segment(str(folder / "coffee.png"), points=points, labels=labels, multimask=False)


@pytest.mark.parametrize("mask", [ring_mask(), plain_mask(), np.ones((300, 400), bool)])
def test_brush_run_lengths_are_what_label_studio_reads(mask):
    np.testing.assert_array_equal(read_brush(brush_rle(mask), mask.shape), mask)


@pytest.mark.filterwarnings("ignore")
def test_label_studios_own_reader_gets_the_mask():
    brush = pytest.importorskip(
        "label_studio_sdk.converter.brush", reason="label-studio-sdk is not installed"
    )
    for mask in (ring_mask(), ~ring_mask()):
        read = brush.decode_rle(brush_rle(mask)).reshape(*mask.shape, 4)[..., 3]

        np.testing.assert_array_equal(read, 255 * mask)


def test_setup_and_health_answer_as_label_studio_expects(address):
    setup = {"project": "1.1700000000", "schema": BRUSH, "hostname": "http://localhost:8080"}

    assert ask(f"{address}/health") == (200, {"status": "UP", "model_class": "Backend"})
    assert ask(f"{address}/setup", setup) == (200, {"model_version": f"sam2-hf {SMALL_MODEL}"})
    assert ask(f"{address}/predict", request([])) == (200, {"results": []})


@pytest.mark.usefixtures("one_thread")
def test_clicks_come_back_as_the_mask_of_the_pipeline(address, expected):
    regions = [keypoint(290, 225), keypoint(120, 260, positive=0)]

    status, answer = ask(f"{address}/predict", request(regions))

    (prediction,) = answer["results"]
    (region,) = prediction["result"]
    assert (status, region["type"], region["from_name"]) == (200, "brushlabels", "mask")
    assert (region["to_name"], region["value"]["brushlabels"]) == ("image", ["cup"])
    assert (region["original_height"], region["original_width"]) == SIZE
    np.testing.assert_array_equal(read_brush(region["value"]["rle"], SIZE), expected.best)
    assert prediction["score"] == pytest.approx(expected.best_score)


@pytest.mark.usefixtures("one_thread")
def test_a_project_with_polygons_gets_polygons_of_the_same_mask(address, expected):
    regions = [keypoint(290, 225), keypoint(120, 260, positive=0)]

    _, answer = ask(f"{address}/predict", request(regions, POLYGON))

    rings = [np.array(region["value"]["points"]) for region in answer["results"][0]["result"]]
    drawn = fill([ring * (6, 4) for ring in rings], SIZE)
    np.testing.assert_array_equal(drawn, expected.best)


def test_a_turned_rectangle_counts_as_the_box_around_it():
    value = {"x": 50, "y": 25, "width": 20, "height": 10, "rotation": 90}

    prompt = read_prompt([{"type": "rectanglelabels", "value": value}], (100, 100))

    np.testing.assert_allclose(prompt.box, (40, 25, 50, 45), atol=1e-9)


@pytest.mark.usefixtures("one_thread")
def test_a_rectangle_is_followed_and_only_the_persons_keyframes_are_prompts(address, folder):
    keyframe = {"frame": 2, "x": 10, "y": 40, "width": 20, "height": 40, "enabled": True}
    value = {"framesCount": FRAMES, "duration": FRAMES / FPS, "labels": ["cup"]}
    region = {"id": "r", "type": "videorectangle", "from_name": "box", "to_name": "video"}
    drawn = {**region, "value": {**value, "sequence": [{**keyframe, "rotation": 0, "time": 0.1}]}}
    clip = {"clip": "/data/local-files/?d=clip.mp4"}

    status, answer = ask(f"{address}/predict", request([drawn], VIDEO, **clip))

    assert status == 200, answer
    (tracked,) = answer["results"][0]["result"]
    _, again = ask(f"{address}/predict", request([tracked], VIDEO, **clip))
    assert again["results"][0]["result"] == [tracked]
    assert (tracked["id"], tracked["value"]["labels"]) == ("r", ["cup"])
    first, *others = tracked["value"]["sequence"]
    assert (first["frame"], first["x"]) == (2, 10)
    model = Sam2VideoModel.from_pretrained(SMALL_MODEL).eval()
    with VideoSession.open(folder / "clip.mp4", model) as session:
        height, width = session.size
        box = (0.1 * width, 0.4 * height, 0.3 * width, 0.8 * height)
        session.box(1, 1, box)
        boxes = {result.frame: mask_box(result.masks[1]) for result in session.propagate()}
    assert [frame["frame"] for frame in others] == [3, 4]
    for frame in others:
        left, top, _, bottom = boxes[frame["frame"] - 1]
        assert frame["x"] == pytest.approx(100 * left / width, abs=1e-5)
        assert frame["height"] == pytest.approx(100 * (bottom - top) / height, abs=1e-5)
    assert others[-1]["enabled"] is True


class Session:
    """A video of 12 frames in which the object is on frames 0-3 and 6-11."""

    num_frames, size = 12, (100, 200)

    def __init__(self):
        self.boxes = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def box(self, frame, object_id, xyxy):
        self.boxes.append((frame, xyxy))

    def propagate(self, start, limit):
        for frame in range(start, min(start + limit, self.num_frames)):
            mask = np.zeros(self.size, bool)
            mask[20:40, 10 * frame : 10 * frame + 20] = frame not in (4, 5)
            yield SimpleNamespace(frame=frame, masks={1: mask})


@pytest.fixture
def ask_tracker(monkeypatch):
    """A function that asks a tracker of keyframes, and returns session and answered keyframes."""
    tracker = VideoTracker(None, limit=100)

    def ask_for(sequence, count=12):
        session = Session()
        monkeypatch.setattr(
            videos, "VideoSession", SimpleNamespace(open=lambda path, model: session)
        )
        value = {"framesCount": count, "duration": 3, "sequence": sequence}
        region = {"id": "r", "type": "videorectangle", "value": value}
        (answer,) = tracker.track("clip.mp4", [region])
        return session, answer["value"]["sequence"]

    return ask_for


KEYFRAME = {"frame": 1, "x": 1, "y": 20, "width": 8, "height": 20, "enabled": True}


def test_the_last_keyframe_before_an_object_hides_ends_its_life_there(ask_tracker):
    _, sequence = ask_tracker([KEYFRAME])

    assert [keyframe["frame"] for keyframe in sequence] == [1, 2, 3, 4, 7, 8, 9, 10, 11, 12]
    assert [k["frame"] for k in sequence if not k["enabled"]] == [4]
    second = sequence[1]
    assert [second[key] for key in ("x", "y", "width", "height")] == [5, 20, 10, 20]
    assert second["time"] == 0.25


def test_a_corrected_keyframe_joins_the_prompts_and_an_ended_life_stays_ended(ask_tracker):
    _, sequence = ask_tracker([KEYFRAME])
    changed = [{**k, "x": 50.0} if k["frame"] == 8 else k for k in sequence]

    corrected, sequence = ask_tracker(changed)
    ended = [{**k, "enabled": k["frame"] != 10} for k in sequence]
    _, sequence = ask_tracker(ended)

    assert corrected.boxes == [(0, (2, 20, 18, 40)), (7, (100, 20, 120, 40))]
    assert sequence[-1]["frame"] == 10
    assert not sequence[-1]["enabled"]


@pytest.mark.parametrize(("count", "frame"), [(12, 4), (13, 4), (24, 2), (6, 8)])
def test_frames_are_found_at_another_rate(ask_tracker, count, frame):
    session, _ = ask_tracker([{**KEYFRAME, "frame": 5}], count)

    assert session.boxes[0][0] == frame


def test_unusable_requests_are_answered_with_what_is_wrong(address):
    brush = {"type": "brush", "value": {}}
    turned = {**keypoint(10, 10), "image_rotation": 90}
    outside = request([keypoint(10, 10)], image="/data/local-files/?d=../../etc/passwd")
    cases = {
        "is no prompt": request([brush]),
        "Turn it back": request([turned]),
        "no file": outside,
        "--label-studio": request([keypoint(10, 10)], image="/data/upload/1/coffee.png"),
        "Let Label Studio sign": request([keypoint(10, 10)], image="s3://bucket/coffee.png"),
        "no BrushLabels": request([keypoint(10, 10)], '<View><Image name="i" value="$i"/></View>'),
        "not what Label Studio sends": {"params": {"context": {"result": [1]}}},
    }
    for message, content in cases.items():
        status, answer = ask(f"{address}/predict", content)
        assert (status, message in answer["error"]) == (400, True), answer
    assert ask(f"{address}/predict", {}, "text/plain")[0] == 400
    assert ask(f"{address}/webhook", {"action": "START_TRAINING"})[0] == 404


def test_the_access_token_goes_to_label_studio_only(monkeypatch):
    sent = []

    def refuse(request, timeout):
        sent.append((request.full_url, request.get_header("Authorization")))
        raise OSError("refused")

    monkeypatch.setattr("examples.label_studio_backend.task_files.urlopen", refuse)
    files = TaskFiles("http://studio:8080/", "key")
    for address in ("/data/upload/a.png", "http://studio:80801/a.png", "http://other/a.png"):
        with pytest.raises(PromptError, match="refused"):
            files.path(address)
    files.close()

    assert [key for _, key in sent] == ["Token key", None, None]
