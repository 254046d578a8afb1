"""The kinds of sources, by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from sam2_hf.data.coco import read_coco
from sam2_hf.data.config import SourceConfig
from sam2_hf.data.dataset import ClipDataset, TableSource
from sam2_hf.data.davis import read_davis
from sam2_hf.data.hub import open_hub
from sam2_hf.data.pairs import read_pairs
from sam2_hf.data.sa1b import read_sa1b
from sam2_hf.data.sav import read_sav
from sam2_hf.errors import DataError
from sam2_hf.training.synthetic.dataset import SyntheticSource
from sam2_hf.training.synthetic.regions import RegionsSource

if TYPE_CHECKING:
    import datasets

TableReader = Callable[[SourceConfig], "datasets.Dataset"]


def _of_table(read: TableReader) -> Callable[[SourceConfig], ClipDataset]:
    return lambda config: TableSource(config, read(config))


KINDS: Mapping[str, Callable[[SourceConfig], ClipDataset]] = MappingProxyType(
    {
        "pairs": _of_table(read_pairs),
        "coco": _of_table(read_coco),
        "sa1b": _of_table(read_sa1b),
        "sav": _of_table(read_sav),
        "davis": _of_table(read_davis),
        "hub": open_hub,
        "regions": RegionsSource,
        "synthetic": lambda config: SyntheticSource(config, open_source),
    }
)


def open_source(config: SourceConfig) -> ClipDataset:
    """Open a source of any kind.

    Raises:
        DataError: There is no such kind, or nothing usable lies where the source should be.
        MissingPackageError: The kind needs a package that is not installed.
    """
    if config.kind not in KINDS:
        raise DataError(
            f'there is no kind of data "{config.kind}". Choose one of {", ".join(sorted(KINDS))}.'
        )
    return KINDS[config.kind](config)
