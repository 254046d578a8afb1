"""What was said about a photo: each step answered, undone, and asked of the model once."""

import numpy as np
import pytest
from PIL import Image

from sam2_hf import ImageError, PromptError, Sam2Config
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL
from sam2_hf.pipelines.everything_options import EverythingOptions
from sam2_hf.pipelines.image_prompts import SegmentationResult
from sam2_space.drawing import BACKGROUNDS, draw_candidates, draw_view, write_cutout, write_files
from sam2_space.limits import LimitError, Limits
from sam2_space.photo_work import WORK_SIDE, PhotoWork
from sam2_space.space_model import EverythingDefaults, PhotoModel, SpaceModel, on_gpu, shown_name

SIZE = (60, 80)
CELLS = 16


def answer(encoded, prompt, several):
    """Three masks, or one: everything left of the newest click."""
    count = 3 if several else 1
    logits = np.full((count, CELLS, CELLS), -5.0, np.float32)
    x = prompt.clicks[-1].xy[0] if prompt.clicks else prompt.box[2]
    logits[:, :, : max(1, round(x / SIZE[1] * CELLS))] = 5.0
    scores = np.linspace(0.5, 0.7, count, dtype=np.float32)
    return SegmentationResult(np.zeros((count, *SIZE), bool), scores, logits, 3.0)


def model(**changes):
    photos = PhotoModel(lambda picture: "encoded", answer, changes.pop("find_all", None))
    return SpaceModel("fake", photos, None, EverythingDefaults(), **changes)


@pytest.fixture
def work():
    return PhotoWork("cup", np.full((*SIZE, 3), 90, np.uint8), model(), Limits(objects=2))


def test_undo_goes_back_through_every_kind_of_step(work):
    scenes = [work.scene]
    for step in (
        lambda: work.click((40, 30), positive=True),
        lambda: work.choose(1),
        lambda: work.click((70, 30), positive=False),
        lambda: work.new_object(),
        lambda: work.corner((10, 10)),
        lambda: work.corner((50, 50)),
        lambda: work.clear(),
    ):
        step()
        scenes.append(work.scene)

    for earlier in reversed(scenes[:-1]):
        assert work.undo()
        assert work.scene is earlier
    assert not work.undo()


def test_a_click_offers_three_readings_and_more_clicks_a_fourth(work):
    work.click((40, 30), positive=True)
    assert len(work.scene.current.answer.scores) == 3
    assert work.scene.current.answer.chosen == 2  # the best one

    work.click((70, 30), positive=True)

    assert len(work.scene.current.answer.scores) == 4
    assert len(draw_candidates(work)) == 4


def test_a_later_click_improves_the_reading_that_was_chosen():
    asked = []
    photos = PhotoModel(
        lambda picture: "encoded", lambda *given: asked.append(given[1]) or answer(*given), None
    )
    fake = SpaceModel("fake", photos, None, EverythingDefaults())
    work = PhotoWork("cup", np.zeros((*SIZE, 3), np.uint8), fake, Limits())
    work.click((40, 30), positive=True)
    work.choose(0)

    work.click((70, 30), positive=True)

    chosen = work._earlier[-1].current.answer.logits_khw[0]
    assert np.array_equal(asked[-1].mask_logits.numpy().reshape(CELLS, CELLS), chosen)


def test_a_box_may_be_given_by_any_two_corners(work):
    work.corner((50, 10))
    work.corner((10, 50))
    assert work.scene.current.box == (10, 10, 50, 50)

    work.corner((20, 20))
    with pytest.raises(PromptError, match="do not make a box"):
        work.corner((20, 40))
    with pytest.raises(PromptError, match="outside"):
        work.box((500, 10, 600, 50))


def test_a_model_without_boxes_is_asked_for_the_middle():
    asked = []
    photos = PhotoModel(
        lambda picture: "encoded", lambda *given: asked.append(given[1]) or answer(*given), None
    )
    fake = SpaceModel("fake", photos, None, EverythingDefaults(), knows_boxes=False)
    work = PhotoWork("cup", np.zeros((*SIZE, 3), np.uint8), fake, Limits())

    work.box((10, 10, 50, 40))

    assert asked[-1].box is None
    assert asked[-1].clicks[0].xy == (30, 25)
    assert work.scene.current.box == (10, 10, 50, 40)  # still drawn and written


