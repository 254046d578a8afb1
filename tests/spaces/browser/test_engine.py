"""The model's part of the page against the runner of numpy that is exported with it.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import base64

import numpy as np
import pytest
from PIL import Image

from sam2_hf.export.numpy_runner import NumpySegmenter, NumpyTracker, resize_floats
from tests.spaces.browser.visiting import iou, png

pytestmark = pytest.mark.slow  # each file starts a browser with the model

CLICK, BESIDE = (290, 225), (480, 70)
NUM_FRAMES = 6
HELPERS = """
const { Engine } = await import('/view/engine.js');
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const bitmapOf = (text) => createImageBitmap(new Blob([bytesOf(text)]));
const pack = (mask) => btoa(Array.from(mask, (v) => String.fromCharCode(v)).join(''));
const imageDataOf = async (text) => {
  const bitmap = await bitmapOf(text);
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
};
"""
PHOTO = """
const engine = new Engine(() => {});
const started = await engine.call('start', { wanted: 'wasm' });
const found = [];
await engine.call('openPhoto', await bitmapOf(given.photo));
for (const prompt of given.prompts) {
  const { masks, iou } = await engine.call('promptPhoto', prompt);
  found.push({ masks: masks.map(pack), iou });
}
const states = [];
const keep = ({ masks }) =>
  states.push(Object.fromEntries([...masks].map(([id, mask]) => [id, pack(mask)])));
await engine.call('openClip');
for (const [frame, text] of given.frames.entries()) {
  let state = await engine.call('nextFrame', await bitmapOf(text));
  for (const [id, xy, positive] of given.clicks[frame] ?? []) {
    state = await engine.call('clickFrame', id, xy, positive);
  }
  keep(state);
}
keep(await engine.call('undoFrame'));
keep(await engine.call('removeObject', 2));
const failed = await engine.call('nextFrame', 7).catch((error) => error.message);
return { found, states, failed, started };
"""
RESIZED = """
const { resizeBytes, resizeFloats } = await import('/engine/pixels.js');
const picture = await imageDataOf(given.picture);
const { data } = picture;
const red = Float32Array.from({ length: data.length / 4 }, (_, k) => data[4 * k]);
return {
  bytes: Array.from(resizeBytes(picture, given.side)),
  floats: Array.from(resizeFloats(red, picture, given.side)),
};
"""
CHOSEN = """
const bank = await import('/engine/memory_bank.js');
const state = new bank.ObjectState();
for (const kind of ['prompted', 'tracked']) {
  for (const frame of given[kind]) {
    const name = `${kind[0]}${frame}`;
    state[kind].set(frame, { spatial: name, pointer: name });
  }
}
return [
  bank.spatialMemories(state, given.frame, 1, given.config),
  bank.objectPointers(state, given.frame, 1, given.config),
];
"""


@pytest.fixture(scope="module")
def run_script(browser, address):
    """Run a script beside the page's modules."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}model/model.json")  # of the same origin, and starts nothing

    def run(script, **given):
        return page.evaluate(f"async (given) => {{ {HELPERS} {script} }}", given)

    yield run
    context.close()


def encoded(picture):
    return base64.b64encode(png(picture)).decode()


def mask_of(text, size):
    values = np.frombuffer(base64.b64decode(text), np.uint8)
    return values.reshape(size[::-1]).astype(bool)


def clip_of(photo):
    """Small frames: a photo that moves below a window."""
    windows = [(6 * k, 4 * k, 6 * k + 400, 4 * k + 300) for k in range(NUM_FRAMES)]
    return [photo.crop(window).resize((200, 150)) for window in windows]


@pytest.fixture(scope="module")
def photo(built):
    with Image.open(built / "samples" / "coffee.jpg") as picture:
        return picture.convert("RGB")


@pytest.fixture(scope="module")
def clicks():
    return {"0": [[1, [145, 112], True]], "1": [[2, [30, 130], True]], "3": [[1, [60, 20], False]]}


