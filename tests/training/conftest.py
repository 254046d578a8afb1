"""What tests of whole runs share."""

import pytest

from tests.training.small_runs import write_world


@pytest.fixture(scope="session")
def small_world(tmp_path_factory):
    """Photos, videos and a model to begin with; runs put themselves beside them, by name."""
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def world(small_world, tmp_path):
    """The same in a folder of one's own; data and model are not to be changed."""
    for name in ("pairs", "videos", "model"):
        (tmp_path / name).symlink_to(small_world / name)
    return tmp_path
