"""Names to look for."""

import pytest

from sam2_hf.errors import PromptError
from sam2_hf.open_vocabulary.labels import read_labels


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ("a dog", ("a dog",)),
        (["a dog", " a  cat\n"], ("a dog", "a cat")),
        (iter(["dog"]), ("dog",)),
    ],
)
def test_names_are_one_text_or_several(given, labels):
    assert read_labels(given) == labels


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "text is empty"),
        ("", "text holds ''"),
        (["dog", "  "], "text holds"),
        (["dog", "dog "], "names 'dog' twice"),
        (["dog", 3], "text holds a int"),
        (7, "text is a int"),
        (None, "text is a NoneType"),
        (b"dog", "text is a bytes"),
        ({"dog": 1}, "text is a dict"),
        ([10**5000], "text holds a int"),
    ],
)
def test_names_that_cannot_be_looked_for_are_refused(given, message):
    with pytest.raises(PromptError, match=message):
        read_labels(given)
