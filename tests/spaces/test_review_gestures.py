"""Gestures on the picture of a masklet under review."""

from types import SimpleNamespace

import pytest

from sam2_space.review.review_tab import ReviewTab


class Work:
    """Notes the clicks on it."""

    sheet = None
    num_waiting = 0

    def __init__(self):
        self.clicks = []

    def require(self):
        return SimpleNamespace(video=SimpleNamespace(size=(100, 200)))

    def click(self, xy, *, positive):
        self.clicks.append(positive)


@pytest.mark.parametrize(("kind", "positive"), [("include", True), ("exclude", False)])
def test_a_click_by_keyboard_includes_and_one_with_shift_excludes(kind, positive, monkeypatch):
    work, tab = Work(), object.__new__(ReviewTab)
    monkeypatch.setattr(tab, "_work", lambda _: (None, work), raising=False)
    monkeypatch.setattr(tab, "_shown", lambda *_: {}, raising=False)

    tab.gesture(SimpleNamespace(value=kind, index=[10, 20]), None)

    assert work.clicks == [positive]
