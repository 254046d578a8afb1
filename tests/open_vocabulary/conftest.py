"""Tiny zero-shot models, made once."""

import pytest

from tests import zero_shot_models


@pytest.fixture(scope="session")
def grounding_dino():
    """A Grounding DINO with its processor."""
    return zero_shot_models.grounding_dino()


@pytest.fixture(scope="session")
def owlv2():
    """An OWLv2 with its processor."""
    return zero_shot_models.owlv2()


@pytest.fixture(scope="session")
def clip_model():
    """A CLIP with its processor."""
    return zero_shot_models.clip_model()