@pytest.fixture(scope="module")
def answers(run_script, photo, clicks):
    """What the page's engine finds in a photo and a clip."""
    prompts = [
        {"clicks": [[*CLICK, 1]], "multimask": True},
        {"clicks": [[*CLICK, 1], [*BESIDE, 0]], "multimask": False},
        {"clicks": [], "box": [100, 100, 400, 350], "multimask": False},
    ]
    frames = [encoded(frame) for frame in clip_of(photo)]
    return run_script(PHOTO, photo=encoded(photo), prompts=prompts, frames=frames, clicks=clicks)


def test_a_photo_has_the_masks_of_the_numpy_runner(answers, photo, built):
    encoded_photo = NumpySegmenter(built / "model", threads=1).encode(photo)
    expected = [
        encoded_photo.masks([CLICK]),
        encoded_photo.masks([CLICK, BESIDE], [1, 0], multimask=False),
        encoded_photo.masks(box=(100, 100, 400, 350), multimask=False),
    ]

    for found, (masks_mhw, iou_m) in zip(answers["found"], expected, strict=True):
        assert np.allclose(found["iou"], iou_m, atol=1e-3)
        for text, mask_hw in zip(found["masks"], masks_mhw, strict=True):
            assert iou(mask_of(text, photo.size), mask_hw) >= 0.999


def test_a_clip_has_the_masks_of_the_numpy_runner(answers, photo, built, clicks):
    frames = clip_of(photo)
    tracker = NumpyTracker(built / "model", frames, threads=1)

    for frame in range(NUM_FRAMES):
        list(tracker.propagate(frame, 1) if frame else ())
        for object_id, xy, positive in clicks.get(str(frame), ()):
            tracker.click(frame, object_id, xy, positive=positive)
        found, expected = answers["states"][frame], tracker.masks(frame)

        assert {int(object_id) for object_id in found} == set(expected)
        for object_id, mask_hw in expected.items():
            assert iou(mask_of(found[str(object_id)], frames[0].size), mask_hw) >= 0.995


def test_undo_without_a_change_does_nothing_and_a_removed_object_is_gone(answers):
    last, undone, removed = answers["states"][NUM_FRAMES - 1 :]

    assert undone == last
    assert set(removed) == {"1"}


def test_the_engine_says_what_it_runs_on_and_fails_in_a_sentence(answers):
    assert answers["started"]["runtime"]["name"] == "wasm"
    assert answers["started"]["model"]["name"] == "sam2-hiera-micro"
    assert answers["failed"].startswith("The model stopped:")


@pytest.mark.parametrize(("size", "side"), [((53, 37), 16), ((40, 90), 64), ((16, 16), 16)])
def test_pictures_are_resized_as_pillow_does(run_script, size, side):
    pixels_hw3 = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    picture = Image.fromarray(pixels_hw3)

    found = run_script(RESIZED, picture=encoded(picture), side=side)

    bytes_hw3 = np.array(found["bytes"]).reshape(side, side, 4)[..., :3]
    assert np.array_equal(bytes_hw3, np.asarray(picture.resize((side, side))))
    floats_hw = np.array(found["floats"], np.float32).reshape(side, side)
    expected_hw = resize_floats(pixels_hw3[..., 0].astype(np.float32), side)
    assert np.allclose(floats_hw, expected_hw, atol=1e-4)


def test_a_frame_looks_at_prompted_memories_then_at_the_last_ones(run_script):
    config = {"num_maskmem": 4, "max_object_pointers_in_encoder": 4, "max_cond_frame_num": 2}

    spatial, pointers = run_script(
        CHOSEN, prompted=[9, 0, 5], tracked=[4, 6, 7, 8], frame=10, config=config
    )

    # the nearest prompted frames before the frame; 9 is one of them, so it is not a recent one too
    assert spatial == {"spatial": ["p9", "p5", "t7", "t8"], "ages": [4, 4, 3, 2]}
    assert pointers["pointers"] == ["p9", "p5", "t8", "t7"]
    assert np.allclose(np.array(pointers["times"]) * 3, [1, 5, 2, 3])
