"""Tables in other formats: a data set of the Hub, a folder saved with `datasets`, or data files."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_hf.errors import DataError, MissingPackageError

from .config import SourceConfig
from .dataset import TableSource
from .filters import list_names, select_names
from .folders import check_options, text_option
from .rows import (
    EARLIER_MASKS,
    EARLIER_NAMES,
    SHORT_COLUMNS,
    VideoRow,
    import_datasets,
    present_names,
)

if TYPE_CHECKING:
    import datasets

EXPECTED = (
    "The kind hub expects a data set's id on the Hub, or a folder, with the columns image and "
    "label_map (a number per pixel), or images and one of label_maps, masks, segments and "
    "segments_file; see sam2_hf.data.rows. If columns have other names, "
    "give them as options, such as image: photo."
)
COLUMNS = (*(field.name for field in fields(VideoRow)), *SHORT_COLUMNS, *EARLIER_MASKS)
IMAGES = {"image", "images", "video"}
ANNOTATIONS = {"label_map", "label_maps", "masks", "segments", "segments_file", *EARLIER_MASKS}


def open_hub(config: SourceConfig) -> TableSource:
    """Open a table.

    Options: `split` ("train"), `configuration` of the data set, and for each column of
    [`VideoRow`], or `image` and `label_map` of one frame, its name in the table.

    Raises:
        DataError: There is no such data set, or it lacks columns.
        MissingPackageError: `datasets` is not installed.
    """
    check_options(config, ("split", "configuration", *COLUMNS))
    table = _load(config)
    if not any(column in config.options.values() for column in EARLIER_NAMES):
        table = table.rename_columns(present_names(table.column_names))
    named = {text_option(config, name, name): name for name in COLUMNS if name in config.options}
    if missing := sorted(set(named) - set(table.column_names)):
        raise DataError(
            f"{config.label} has no column {', '.join(missing)}. It has: "
            f"{', '.join(table.column_names)}."
        )
    # A column that an option replaces would be there twice.
    unnamed = set(COLUMNS).difference(config.options)
    kept = [name for name in table.column_names if name in named or name in unnamed]
    table = table.select_columns(kept).rename_columns(_renamed(kept, named))
    columns = set(table.column_names)
    if not (columns & IMAGES and columns & ANNOTATIONS):
        raise DataError(
            f"{config.label} cannot be trained on: its columns are "
            f"{list_names(sorted(columns)) or 'of other names'}. {EXPECTED}"
        )
    names = table["name"][:] if "name" in columns else [f"row {n}" for n in range(len(table))]
    chosen = select_names(names, config)
    if len(chosen) < len(names):
        table = table.select(chosen)
    return TableSource(config, table, [names[place] for place in chosen])


def _renamed(kept: list[str], named: Mapping[str, str]) -> dict[str, str]:
    return {name: named[name] for name in kept if name in named and named[name] != name}


def _load(config: SourceConfig) -> "datasets.Dataset":
    split = text_option(config, "split", "train")
    configuration = text_option(config, "configuration", "")
    try:
        return read_table(config.path, split, configuration)
    except (DataError, MissingPackageError):
        raise
    # Network, Hub, file formats: the package raises errors of many libraries.
    except Exception as error:
        raise DataError(
            f"{config.label} cannot be loaded: {type(error).__name__}: {error}. {EXPECTED}"
        ) from error


def is_saved_table(folder: Path) -> bool:
    """Whether `datasets` saved a table in a folder."""
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def read_table(place: str, split: str, configuration: str = "") -> "datasets.Dataset":
    """Read a table: saved with `datasets`, a `.parquet` file, data files, or from the Hub.

    Raises:
        DataError: It has no such split.
        MissingPackageError: `datasets` is not installed.
        Exception: From `datasets`, if there is no table.
    """
    datasets = import_datasets()
    path = Path(place).expanduser()
    if is_saved_table(path):
        return _split(datasets.load_from_disk(str(path)), split)
    if path.suffix == ".parquet" and path.is_file():
        return datasets.Dataset.from_parquet(str(path))
    return _split(datasets.load_dataset(place, configuration or None, split=split), split)


def _split(loaded: Any, split: str) -> "datasets.Dataset":  # noqa: ANN401 - one table or several
    """Select one split of a table.

    Raises:
        DataError: There is no such split.
    """
    if not isinstance(loaded, dict):
        return loaded
    if split not in loaded:
        raise DataError(f"there is no split {split}; there are {', '.join(loaded)}. Set `split`.")
    return loaded[split]
