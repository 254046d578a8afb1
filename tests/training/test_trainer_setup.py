import sys
from dataclasses import replace

import pytest
import torch

from sam2_hf.errors import MissingPackageError, TrainingError
from sam2_hf.training.trainer import (
    count_steps,
    make_accelerator,
    open_stream,
    require_equal_parts,
    threads_note,
)
from tests.training.small_runs import config_of, settings


@pytest.fixture
def config(world):
    return config_of(settings(world))


def test_a_run_has_the_steps_it_is_given(config):
    assert count_steps(config, open_stream(config, 64)) == 4


def test_an_epoch_takes_as_many_steps_as_all_items_fill(config):
    two = replace(config, steps=None, epochs=2.5)

    # 4 photos and 2 videos in batches of 2 are 3 steps an epoch
    assert count_steps(two, open_stream(two, 64)) == 8


def test_a_source_that_is_never_drawn_does_not_lengthen_an_epoch(config):
    photos, videos = config.data
    one = replace(config, steps=None, epochs=1, data=(photos, replace(videos, weight=0)))

    assert count_steps(one, open_stream(one, 64)) == 2


def test_a_source_that_joins_later_knows_the_length_of_a_run_by_epochs(config):
    photos, videos = config.data
    late = replace(config, steps=None, epochs=4, data=(photos, replace(videos, starts_at=0.5)))

    assert open_stream(late, 64).mix.num_steps == 12


def test_a_batch_that_does_not_split_evenly_is_refused(config):
    require_equal_parts(config, processes=2)

    with pytest.raises(TrainingError, match=r"batch_size 2 .* 4 equal parts: 2 process"):
        require_equal_parts(replace(config, gradient_accumulation=2), processes=2)


def test_fp16_is_refused_on_the_cpu(config, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")

    with pytest.raises(TrainingError, match="precision fp16"):
        make_accelerator(replace(config, precision="fp16"))


def test_a_missing_accelerate_is_named_with_the_way_out(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)

    with pytest.raises(MissingPackageError, match=r"sam2-hf\[train\]"):
        make_accelerator(config)


def test_another_number_of_threads_is_noted():
    now = torch.get_num_threads()

    assert threads_note(now) == threads_note(0) == ""
    assert f"{now + 1} thread(s) and continues with {now}" in threads_note(now + 1)
