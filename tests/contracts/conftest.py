"""What the contracts about videos share."""

import pytest

from tests.fakes import fake_session_on


@pytest.fixture
def fake_session():
    """A session of a fake model on eight frames, without any prompt."""
    with fake_session_on(8) as session:
        yield session
