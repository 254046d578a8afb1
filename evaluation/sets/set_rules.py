"""What each data set of videos looks like on the disk, and by which rules it is given and scored.

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
        name: What commands call it.
        page: Where to get it.
        kind: Which of `sam2_hf.training.dataset_registry.READERS` reads it; by default folders of
            frames and masks lie where `images`, `masks` and `listing` say.
        images: Folders below the root in which the videos' folders of frames may lie; the first
            that is there counts.
        masks: The same of the masks.
        listing: Text files with the ids of the videos, one of which must be there; none for all
            videos that have masks.
        scoring: How it is scored.
        per_object: Whether objects may overlap: each has masks of its own, and predictions too.
        late_objects: Whether objects appear later than the first frame; then each is tracked on
            its own, from where it is first annotated.
        meta: JSON files that say on which frames each object is scored, one of which must be there;
            none where all frames of a video count.
        unseen: Text files with the ids of videos whose objects are of unseen kinds; where one is
            there, both halves are scored too.
        binary: Whether all but 0 is the one object, whatever the number.
        is_public: Whether all true masks are public. If not, a server scores.
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
    """Each object counts on its own frames, seen or not.

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
        images=tuple(f"{one}JPEGImages_24fps" for one in top),
        masks=tuple(f"{one}Annotations_6fps" for one in top),
        listing=tuple(f"{one}sav_{split}.txt" for one in top),
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
SETS: Mapping[str, SetRules] = MappingProxyType({one.name: one for one in _ALL})
DATA_SETS = (*SETS, *(kind for kind in READERS if kind not in SETS))
"""What commands take: the sets of this table, and data of one's own of any kind."""


def find_rules(name: str) -> SetRules:
    """Look up a data set. Any kind that training reads is scored as a folder of one's own is.

    Raises:
        DataError: There is none of that name.
    """
    if name in SETS:
        return SETS[name]
    if name in READERS:
        return SetRules(name, YOUR_OWN, scoring=VOS, late_objects=True, kind=name)
    raise DataError(f'there is no data set "{name}". Choose one of {", ".join(DATA_SETS)}.')
