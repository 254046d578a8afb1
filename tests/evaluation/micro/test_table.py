"""Tables of scores."""

from evaluation.comparison.measurements import (
    ALL_CLIPS,
    ClipScore,
    ClipScores,
    PhotoScore,
    PhotoScores,
)
from evaluation.comparison.score_file import ScorePart, Scores
from evaluation.measured_model import MeasuredModel
from evaluation.micro.table import as_markdown, clip_table, sets_of, settings_list, summary_table

FLOODS = (PhotoScore("flood fill", "tolerance 8", 0.31), PhotoScore("flood fill", "20", 0.35))
PHOTO_BASELINES = PhotoScores(1, 4428, (PhotoScore("box", "half", 0.2), *FLOODS))
PHOTO_MODEL = PhotoScores(1, 4428, (PhotoScore("model", "", 0.5),))
FLOWS = tuple(
    ClipScore("optical flow", setting, clip, score, score, score)
    for setting, clip, score in (
        ("slow", "goat", 50.0),
        ("slow", ALL_CLIPS, 50.0),
        ("fast", "goat", 62.0),
        ("fast", ALL_CLIPS, 62.0),
    )
)
CLIP_MODEL = tuple(ClipScore("model", "", clip, 70.0, 72.0, 71.0) for clip in ("goat", ALL_CLIPS))
MODEL = MeasuredModel("micro", "abc", 10, 20, 64)
SCORES = Scores(
    MODEL,
    (
        ScorePart("clips", "model", "", ClipScores(1, 5, CLIP_MODEL)),
        ScorePart("photos", "model", "", PHOTO_MODEL),
        ScorePart("photos", "baselines", "", PHOTO_BASELINES),
        ScorePart("clips", "baselines", "", ClipScores(1, 5, FLOWS)),
    ),
)


def row_of(table, title):
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_sets_of_photos_come_before_sets_of_clips():
    assert sets_of(SCORES) == ["photos", "clips"]


def test_the_model_stands_beside_the_best_setting_of_each_baseline():
    table = summary_table(SCORES)

    assert row_of(table, "**micro**") == ["**0.500**", "**71.0**"]
    assert row_of(table, "flood fill of the clicked color, best tolerance") == ["0.350", ""]
    assert row_of(table, "first mask carried by optical flow, best method") == ["", "62.0"]
    assert "mean IoU of 4,428 segments" in table


def test_the_distance_to_the_best_baseline_is_told():
    assert row_of(summary_table(SCORES), "micro above the best baseline") == ["+0.150", "+9.0"]


def test_a_model_behind_the_best_baseline_is_told_with_a_minus():
    weak = PhotoScores(1, 4428, (PhotoScore("model", "", 0.3),))

    table = summary_table(SCORES.with_part(ScorePart("photos", "model", "", weak)))

    assert row_of(table, "micro above the best baseline") == ["-0.050", "+9.0"]


def test_baselines_alone_make_a_table_without_a_model():
    alone = Scores(None, (ScorePart("photos", "baselines", "", PHOTO_BASELINES),))

    table = summary_table(alone)

    assert "model" not in table
    assert row_of(table, "box around the click, best size") == ["0.200"]


def test_the_settings_of_baselines_are_listed_and_the_model_has_none():
    assert settings_list(SCORES).splitlines()[2:] == [
        "- photos: box: half; flood fill: 20",
        "- clips: optical flow: fast",
    ]


def test_clips_are_told_one_by_one_with_the_best_setting_and_without_their_mean():
    rows = clip_table(SCORES).splitlines()[2:]

    assert rows == [
        "| goat | model | 70.0 | 72.0 | 71.0 |",
        "| goat | optical flow | 62.0 | 62.0 | 62.0 |",
    ]


def test_without_scores_there_is_hardly_a_table():
    assert as_markdown(Scores()) == "|  |\n| --- |\n"
