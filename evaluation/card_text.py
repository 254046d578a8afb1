"""Text of the bundled model's card, beside its numbers."""

RESEARCH = (
    "**For research and education only**: some of the photos and clips it has learned from\n"
    "are published for nothing else."
)

LIMITS_BESIDE_BASELINES = (
    "Baselines get their best setting on the very set they are measured on. The checkpoint of the\n"
    "model was chosen by validation on the same photos and clips, so its numbers are a little\n"
    "kinder than those on others would be."
)

BODY = """\
# {name}

A very small SAM 2.1 for `sam2_hf`, so that clicks, everything-mode and tracking show
real masks with no network and no GPU: {parameters:.1f} million parameters, {megabytes:.1f} MB
({dtype}), input {side} x {side} pixels.

{research}

**Where the Hub can be reached, take a released checkpoint instead**, such as
`facebook/sam2.1-hiera-tiny`: those have learned from millions of photos and tens of thousands of
videos at 1024 pixels, and give far better masks.

```python
from sam2_hf import pipeline

segment = pipeline("image-segmentation", model="{name}")
mask = segment("photo.jpg", points=[(500, 375)], labels=[1]).best

track = pipeline("video-segmentation", model="{name}")

everything = pipeline(  # it thinks little of its masks, so the usual thresholds leave none
    "mask-generation", model="{name}", pred_iou_thresh=0.45, stability_score_thresh=0.1
)
```

`Sam2Model`, `Sam2VideoModel` and the processors load it by the same name, offline.

## How good it is

{summary}

{verdict}

Photos: one click at the innermost point of every segment of at least 1 % of the picture, the mask
with the highest predicted IoU of three, mean IoU over all segments. In BSDS500 a segment is one
label of one annotator's partition, in one piece or several, and all annotators count; in COCO it is
an annotated instance. Clips: the true mask on the first frame, then J&F on all others but the last,
mean over clips. Pictures and masks are compared at their own size. The baselines get the same
clicks and first masks.

{settings}

{clips}

Measured by `python -m evaluation.micro`. SHA-256 of the weights:
`{sha256}`.

## How it was made

```
{command}
```

{training}

{files}

## Data and licenses

| data | used for training | terms |
|---|---|---|
| BSDS500 | the 200 photos of `train`, every annotator's segments | research and education |
| COCO, 128 photos | 100 of them with their instances | annotations CC BY 4.0, photos Flickr's |
| DAVIS 2016, at half size | eight clips | non-commercial research, see davischallenge.org |
| plain regions | drawn by the trainer, from no photo | none |
| made-up clips | drawn by the trainer, of the photos above and what is annotated on them | theirs |

The photos of COCO come from Flickr and stay under its terms and those of their authors.
{research}
The code that made the model is Apache-2.0; the weights are not.

## What it cannot do

- It has seen 300 photos and eight clips. Things unlike those come out badly, fine structures and
  small objects most of all: masks have {mask_side} pixels on a side before they are enlarged.
- Its predicted IoU is a weak judge: how much better the best of its three masks is than the one it
  prefers stands in the first table.
- Tracks drift: fast motion, long occlusions and objects that look alike lose it.
- Numbers from it say nothing about SAM 2. Do not compare other models with it.
"""
