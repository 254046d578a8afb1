"""What the tests of sessions share."""

import pytest

from tests.fakes import fake_session_on


@pytest.fixture(scope="module", autouse=True)
def _small_models(one_thread):
    """All of these tests run small models."""


@pytest.fixture
def fake_session():
    """A session of a fake model on eight frames, without any prompt."""
    with fake_session_on(8) as session:
        yield session
