"""The paper's phases and its model of a person's time."""

from sam2_hf.engine.phases import PHASES, review_seconds


def test_watching_finding_and_clicking_take_the_papers_seconds():
    assert review_seconds(300, {}) == 30
    assert review_seconds(600, {4: 2, 9: 1}) == 60 + (1 + 3) + (1 + 1.5)


def test_each_phase_is_faster_than_the_one_before():
    assert [phase.seconds_per_frame for phase in PHASES.values()] == [37.8, 7.4, 4.5]
    assert [(phase.propagates, phase.refines) for phase in PHASES.values()] == [
        (False, False),
        (True, False),
        (True, True),
    ]
