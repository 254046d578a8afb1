"""What the tests of sessions share."""

import pytest
import torch

from tests.fakes import fake_session_on


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Models this small spend more time waking a second thread than it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def fake_session():
    """A session of a fake model on eight frames, without any prompt."""
    with fake_session_on(8) as session:
        yield session
