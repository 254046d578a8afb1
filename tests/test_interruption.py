import os
import signal
import threading

import pytest

from sam2_hf.interruption import Interruption, StopRequestedError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_only_noted(number):
    before = signal.getsignal(number)

    with Interruption() as interruption:
        os.kill(os.getpid(), number)
        assert interruption.is_requested

    assert signal.getsignal(number) is before


def test_the_program_stops_where_it_checks():
    with Interruption() as interruption:
        interruption.check()
        signal.raise_signal(signal.SIGINT)

        with pytest.raises(StopRequestedError):
            interruption.check()


def test_a_second_ctrl_c_stops_at_once():
    with Interruption():
        os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_worker_lives_on_until_the_second_request_to_end():
    reader, writer = os.pipe()
    with Interruption():
        child = os.fork()
        if not child:
            for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), number)
            os.write(writer, b"alive")
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)

    _, status = os.waitpid(child, 0)
    os.close(writer)
    assert os.read(reader, 9) == b"alive"
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGTERM
    os.close(reader)


def test_other_threads_than_the_main_one_do_without():
    noted = []

    def work():
        with Interruption() as interruption:
            noted.append(interruption.is_requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert noted == [False]
