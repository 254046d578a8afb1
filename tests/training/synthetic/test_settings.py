"""Settings of synthetic clips."""

import pytest

from sam2_hf.errors import DataError
from sam2_hf.training.synthetic.settings import SyntheticSettings


def test_a_config_file_gives_ranges_as_lists():
    settings = SyntheticSettings.from_options({"speed": [0.0, 0.1], "twins": 1}, num_frames=3)

    assert settings == SyntheticSettings(speed=(0.0, 0.1), twins=1, num_frames=3)


def test_options_win_over_what_the_reader_gives():
    assert SyntheticSettings.from_options({"size": 64}, size=128).size == 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"color": 1}, "no option color"),
        ({"speed": [0.2, 0.1]}, "speed is"),
        ({"speed": 0.1}, "Give two numbers"),
        ({"num_objects": [0, 2]}, "between 1 and 32"),
        ({"twins": 1.5}, "It is a share"),
        ({"twins": "often"}, "wrong type"),
        ({"shapes": ["heart"]}, "blob, ellipse"),
        ({"textures": []}, "photo, noise"),
        ({"num_frames": 0}, "1 or more"),
        ({"size": 8}, "16 or more"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(options, message):
    with pytest.raises(DataError, match=message):
        SyntheticSettings.from_options(options)
