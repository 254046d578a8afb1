"""A run whose data are no longer those it was begun with."""

import pytest

from sam2_hf.errors import TrainingError
from tests.training.small_runs import settings, train, trainer_of, write_world

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_run_whose_data_have_changed_is_not_resumed_unless_asked(tmp_path):
    world = write_world(tmp_path)
    train(settings(world, steps=2))
    next((world / "pairs").glob("*.jpg")).unlink()

    with pytest.raises(TrainingError, match="with other settings or data") as caught:
        trainer_of(settings(world, steps=2), resume=True)

    assert "4 items" in str(caught.value)
    assert "3 items" in str(caught.value)
    assert trainer_of(settings(world, steps=2), resume=True, allow_changes=True).state.step == 2
