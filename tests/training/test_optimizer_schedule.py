import pytest

from sam2_hf.training.config import OptimizerConfig
from sam2_hf.training.optimizer import rate_factor


def test_the_rate_rises_in_equal_steps_and_the_first_one_learns():
    config = OptimizerConfig(warmup_steps=4)

    assert [rate_factor(config, step, 100) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_half_a_cosine_leads_from_the_whole_rate_to_its_final_share():
    config = OptimizerConfig(warmup_steps=10, final_share=0.1)

    assert rate_factor(config, 10, 110) == 1.0
    assert rate_factor(config, 60, 110) == pytest.approx(0.55)
    assert rate_factor(config, 110, 110) == pytest.approx(0.1)


def test_a_quarter_of_the_way_is_that_of_the_cosine():
    # 0.1 + 0.9 * (1 + cos(45 degrees)) / 2
    assert rate_factor(OptimizerConfig(), 25, 100) == pytest.approx(0.868198, abs=1e-6)


def test_a_constant_rate_stays():
    config = OptimizerConfig(warmup_steps=2, schedule="constant")

    assert [rate_factor(config, step, 10) for step in (0, 1, 2, 9)] == [0.5, 1.0, 1.0, 1.0]


def test_a_warm_up_longer_than_the_run_never_reaches_the_whole_rate():
    config = OptimizerConfig(warmup_steps=20)

    assert rate_factor(config, 9, 10) == 0.5


def test_what_begins_later_stays_until_then_and_joins_the_cosine_after_a_warm_up_of_its_own():
    config = OptimizerConfig(warmup_steps=2)

    factors = [rate_factor(config, step, 20, begins=5) for step in range(9)]

    assert factors[:7] == [0, 0, 0, 0, 0, 0.5, 1.0]
    assert factors[7:] == [rate_factor(config, step, 20) for step in (7, 8)]
