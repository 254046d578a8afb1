"""Find by name: what a detector finds becomes named objects; without one it is not offered."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from sam2_hf import PromptError, SessionError
from sam2_space.limits import LimitError, Limits
from sam2_space.photo_work import PhotoWork
from sam2_space.program import build_parser
from sam2_space.video_work import VideoWork
from sam2_space.widgets.find_by_name import find_in_photo, find_in_video
from tests.fakes import fake_session_on
from tests.spaces.conftest import ROOT
from tests.spaces.test_photo_work import SIZE, model
from tests.stand_in_detector import KnownBoxes

LEFT, RIGHT, TOP = (5, 20, 25, 40), (30, 20, 50, 40), (20, 0, 40, 20)
KNOWN = {"dog": [LEFT, RIGHT], "cat": [TOP]}
LIMITS = Limits(objects=2)
# Builds the page with a detector and without; in a process of its own, as Gradio keeps loops open.
BOTH_PAGES = """
import json, sys
from pathlib import Path
from sam2_space.file_places import FilePlaces
from sam2_space.limits import Limits
from sam2_space.page import build_page
from sam2_space.service import Service
from sam2_space.visitors import Visitors
from tests.spaces.test_photo_work import model
from tests.stand_in_detector import KnownBoxes

places, found = FilePlaces(Path(sys.argv[1])), []
for detector in (KnownBoxes({}), None):
    service = Service(model(detector=detector), Limits(), places, Visitors(places, Limits()))
    blocks = build_page(service, []).blocks.values()
    found.append([block.elem_id for block in blocks if getattr(block, "elem_id", None)])
print(json.dumps(found))
"""


@pytest.fixture
def knowing():
    return model(detector=KnownBoxes(KNOWN))


@pytest.fixture
def photo_work(knowing):
    return PhotoWork("pets", np.full((*SIZE, 3), 90, np.uint8), knowing, LIMITS)


@pytest.fixture
def video_work(knowing):
    return VideoWork("pets", fake_session_on(4), knowing, LIMITS)


def test_what_is_found_in_a_photo_becomes_named_objects_up_to_the_limit(photo_work, knowing):
    find_in_photo(photo_work, knowing, LIMITS, " dog , cat,")

    objects = photo_work.scene.answered
    assert [(found.name, found.box) for found in objects] == [("dog", LEFT), ("cat", TOP)]
    with pytest.raises(LimitError):
        find_in_photo(photo_work, knowing, LIMITS, "cat")


def test_what_is_found_on_a_frame_becomes_named_objects_up_to_the_limit(video_work, knowing):
    find_in_video(video_work, knowing, LIMITS, 2, "dog")

    assert video_work.names == {1: "dog", 2: "dog"}
    found = [(prompt.frame, prompt.number, prompt.box) for prompt in video_work.scene.prompts]
    assert found == [(2, 1, LEFT), (2, 2, RIGHT)]
    assert video_work.session.object_ids == (1, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "Find by name is empty"), (" , ", "is empty"), ("dog,dog", "twice"), ("bird", "'bird'")],
)
def test_names_that_find_nothing_say_so(photo_work, video_work, knowing, text, message):
    with pytest.raises(PromptError, match=message):
        find_in_photo(photo_work, knowing, LIMITS, text)
    with pytest.raises(PromptError, match=message):
        find_in_video(video_work, knowing, LIMITS, 0, text)


def test_nothing_is_added_while_a_video_is_tracked(video_work, knowing):
    video_work.is_tracking = True

    with pytest.raises(SessionError):
        find_in_video(video_work, knowing, LIMITS, 0, "dog")


def test_the_page_offers_it_only_with_a_detector(tmp_path):
    code = [sys.executable, "-c", BOTH_PAGES, str(tmp_path)]
    path = os.pathsep.join([str(ROOT), str(ROOT / "spaces")])
    done = subprocess.run(
        code, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )

    with_one, without = map(set, json.loads(done.stdout.splitlines()[-1]))
    assert with_one - without == {"photo-names", "photo-find", "video-names", "video-find"}
    assert not without - with_one


def test_the_detector_is_an_argument_or_in_the_environment(monkeypatch):
    assert build_parser().parse_args([]).detector is None

    monkeypatch.setenv("DETECTOR", "google/owlv2-base-patch16-ensemble")

    assert build_parser().parse_args([]).detector == "google/owlv2-base-patch16-ensemble"
    assert build_parser().parse_args(["--detector", "other"]).detector == "other"
