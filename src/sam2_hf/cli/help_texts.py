"""Examples and explanations below the options of each command."""

from sam2_hf.results.formats import PHOTO_FORMATS, SET_FORMATS, VIDEO_FORMATS, help_text

EXAMPLES = """\
examples:
  sam2-hf segment cup.jpg --point 290,225             one object, by a click
  sam2-hf everything street.jpg --out masks           all objects
  sam2-hf everything clip.mp4                         all objects through a video
  sam2-hf track cup.mp4 --click 0:1:290,225           one object through a video
  sam2-hf compare before/ after/                      what another run changed
  sam2-hf label clips/ --out set                      a data set of many videos
  sam2-hf convert sam2.1_hiera_tiny.pt ./sam2.1-tiny  an original checkpoint to a Hub folder
  sam2-hf export sam2-hiera-micro ./micro-onnx        a model as ONNX graphs
  sam2-hf doctor                                      what works here, and what to install

`sam2-hf COMMAND --help` lists the options of a command.

exit codes: 0 for success; 2 for wrong usage or a failure (see stderr); 130 if interrupted."""

PIXELS = """\
X grows to the right and Y downward, in pixels of the {picture}; 0,0 is the top left corner."""

MANY_PHOTOS = """\
A photo that fails does not stop the others; failed photos are listed at the end, and the exit code
is then 2. Ctrl-C keeps the files of finished photos."""

SEGMENT_EXAMPLES = f"""\
examples:
  sam2-hf segment cup.jpg --point 290,225
  sam2-hf segment cup.jpg --point 290,225 --point 400,60,- --out masks
  sam2-hf segment cup.jpg --box 170,20,420,350 --model facebook/sam2.1-hiera-large
  sam2-hf segment 'shots/*.png' --box -10,5,200,300 --json > shots.json
  sam2-hf segment https://example.com/cup.jpg --point 290,225
  sam2-hf segment street.jpg --text 'a dog' --text 'a car'

For cup.jpg, --save writes:
{help_text(PHOTO_FORMATS, "cup_segment")}

{PIXELS.format(picture="photo")}
One click may mean a part or the whole, so the model makes three masks; the best one is written, or
all three with --all. With more prompts, it makes one mask.

{MANY_PHOTOS}"""

EVERYTHING_FILES = help_text(PHOTO_FORMATS, "street_everything").replace("_mask.", "_masks.")
EVERYTHING_VIDEO_FILES = help_text(VIDEO_FORMATS, "clip_everything")
EVERYTHING_EXAMPLES = f"""\
examples:
  sam2-hf everything street.jpg
  sam2-hf everything holiday/ --out masks --points-per-side 16
  sam2-hf everything street.jpg --labels 'a dog,a car,a tree' --save coco
  sam2-hf everything scan.png --crop-n-layers 1 --device cuda --dtype bfloat16
  find . -name '*.jpg' | sam2-hf everything --from-file -
  sam2-hf everything clip.mp4 --key-frame-every 5 --layout panoptic
  sam2-hf everything frames/ --video --save davis,coco-video

For street.jpg, --save writes:
{EVERYTHING_FILES}

For clip.mp4, --save writes:
{EVERYTHING_VIDEO_FILES}

{MANY_PHOTOS}
In a video an object keeps its number while it is hidden, and gets it back when it returns. Ctrl-C
keeps finished frames; the same command with --resume continues, also after a crash."""

