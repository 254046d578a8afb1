"""Who may use the model: first come, first served, in slices."""

import threading
import time

from sam2_space.space_model import FairLock


def test_whoever_waits_is_served_between_two_slices_of_a_long_job():
    turns, order, waiting = FairLock(), [], []

    def click(name):
        with turns.taken():
            order.append(name)

    with turns.taken():
        for number, name in enumerate(("first", "second"), 1):
            waiting.append(threading.Thread(target=click, args=(name,)))
            waiting[-1].start()
            while len(turns._waiting) < number:
                time.sleep(0.001)
        order.append("slice 1")
        turns.pass_on()
        order.append("slice 2")
    for thread in waiting:
        thread.join()

    assert order == ["slice 1", "first", "second", "slice 2"]


def test_passing_on_costs_nothing_when_nobody_waits():
    turns = FairLock()
    with turns.taken():
        for _ in range(3):
            turns.pass_on()

    with turns.taken():  # it is free again
        pass


def test_a_failure_inside_a_turn_lets_the_next_one_in():
    turns = FairLock()
    try:
        with turns.taken():
            raise ValueError
    except ValueError:
        pass

    with turns.taken():
        pass
