"""What the tests of frames share."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _small_models(one_thread):
    """All of these tests run small models, if any."""