def test_the_first_click_must_be_on_the_object(work):
    with pytest.raises(PromptError, match="Click on the object first"):
        work.click((40, 30), positive=False)


def test_there_are_only_so_many_objects_and_an_unused_one_is_taken_first(work):
    work.new_object()
    assert len(work.scene.objects) == 1
    work.click((40, 30), positive=True)
    work.new_object()
    work.click((20, 30), positive=True)

    with pytest.raises(LimitError, match="already 2 objects"):
        work.new_object()


def test_everything_lets_others_in_between_and_can_be_stopped():
    def find_all(picture, options, on_progress):
        for done in range(1, 4):
            on_progress(done, 3)

    fake = model(find_all=find_all)
    work = PhotoWork("cup", np.zeros((*SIZE, 3), np.uint8), fake, Limits())
    passed = []
    work.find_all({}, lambda done, total: passed.append((done, total)))
    assert passed == [(1, 3), (2, 3), (3, 3)]

    with pytest.raises(LimitError, match="Stopped"):
        work.find_all({}, lambda done, total: work.stop())
    with fake.lock.taken():  # its turn is over
        pass


def test_a_large_photo_is_shrunk_and_keeps_its_shape():
    work = PhotoWork("big", np.zeros((1000, 4000, 3), np.uint8), model(), Limits())

    assert work.size == (512, WORK_SIDE)
    assert work.original_size == (1000, 4000)
    assert draw_view(work).shape == (320, 1280, 3)


def test_a_name_goes_to_its_object_though_another_one_is_active_by_then(work):
    """The browser sends a name when its field is left, as by pressing New object."""
    work.click((40, 30), positive=True)
    work.new_object()

    work.rename("cup", 1)

    assert list(work.scene.labels()) == [("1 · cup", 1), ("2 · object", 2)]


def test_there_are_no_files_without_a_mask(work, tmp_path):
    with pytest.raises(LimitError, match="no mask yet"):
        write_files(work, tmp_path, "fake")


def test_zero_gpu_wraps_what_takes_and_returns_values(monkeypatch):
    def verb(number):
        return number + 1

    assert on_gpu(verb) is verb
    monkeypatch.setattr("sam2_space.space_model.GPU", lambda wrapped: lambda x: ("gpu", wrapped(x)))

    assert on_gpu(verb)(1) == ("gpu", 2)


def test_the_bundled_model_begins_with_sliders_it_can_meet():
    bundled = EverythingOptions.of_model(Sam2Config.from_pretrained(SMALL_MODEL))

    assert EverythingDefaults.of_model(bundled, has_gpu=False) == EverythingDefaults(16, 0.45, 0.1)
    assert EverythingDefaults.of_model(EverythingOptions(), has_gpu=True) == EverythingDefaults(
        32, 0.8, 0.95
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("facebook/sam2.1-hiera-tiny", "facebook/sam2.1-hiera-tiny"),
        ("/home/me/models/mine", "mine"),
        ("./mine.pt", "mine.pt"),
        ("sam2-hiera-micro", "sam2-hiera-micro"),
    ],
)
def test_a_model_is_named_without_folders(source, expected):
    assert shown_name(source) == expected


def test_a_photo_in_a_rare_format_is_refused_before_its_parser_runs(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "cup.tga")

    with pytest.raises(ImageError, match="not a picture"):
        PhotoWork.read(tmp_path / "cup.tga", "cup", model(), Limits())


def test_a_photo_that_was_shrunk_when_read_knows_its_own_size(tmp_path):
    Image.new("RGB", (4000, 1000)).save(tmp_path / "big.png")

    work = PhotoWork.read(tmp_path / "big.png", "big", model(), Limits())

    assert (work.size, work.original_size) == ((512, WORK_SIDE), (1000, 4000))


def test_a_transparent_cutout_keeps_nothing_of_the_background(work, tmp_path):
    work.click((40, 30), positive=True)

    path = write_cutout(work, tmp_path, BACKGROUNDS[0], "#000000")

    with Image.open(path) as picture:
        cut_hw4 = np.asarray(picture)
    hidden_hw = cut_hw4[..., 3] == 0
    assert hidden_hw[:, 50:].all()
    assert (cut_hw4[hidden_hw] == 0).all()
    assert (cut_hw4[~hidden_hw][:, :3] == 90).all()
