"""Registry of dataset kinds, for training and evaluation."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sam2_hf.data.coco import read_coco
from sam2_hf.data.config import SourceConfig
from sam2_hf.data.dataset import ClipDataset, TableSource
from sam2_hf.data.davis import read_davis
from sam2_hf.data.filters import select_rows
from sam2_hf.data.hub import open_hub
from sam2_hf.data.pairs import read_pairs
from sam2_hf.data.rows import VideoRow, make_table
from sam2_hf.data.sa1b import read_sa1b
from sam2_hf.data.sav import read_sav
from sam2_hf.errors import DataError
from sam2_hf.training.synthetic.dataset import SyntheticSource
from sam2_hf.training.synthetic.regions import RegionsSource

Reader = Callable[[SourceConfig], list[VideoRow]]
READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "pairs": read_pairs,
        "coco": read_coco,
        "sa1b": read_sa1b,
        "sav": read_sav,
        "davis": read_davis,
    }
)
"""Names for `kind` in training and for data sets in evaluation; a new one needs a line here."""


def _of_rows(read: Reader) -> Callable[[SourceConfig], ClipDataset]:
    return lambda config: TableSource(config, make_table(select_rows(read(config), config)))


KINDS: Mapping[str, Callable[[SourceConfig], ClipDataset]] = MappingProxyType(
    {
        **{name: _of_rows(read) for name, read in READERS.items()},
        "hub": open_hub,
        "regions": RegionsSource,
        "synthetic": lambda config: SyntheticSource(config, open_source),
    }
)


def open_source(config: SourceConfig) -> ClipDataset:
    """Open a source of any kind.

    Raises:
        DataError: There is no such kind, or the source has nothing usable.
        MissingPackageError: The kind needs a package that is not installed.
    """
    if config.kind not in KINDS:
        raise DataError(
            f'there is no kind of data "{config.kind}". Choose one of {", ".join(sorted(KINDS))}.'
        )
    return KINDS[config.kind](config)
