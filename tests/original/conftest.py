"""Models by the original's names, and the original itself where a checkout is given."""

import numpy as np
import pytest

from tests.original.original_peer import OriginalPeer

MICRO = "sam2-hiera-micro"


@pytest.fixture(scope="session")
def micro_image_model():
    """The bundled model as `build_sam2` builds it; not to be changed."""
    from sam2_hf.original.build_sam import build_sam2

    return build_sam2(MICRO, MICRO, device="cpu")


@pytest.fixture(scope="session")
def photo():
    """A photo of 150 rows and 200 columns."""
    random = np.random.default_rng(0)
    knots = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return knots.repeat(50, axis=0).repeat(50, axis=1)[:150, :200]


@pytest.fixture(scope="session")
def original(request):
    """facebookresearch/sam2 itself."""
    checkout = request.config.getoption("--original")
    if checkout is None:
        pytest.skip("--original names no checkout of facebookresearch/sam2")
    return OriginalPeer(checkout)
