"""Pushing an export: what is uploaded, what the card says, and a Hub that does not answer."""

from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from sam2_hf.errors import ExportError
from sam2_hf.export import hub_upload
from sam2_hf.export.exported_folder import open_export
from sam2_hf.export.hub_upload import export_card, push_export
from sam2_hf.export.parity import Parity
from tests.hub.conftest import hub  # noqa: F401 - a fixture

ROWS = [Parity("one click", 1.5e-5, 0.9999, 0.9998, 0.040, 0.030)]
SOURCE = "sam2-hiera-micro"


@pytest.fixture
def small(photo_export):
    return open_export(photo_export("torchscript"))


def test_a_folder_is_pushed_with_a_card_of_what_was_measured(hub, small):  # noqa: F811
    before = (small.folder / "README.md").read_bytes()

    address = push_export(small, "me/small", ROWS, source=SOURCE)

    assert address == f"{hub.url}/me/small"
    _, files = hub.find("me/small", "main")
    assert set(files) == {path.name for path in small.folder.iterdir()}
    assert files["image_encoder.pt"] == (small.folder / "image_encoder.pt").read_bytes()
    assert (small.folder / "README.md").read_bytes() == before
    card = ModelCard(files["README.md"].decode())
    assert card.data.license == "other"
    assert card.data.library_name == "sam2_hf"
    assert card.data.pipeline_tag == "mask-generation"
    assert "torchscript" in card.data.tags
    assert "| one click | 1.5e-05 | 0.9999 | 0.9998 | 40 | 30 |" in card.text
    assert "thread(s), PyTorch" in card.text
    assert "hf download me/small" in card.text


def test_a_card_of_onnx_graphs_names_the_repo_to_load_and_the_model(exported, monkeypatch):
    monkeypatch.setattr(hub_upload, "_license_of", lambda source: {"license": "apache-2.0"})

    card = export_card(open_export(exported), "me/tiny-onnx", ROWS, "facebook/sam2.1-hiera-tiny")

    assert card.data.base_model == "facebook/sam2.1-hiera-tiny"
    assert card.data.license == "apache-2.0"
    assert "onnx" in card.data.tags
    assert 'OnnxSam2.from_pretrained("me/tiny-onnx")' in card.text
    assert "trtexec" in card.text


def test_a_name_without_an_owner_becomes_the_users_own_everywhere(hub, small):  # noqa: F811
    address = push_export(small, "small", ROWS, source=SOURCE)

    assert address == f"{hub.url}/me/small"
    _, files = hub.find("me/small", "main")
    assert set(files) == {path.name for path in small.folder.iterdir()}
    assert "hf download me/small" in files["README.md"].decode()


def test_an_export_that_is_not_equal_to_the_model_is_not_pushed(hub, small):  # noqa: F811
    rows = [*ROWS, Parity("a frame of 10, 2 objects", 0.5, 0.97, 0.9, 0.04, 0.03)]

    with pytest.raises(
        ExportError, match=r"not pushed.*a frame of 10.*5\.0e-01, lowest IoU 0\.9000"
    ):
        push_export(small, "me/wrong", rows, source=SOURCE)

    assert "me/wrong" not in hub.repos
    quantized = replace(small, dtype="int8")
    assert push_export(quantized, "me/wrong", rows, source=SOURCE) == f"{hub.url}/me/wrong"


class FakeHub:
    """Stands in for the Hub's client; records how a repo is created, then fails."""

    def __call__(self):
        return self

    def create_repo(self, repo_id, *, private, exist_ok):
        self.private = private
        raise OSError("no network\nand more")


@pytest.mark.parametrize("private", [True, False])
def test_a_refused_push_says_where_the_export_is(small, monkeypatch, private):
    client = FakeHub()
    monkeypatch.setattr(hub_upload, "HfApi", client)

    with pytest.raises(ExportError, match=r"no network\. .*hf upload me/small") as caught:
        push_export(small, "me/small", ROWS, source=SOURCE, private=private)

    assert "\n" not in str(caught.value)
    assert client.private is private


def test_a_hub_that_is_gone_is_one_line(hub, small):  # noqa: F811
    hub.vanish()

    with pytest.raises(ExportError, match=r"could not be pushed to me/small") as caught:
        push_export(small, "me/small", ROWS, source=SOURCE)
    assert "\n" not in str(caught.value)


def test_offline_mode_is_one_line(hub, small, monkeypatch):  # noqa: F811
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(ExportError, match=r"could not be pushed to me/small"):
        push_export(small, "me/small", ROWS, source=SOURCE)
