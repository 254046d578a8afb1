"""Two runs on one video, as files."""

import pytest

from tests.writers.masklet_files import write_masklets


@pytest.fixture
def before(tmp_path):
    return write_masklets(tmp_path / "a_masklets.json", [[4, 1], [4, 0], [4, 0], [2, None]], [1, 5])


@pytest.fixture
def after(tmp_path):
    rows = [[4, 1, 1], [2, 0, 1], [4, 8, 1], [None, None, 1]]
    return write_masklets(tmp_path / "b_masklets.json", rows, [1, 5, 9])
