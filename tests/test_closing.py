from sam2_hf.closing import Closing


class Door(Closing):
    def __init__(self):
        self.closed = 0

    def close(self):
        self.closed += 1


def test_a_with_closes_what_it_opened_also_after_an_error():
    door, other = Door(), Door()

    with door as entered:
        assert entered is door
        assert not door.closed
    try:
        with other:
            raise KeyError
    except KeyError:
        pass

    assert door.closed == other.closed == 1
