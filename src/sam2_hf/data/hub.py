"""Tables made elsewhere: a data set of the Hub, a folder saved with `datasets`, or data files."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_hf.errors import DataError, MissingPackageError

from .config import SourceConfig
from .dataset import TableSource
from .filters import list_names, select_names
from .folders import check_options, text_option
from .rows import SHORT_COLUMNS, ClipRow, import_datasets

if TYPE_CHECKING:
    import datasets

EXPECTED = (
    "The kind hub expects a data set's id on the Hub, or a folder, with the columns image and "
    "label_map (a number per pixel), or images and one of label_maps, masks, segments and "
    "segments_file; see sam2_hf.data.rows. Options name columns that are called "
    "otherwise, such as image: photo."
)
COLUMNS = (*(field.name for field in fields(ClipRow)), *SHORT_COLUMNS)
IMAGES = {"image", "images", "video"}
ANNOTATIONS = {"label_map", "label_maps", "masks", "segments", "segments_file"}
STATE_FILES = ("state.json", "dataset_dict.json")  # what `save_to_disk` leaves in a folder


def open_hub(config: SourceConfig) -> TableSource:
    """Open a table.

    Options: `split` ("train"), `configuration` of the data set, and for each column of
    [`ClipRow`], or `image` and `label_map` of one frame, what the table calls it.

    Raises:
        DataError: There is no such data set, or it lacks columns.
        MissingPackageError: `datasets` is not installed.
    """
    check_options(config, ("split", "configuration", *COLUMNS))
    table = _load(config)
    named = {text_option(config, name, name): name for name in COLUMNS if name in config.options}
    if missing := sorted(set(named) - set(table.column_names)):
        raise DataError(
            f"{config.label} has no column {', '.join(missing)}. It has: "
            f"{', '.join(table.column_names)}."
        )
    # A column that another one stands in for would be there twice.
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
    datasets = import_datasets()
    split = text_option(config, "split", "train")
    try:
        return _split(_read(datasets, config, split), split)
    except (DataError, MissingPackageError):
        raise
    # Network, Hub, file formats: the package passes on the errors of many others.
    except Exception as error:
        raise DataError(
            f"{config.label} cannot be loaded: {type(error).__name__}: {error}. {EXPECTED}"
        ) from error


def _read(datasets: Any, config: SourceConfig, split: str) -> Any:  # noqa: ANN401 - a module
    folder = Path(config.path).expanduser()
    if any((folder / name).is_file() for name in STATE_FILES):
        return datasets.load_from_disk(str(folder))
    configuration = text_option(config, "configuration", "") or None
    return datasets.load_dataset(config.path, configuration, split=split)


def _split(loaded: Any, split: str) -> "datasets.Dataset":  # noqa: ANN401 - one table or several
    """Take one part of a table that was saved in parts.

    Raises:
        DataError: There is no such part.
    """
    if not isinstance(loaded, dict):
        return loaded
    if split not in loaded:
        raise DataError(f"there is no split {split}; there are {', '.join(loaded)}. Set `split`.")
    return loaded[split]