TRACK_EXAMPLES = f"""\
examples:
  sam2-hf track cup.mp4 --click 0:1:290,225
  sam2-hf track cup.mp4 --click 0:1:290,225 --click 0:1:400,60,- --click 30:2:80,90 --out tracks
  sam2-hf track frames/ --box 0:1:170,20,420,350 --save davis,sav
  sam2-hf track cup.mp4 --click 0:1:290,225 --name 1=cup --save overlay,coco-video,alpha
  sam2-hf track cup.mp4 --mask 0:1:first.png --model facebook/sam2.1-hiera-large --resume
  sam2-hf track park.mp4 --reference dog.jpg:dog-mask.png:1
  sam2-hf track street.mp4 --text 'a dog' --detector google/owlv2-base-patch16-ensemble
  sam2-hf track --camera 0 --click 0:1:320,240 --limit 300

For cup.mp4, --save writes:
{help_text(VIDEO_FORMATS, "cup")}

FRAME is numbered from 0. OBJECT is a number of your choice; prompts with the same number belong to
the same object, on any number of frames.
{PIXELS.format(picture="video")}
A mask is a picture of the same size as the video, with the object in white; in a palette PNG with
several labels, the object is the label OBJECT.

Ctrl-C keeps finished frames; the same command with --resume continues, even after a crash."""

COMPARE_EXAMPLES = """\
examples:
  sam2-hf compare before/ after/
  sam2-hf compare before/cup_masklets.json after/cup_masklets.json
  sam2-hf compare before/cup_masks after/cup_masks --picture changes.png --video cup.mp4

In the picture, blue is what both runs have, red what only RUN_A has, green what only RUN_B has."""

LABEL_EXAMPLES = f"""\
examples:
  sam2-hf label clips/ --out set                          everything, in every video of a folder
  sam2-hf label 's3://bucket/*.mp4' --out set --workers 8
  sam2-hf label clips/ --out set --prompts boxes.json --phase phase2
  sam2-hf label --out set --status
  sam2-hf space --set set                                 review what is doubtful
  sam2-hf label --out set --retrack --export sav,parquet
  accelerate launch -m sam2_hf.cli label clips/ --out set

Each video is written whole or not at all, with scores, prompts, model and decisions. Masklets that
reach the thresholds are accepted, the others wait for a reviewer. --export writes:
{help_text(SET_FORMATS, "")}

A video that fails does not stop the others; the failed ones are named at the end, and the exit
code is 2. After Ctrl-C, a crash or a kill, the same command continues, and the set becomes what it
would have been. Several commands, on machines that share the folder, may work on one set."""

CONVERT_EXAMPLES = """\
examples:
  sam2-hf convert sam2.1_hiera_tiny.pt ./sam2.1-tiny   to a folder for the Hub
  sam2-hf convert ./sam2.1-tiny tiny.pt                back"""

EXPORT_EXAMPLES = """\
examples:
  sam2-hf export facebook/sam2.1-hiera-tiny ./tiny-onnx
  sam2-hf export sam2-hiera-micro ./micro-onnx --dtype int8
  sam2-hf export sam2-hiera-micro ./micro-openvino --format openvino
  sam2-hf export sam2-hiera-micro ./micro-phone --fixed --dtype float16
  sam2-hf export sam2-hiera-micro ./micro-package --format aotinductor
  sam2-hf export check ./micro-onnx
  sam2-hf track cup.mp4 --model ./micro-onnx --click 0:1:290,225

OUT becomes a folder of graphs for ONNX Runtime, with numpy_runner.py, which needs only numpy,
Pillow and onnxruntime, or a folder of graphs for OpenVINO. segment, everything and track accept the
folder as --model. The other formats support photos only. "check" prints how much the graphs differ
from the model on an image and a clip, and the speed of both."""

SPACE_HELP = """\
Serve the web page on this computer. Arguments go to the page's program; its --help lists them."""

DOCTOR_HELP = """\
Prints versions, devices, the speed of each data type, the kernels in use, which optional packages
are installed, whether the Hub answers (within 4 seconds), and where models are stored.
The exit code is 2 if a required package is missing or broken."""

COMPLETION_HELP = """\
examples:
  eval "$(sam2-hf completion bash)"                  this shell; in ~/.bashrc, every shell
  eval "$(sam2-hf completion zsh)"                   the same in ~/.zshrc, after compinit
  sam2-hf completion fish | source                   the same in ~/.config/fish/config.fish"""
