import pytest

from sam2_hf.data.config import SourceConfig
from sam2_hf.errors import DataError
from sam2_hf.training.dataset_registry import KINDS, open_source


def test_an_unknown_kind_lists_the_known_ones():
    with pytest.raises(DataError, match=rf'"film". Choose one of {", ".join(sorted(KINDS))}'):
        open_source(SourceConfig("film"))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"regions", "synthetic"}))
def test_every_kind_says_where_it_looked_and_what_it_expects(kind, tmp_path):
    config = SourceConfig(kind, str(tmp_path))

    with pytest.raises(DataError, match=rf"{tmp_path}.*The kind {kind} expects"):
        open_source(config)
