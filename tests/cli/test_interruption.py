"""Ctrl-C between frames."""

import signal

import pytest

from sam2_hf.cli.console import Interruption, StopAskedError


def test_the_first_one_waits_for_a_check():
    with Interruption() as stop:
        stop.check()
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        with pytest.raises(StopAskedError):
            stop.check()


def test_the_second_one_acts_at_once():
    with Interruption():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_afterwards_it_is_as_before():
    before = signal.getsignal(signal.SIGINT)

    with Interruption():
        assert signal.getsignal(signal.SIGINT) is not before

    assert signal.getsignal(signal.SIGINT) is before
