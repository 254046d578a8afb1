"""Rules of each video data set: layout on disk, prompting and scoring.

Source: tools/vos_inference.py @ 2b90b9f for how predictions are made; the sets' own pages for their
layouts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from evaluation.metrics.sequences import ScoringRules
from sam2_hf.errors import DataError
from sam2_hf.training.dataset_registry import READERS

VOS = ScoringRules("vos")
NO_OPTIONS: Mapping[str, object] = MappingProxyType({})
YOUR_OWN = "your own data"  # in place of a page
SAV_PAGE = "https://ai.meta.com/datasets/segment-anything-video-downloads/"


@dataclass(frozen=True, slots=True)
class SetRules:
    """A data set.

    Attributes:
        name: Name in commands.
        page: Download page.
        kind: Which of `sam2_hf.training.dataset_registry.READERS` reads it; by default folders
            of frames and masks at `images`, `masks` and `listing`.
        images: Candidate folders of the videos' frames below the root; the first existing one is
            used.
        masks: Candidate folders of masks.
        listing: Candidate text files with the ids of the videos, one of which is required; empty
            takes all videos with masks.
        scoring: Rules of scoring.
        per_object: Whether objects may overlap: each has separate masks, also in predictions.
        late_objects: Whether objects appear later than the first frame; then each is tracked from
            where it is first annotated.
        meta: Candidate JSON files with the scored frames of each object, one of which is required;
            empty if all frames are scored.
        unseen: Candidate text files with the ids of videos of unseen categories; if one exists,
            seen and unseen videos are scored separately as well.
        binary: Whether all nonzero pixels are one object.
        is_public: Whether all true masks are public; otherwise a server scores.
    """

    name: str
    page: str
    images: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    listing: tuple[str, ...] = ()
    scoring: ScoringRules = field(default_factory=ScoringRules)
    per_object: bool = False
    late_objects: bool = False
    meta: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    binary: bool = False
    is_public: bool = True
    kind: str = ""


def _davis(name: str, listing: str, **more: bool) -> SetRules:
    return SetRules(
        name,
        "https://davischallenge.org/",
        images=("JPEGImages/480p", "JPEGImages/Full-Resolution", "JPEGImages"),
        masks=("Annotations/480p", "Annotations/Full-Resolution", "Annotations"),
        listing=(listing,),
        **more,  # type: ignore[arg-type]
    )


def _split(name: str, page: str, split: str, **more: bool) -> SetRules:
    return SetRules(
        name,
        page,
        images=(f"{split}/JPEGImages", "JPEGImages"),
        masks=(f"{split}/Annotations", "Annotations"),
        scoring=VOS,
        **more,  # type: ignore[arg-type]
    )


def _lvos(name: str) -> SetRules:
    """LVOS: each object is scored on its own frames, visible or not.

    Source: lvos/evaluation.py and lvos/lvos_seperate.py of lvos-evaluation @ 25cb02d.
    """
    return SetRules(
        name,
        "https://lingyihongfd.github.io/lvos.github.io/",
        images=("valid/JPEGImages", "JPEGImages"),
        masks=("valid/Annotations", "Annotations"),
        scoring=ScoringRules("davis"),
        late_objects=True,
        meta=("valid/valid_meta.json", "valid_meta.json"),
        unseen=("valid/unseen_videos.txt", "unseen_videos.txt"),
    )


def _sav(split: str) -> SetRules:
    top = ("", f"sav_{split}/")
    return SetRules(
        f"sav-{split}",
        SAV_PAGE,
        images=tuple(f"{folder}JPEGImages_24fps" for folder in top),
        masks=tuple(f"{folder}Annotations_6fps" for folder in top),
        listing=tuple(f"{folder}sav_{split}.txt" for folder in top),
        scoring=VOS,
        per_object=True,
    )


_ALL = (
    _davis("davis16-val", "ImageSets/2016/val.txt", binary=True),
    _davis("davis17-val", "ImageSets/2017/val.txt"),
    _davis("davis17-test-dev", "ImageSets/2017/test-dev.txt", is_public=False),
    _sav("val"),
    _sav("test"),
    SetRules(
        "sav-train",
        SAV_PAGE,
        scoring=VOS,
        per_object=True,
        late_objects=True,
        kind="sav",
    ),
    _split("mose-val", "https://henghuiding.github.io/MOSE/", "valid", is_public=False),
    _lvos("lvos-v1-val"),
    _lvos("lvos-v2-val"),
    SetRules(
        "ytvos19-val",
        "https://youtube-vos.org/dataset/vos/",
        images=("valid_all_frames/JPEGImages", "valid/JPEGImages", "JPEGImages"),
        masks=("valid/Annotations", "Annotations"),
        scoring=VOS,
        late_objects=True,
        is_public=False,
    ),
    SetRules(
        "folder",
        YOUR_OWN,
        images=("JPEGImages/480p", "JPEGImages"),
        masks=("Annotations/480p", "Annotations"),
        scoring=VOS,
        late_objects=True,
    ),
)
SETS: Mapping[str, SetRules] = MappingProxyType({rules.name: rules for rules in _ALL})
DATA_SETS = (*SETS, *(kind for kind in READERS if kind not in SETS))
"""Data sets for commands: this table, and custom data of any kind."""


def find_rules(name: str) -> SetRules:
    """Look up a data set. Kinds of training's readers are scored like a custom folder.

    Raises:
        DataError: There is no such name.
    """
    if name in SETS:
        return SETS[name]
    if name in READERS:
        return SetRules(name, YOUR_OWN, scoring=VOS, late_objects=True, kind=name)
    raise DataError(f'there is no data set "{name}". Choose one of {", ".join(DATA_SETS)}.')
