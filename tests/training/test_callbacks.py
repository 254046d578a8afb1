import shutil

import pytest

from sam2_hf.errors import DataError
from tests.training.small_runs import settings, train, trainer_of, validated

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def damaged(world):
    """Settings of a validation on photos, the first of which is damaged."""
    shutil.copytree(world / "pairs", world / "damaged")
    (world / "damaged" / "p0.jpg").write_bytes(b"no picture")
    photos = {"kind": "pairs", "path": str(world / "damaged"), "name": "photos"}
    return {"sources": [photos], "every": 2}


def test_pictures_are_of_what_is_learned_from_where_nothing_is_validated_on(world):
    run = train(settings(world, steps=2, logging__picture_every=2))

    drawn = sorted(path.stem for path in (run / "pictures").iterdir())
    assert drawn == ["step-00000000", "step-00000002"]


def test_a_hook_is_called_also_where_nothing_is_validated_on(world):
    trainer, seen = trainer_of(settings(world, steps=2, validation={"every": 1})), []
    trainer.callbacks.hooks.append(lambda model, step: seen.append((step, model.training)))

    trainer.run()

    assert seen == [(0, False), (1, False), (2, False)]


def test_no_source_is_opened_for_pictures_that_are_not_drawn(world):
    validation = validated(world)

    plain = trainer_of(settings(world)).callbacks
    both = trainer_of(settings(world, validation=validation, logging__picture_every=1)).callbacks

    assert plain._examples == both._examples == []


def test_what_is_left_out_of_a_validation_is_told(world, damaged, capsys):
    train(settings(world, steps=2, validation=damaged))

    told = capsys.readouterr().out
    assert told.count("validation on photos skipped 1 photo(s) or clip(s), such as ") == 2
    assert "p0.jpg" in told


def test_damaged_data_of_a_validation_ends_the_run_on_request(world, damaged):
    with pytest.raises(DataError, match=r"validation on photos: .*p0.jpg"):
        train(settings(world, steps=2, validation=damaged, on_bad_data="raise"))
