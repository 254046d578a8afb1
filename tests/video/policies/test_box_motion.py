"""The Kalman filter of boxes."""

import numpy as np
import pytest

from sam2_hf.video.policies.box_motion import BoxMotion


def test_the_filter_is_that_of_deep_sort():
    """Numbers of an implementation with matrices that are written out."""
    motion = BoxMotion.started((0.0, 0.0, 10.0, 20.0))
    assert motion.mean_s.tolist() == [5.0, 10.0, 0.5, 20.0, 0.0, 0.0, 0.0, 0.0]
    deviations = np.sqrt(np.diag(motion.covariance_ss))
    assert deviations == pytest.approx([2.0, 2.0, 1e-2, 2.0, 1.25, 1.25, 1e-5, 1.25])

    predicted = motion.predicted()
    position = 2.0**2 + 1.25**2 + 1.0**2
    assert predicted.covariance_ss[0, 0] == pytest.approx(position)
    assert predicted.covariance_ss[0, 4] == pytest.approx(1.25**2)
    assert predicted.covariance_ss[2, 2] == pytest.approx(2e-4 + 1e-10)

    updated = predicted.updated((2.0, 0.0, 12.0, 20.0))
    gain = position / (position + 1.0**2)
    assert updated.mean_s[0] == pytest.approx(5.0 + gain * 2.0)
    assert updated.mean_s[4] == pytest.approx(1.25**2 / (position + 1.0) * 2.0)
    assert updated.covariance_ss[0, 0] == pytest.approx(position * (1 - gain))
    assert BoxMotion.of_numbers(updated.numbers()).box == updated.box
