"""The garbage collector stops while a public name is imported, and only then."""

import gc

import pytest

from sam2_hf.model.checkpoints.checkpoint_errors import paused_collection


def test_collection_stops_inside_and_resumes():
    with paused_collection():
        assert not gc.isenabled()

    assert gc.isenabled()


def test_collection_resumes_after_an_error():
    with pytest.raises(ImportError), paused_collection():
        raise ImportError

    assert gc.isenabled()


def test_collection_that_a_program_stopped_stays_stopped():
    gc.disable()
    try:
        with paused_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
