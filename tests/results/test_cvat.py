"""XML of CVAT for images 1.1, read by its documented fields."""

import numpy as np

from sam2_hf.results.cvat import write_cvat
from tests.results.readers import SIZE, objects, plain_mask, read_cvat, ring_mask


def test_masks_and_labels_come_back_and_hidden_objects_are_left_out(tmp_path):
    path = write_cvat(tmp_path / "street.xml", 'a <"street">.png', SIZE, objects())

    name, read = read_cvat(path.read_bytes())
    assert name == 'a <"street">.png'
    assert [label for label, _ in read] == ["truck & co", "object"]
    np.testing.assert_array_equal(read[0][1], ring_mask())
    np.testing.assert_array_equal(read[1][1], plain_mask())
