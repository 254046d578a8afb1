"""The command that checks the released models, against a Hub on this machine."""

import io

import pytest
from PIL import Image

from convert_checkpoints import check_released
from convert_checkpoints.command_line import run
from convert_checkpoints.known_values import (
    CLICK,
    KNOWN_VALUES,
    PHOTO_FILE,
    PHOTO_REPO,
    KnownValues,
)
from sam2_hf.model.checkpoints.released_models import RELEASED
from tests.hub.conftest import hub as hub

TINY = "sam2.1_hiera_tiny"


@pytest.fixture
def photo():
    """A picture that the click lies in, as a PNG file's content."""
    content = io.BytesIO()
    Image.linear_gradient("L").resize((CLICK[0] + 100, CLICK[1] + 100)).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def released(hub, photo, small_folder):
    """A Hub that has the photo, and another model under the name of a released one."""
    hub.add(PHOTO_REPO, {PHOTO_FILE: photo})
    files = {path.name: path.read_bytes() for path in small_folder.iterdir()}
    hub.add(RELEASED[TINY].hub_id, files)
    return hub


def test_every_released_model_has_known_values():
    assert {known.name for known in KNOWN_VALUES} == {*RELEASED}


def test_a_model_that_predicts_something_else_is_exit_code_1(released, capsys):
    assert run(check_released.main, [TINY]) == 1

    told = capsys.readouterr().out
    assert f"{TINY}        DIFFERENT" in told
    assert "known 0.0316 0.9647 0.1029" in told
    assert "0 of 1 models predict what they should" in told


def test_a_model_that_predicts_the_known_values_is_exit_code_0(
    released, monkeypatch, tmp_path, photo, small_folder, capsys
):
    (tmp_path / "photo.png").write_bytes(photo)
    ious = check_released.predicted_ious(str(small_folder), tmp_path / "photo.png")
    monkeypatch.setattr(check_released, "KNOWN_VALUES", (KnownValues(TINY, tuple(ious)),))

    assert run(check_released.main, []) == 0
    assert "1 of 1 models predict what they should" in capsys.readouterr().out


def test_without_network_it_says_so_plainly(hub, capsys):
    hub.vanish()

    assert run(check_released.main, []) == 2
    told = capsys.readouterr().out
    assert told.startswith(f"The Hub ({hub.url}) cannot be reached, so nothing was checked: ")
    assert told.count("\n") == 1


def test_an_unknown_model_is_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        run(check_released.main, ["sam3"])

    assert caught.value.code == 2
    assert "no released model is called sam3" in capsys.readouterr().err
