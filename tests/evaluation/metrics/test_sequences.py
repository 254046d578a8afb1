"""Scores of sequences: both policies against their slow definitions, where they differ and not.

Names of the cases are those of the table in which the official evaluators differ.
"""

import numpy as np
import pytest

from evaluation.metrics import ScoringRules, SequenceScorer, score_sequence
from sam2_hf.errors import DataError
from tests.slow_scores import slow_davis, slow_vos

EXACT = 1e-10  # of 100: sums of up to 300 quotients in another order
SIZE = (24, 36)


def drawn(num_frames=6, numbers=(1, 2), seed=0, size=SIZE):
    """Boxes that wander, the later numbers on top."""
    generator = np.random.default_rng(seed)
    labels_thw = np.zeros((num_frames, *size), np.int32)
    for number in numbers:
        top, left = generator.integers(0, size[0] - 8), generator.integers(0, size[1] - 12)
        for labels_hw in labels_thw:
            top = int(np.clip(top + generator.integers(-2, 3), 0, size[0] - 8))
            left = int(np.clip(left + generator.integers(-2, 3), 0, size[1] - 12))
            labels_hw[top : top + 8, left : left + 12] = number
    return labels_thw


def disappearing():
    truth_thw = drawn()
    truth_thw[3:][truth_thw[3:] == 1] = 0
    return truth_thw


def late():
    truth_thw = drawn()
    truth_thw[:3][truth_thw[:3] == 2] = 0
    return truth_thw


def hidden_right_after_the_first_frame():
    truth_thw = drawn()
    truth_thw[1:4][truth_thw[1:4] == 1] = 0
    return truth_thw


def only_on_the_first_frame():
    truth_thw = drawn()
    truth_thw[1:][truth_thw[1:] == 1] = 0
    return truth_thw


def with_void():
    truth_thw = drawn()
    truth_thw[:, 4:9, 5:20] = 255
    return truth_thw


def tiny():
    truth_thw = drawn()
    truth_thw[:, 10, 12] = 3
    return truth_thw


def full_frame():
    truth_thw = drawn(numbers=(1,))
    truth_thw[2:4] = 1
    return truth_thw


CASES = {
    "plain": drawn,
    "gaps in numbers": lambda: drawn(numbers=(1, 3)),
    "disappearing": disappearing,
    "late": late,
    "hidden right after the first frame": hidden_right_after_the_first_frame,
    "only on the first frame": only_on_the_first_frame,
    "void": with_void,
    "tiny": tiny,
    "full frame": full_frame,
    "empty": lambda: np.zeros((4, *SIZE), np.int32),
    "300 frames": lambda: drawn(300),
}


def predictions(truth_thw):
    """Predictions of every kind, with no number that the first true frame does not have."""
    known = np.where(truth_thw == 255, 0, truth_thw)
    known[known > known[0].max(initial=0)] = 0
    yield "the truth", known
    yield "nothing", np.zeros_like(known)
    yield "a frame late", np.concatenate([known[:1], known[:-1]])
    yield "shifted", np.roll(known, (2, 3), axis=(1, 2))
    yield "swapped", np.where(known == 1, 2 * (known[0].max() > 1), np.where(known == 2, 1, known))


def case_pairs():
    for name, make in CASES.items():
        truth_thw = make()
        for kind, predicted_thw in predictions(truth_thw):
            if len(truth_thw) < 100 or kind == "shifted":
                yield pytest.param(truth_thw, predicted_thw, id=f"{name}: {kind}")


def same(found, expected):
    assert found.keys() == expected.keys()
    for number, score in expected.items():
        assert found[number] == pytest.approx(score, abs=EXACT)


@pytest.mark.parametrize(("truth_thw", "predicted_thw"), list(case_pairs()))
def test_both_policies_equal_their_slow_definitions(truth_thw, predicted_thw):
    same(
        score_sequence(truth_thw, predicted_thw, policy="davis"),
        slow_davis(truth_thw, predicted_thw),
    )
    same(score_sequence(truth_thw, predicted_thw, policy="vos"), slow_vos(truth_thw, predicted_thw))


def test_davis_counts_the_numbers_between_that_no_object_has():
    truth_thw = drawn(numbers=(1, 3))

    assert score_sequence(truth_thw, truth_thw)[2] == (100, 100)
    assert 2 not in score_sequence(truth_thw, truth_thw, policy="vos")


def test_void_is_an_object_for_vos_and_background_for_davis():
    truth_thw = with_void()
    predicted_thw = np.where(truth_thw == 255, 0, truth_thw)

    assert score_sequence(truth_thw, predicted_thw, policy="vos")[255] == (0, 0)
    assert set(score_sequence(truth_thw, predicted_thw)) == {1, 2}


def test_pixels_of_a_void_label_count_in_neither_mask():
    truth_thw = with_void()
    predicted_thw = np.where(truth_thw == 255, 2, truth_thw)
    plain = ScoringRules("davis")
    void = ScoringRules("davis", void_label=255)

    assert score_sequence(truth_thw, predicted_thw, rules=plain)[2][0] < 90
    assert score_sequence(truth_thw, predicted_thw, rules=void)[2] == (100, 100)


def test_an_object_that_davis_does_not_know_is_refused_by_name_and_frame():
    truth_thw = late()

    with pytest.raises(DataError, match=r"frame 3.*object 2.*none above 1.*vos"):
        score_sequence(truth_thw, truth_thw)


def test_an_object_that_vos_does_not_know_does_not_matter():
    truth_thw = drawn()
    predicted_thw = truth_thw.copy()
    predicted_thw[:, :2, :2] = 9

    assert set(score_sequence(truth_thw, predicted_thw, policy="vos")) == {1, 2}


def test_an_object_that_only_the_given_frame_shows_is_left_out_by_vos():
    truth_thw = only_on_the_first_frame()

    assert set(score_sequence(truth_thw, truth_thw, policy="vos")) == {2}
    assert score_sequence(truth_thw, truth_thw)[1] == (100, 100)


def test_all_frames_count_where_rules_say_so():
    truth_thw = drawn(3, numbers=(1,))
    predicted_thw = truth_thw.copy()
    predicted_thw[[0, 2]] = 0

    rules = ScoringRules("davis", skip_first_and_last=False)

    assert score_sequence(truth_thw, predicted_thw)[1] == (100, 100)
    assert score_sequence(truth_thw, predicted_thw, rules=rules)[1] == pytest.approx(
        (100 / 3, 100 / 3)
    )


def test_two_frames_are_refused():
    with pytest.raises(DataError, match="2 frame"):
        score_sequence(drawn(2), drawn(2))


def test_missing_frames_are_refused():
    with pytest.raises(DataError, match=r"\(6, 24, 36\).*\(5, 24, 36\)"):
        score_sequence(drawn(6), drawn(5))


def test_a_frame_of_another_size_is_refused_by_name():
    scorer = SequenceScorer(drawn()[0], ScoringRules())

    with pytest.raises(DataError, match=r"00007\.png.*\(12, 18\).*\(24, 36\)"):
        scorer.feed(drawn()[1], drawn(size=(12, 18))[1], "00007.png")


def test_a_policy_that_does_not_exist_is_refused():
    with pytest.raises(DataError, match="mose"):
        score_sequence(drawn(), drawn(), policy="mose")
