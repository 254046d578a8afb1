"""The table of formats."""

import subprocess
import sys

import pytest

from sam2_hf.errors import PromptError
from sam2_hf.results.formats import (
    PHOTO_FORMATS,
    VIDEO_DEFAULTS,
    VIDEO_FORMATS,
    check_ids,
    help_text,
    read_formats,
)
from sam2_hf.results.photo_files import WRITERS
from sam2_hf.writers.track_files import FRAME_WRITERS, TABLE_WRITERS


def test_every_format_has_a_writer_and_every_writer_a_format():
    assert set(WRITERS) == set(PHOTO_FORMATS)
    assert {*FRAME_WRITERS, *TABLE_WRITERS} == set(VIDEO_FORMATS)
    assert not set(FRAME_WRITERS) & set(TABLE_WRITERS)


def test_names_are_read_in_any_order_earlier_names_too():
    assert read_formats(["coco", "overlay"], PHOTO_FORMATS) == ("overlay", "coco")
    assert read_formats(["csv", "mp4", "png", "json"], VIDEO_FORMATS) == VIDEO_DEFAULTS


@pytest.mark.parametrize("names", [["gif"], []])
def test_an_unknown_name_or_none_lists_all(names):
    with pytest.raises(PromptError) as caught:
        read_formats(names, PHOTO_FORMATS)

    assert ", ".join(PHOTO_FORMATS) in str(caught.value)


def test_help_names_every_format():
    lines = help_text(PHOTO_FORMATS, "cup").splitlines()

    assert [line.split()[0] for line in lines[::2]] == list(PHOTO_FORMATS)
    assert "  coco           cup.json" in lines
    assert "  yolo           yolo/" in lines


@pytest.mark.parametrize("object_id", [0, 256, 2**40])
def test_what_cannot_hold_an_id_says_what_can(object_id):
    with pytest.raises(PromptError, match=f"davis cannot hold object {object_id}") as caught:
        check_ids([1, object_id], VIDEO_FORMATS)

    fitting = str(caught.value).rpartition(": ")[2].rstrip(".").split(", ")
    assert fitting == [name for name in VIDEO_FORMATS if name != "davis"]
    check_ids([1, object_id], fitting)


def test_only_mot_has_no_place_for_ids_below_zero_besides():
    check_ids([-5], set(VIDEO_FORMATS) - {"davis", "mot"})
    with pytest.raises(PromptError, match="mot cannot hold object -5; its ids are 0 or more"):
        check_ids([-5], ["mot"])


def test_the_table_is_read_without_torch():
    code = "import sys, sam2_hf.results.formats; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
