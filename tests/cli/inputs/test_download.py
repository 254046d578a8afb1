"""Downloads, from a server on this machine."""

import socket

import pytest

from sam2_hf.cli.inputs import download as download_file
from sam2_hf.cli.inputs.download import DownloadError, download
from tests.cli.inputs.web_files import serve

CONTENT = bytes(range(256)) * 9


@pytest.fixture(scope="module")
def web():
    with serve({"/cup.png": CONTENT, "/a b.png": CONTENT}) as address:
        yield address


@pytest.fixture
def refusal(web, tmp_path):
    """Download a path of the server, which must fail; returns what is told."""

    def run(path, limit=10**6):
        with pytest.raises(DownloadError) as caught:
            download(f"{web}{path}", tmp_path / "file", limit)
        return str(caught.value)

    return run


def test_a_file_arrives_whole(web, tmp_path):
    download(f"{web}/cup.png?size=large", tmp_path / "cup.png", len(CONTENT))

    assert (tmp_path / "cup.png").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["/größe 1.png?q=ä#ö", "/gr%C3%B6%C3%9Fe%201.png?q=%C3%A4"])
def test_an_address_may_have_any_characters(path, tmp_path):
    with serve({"/gr%C3%B6%C3%9Fe%201.png": CONTENT}) as address:
        download(f"{address}{path}", tmp_path / "cup.png", len(CONTENT))

    assert (tmp_path / "cup.png").read_bytes() == CONTENT


def test_a_host_of_other_letters_is_asked_for_by_its_ascii_name():
    request = download_file._request("https://me@bücher.example:81/a.png")

    assert request.full_url == "https://me@xn--bcher-kva.example:81/a.png"


def test_an_address_may_hold_the_picture_itself(tmp_path):
    download("data:image/png;base64,QUJD", tmp_path / "cup.png", 10)

    assert (tmp_path / "cup.png").read_bytes() == b"ABC"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/none.png", "the server answers 404 Not Found"),
        ("/page", "it is a web page"),
        ("/moved", "it is a web page"),
        ("/cut", "broke after 4 of 8 bytes"),
    ],
)
def test_what_is_no_file_says_so(refusal, path, told):
    assert told in refusal(path)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(refusal, tmp_path):
    assert "larger than" in refusal("/cup.png", limit=len(CONTENT) - 1)

    assert not (tmp_path / "file").exists()


def test_a_silent_server_is_given_up(refusal, monkeypatch):
    monkeypatch.setattr(download_file, "SILENCE_SECONDS", 0.2)

    assert "silent for 0.2 seconds" in refusal("/silent")


def test_a_server_that_is_not_there_is_told(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/cup.png"

    with pytest.raises(DownloadError, match=r"cannot be reached .*refused"):
        download(address, tmp_path / "file", 10)


@pytest.mark.parametrize("address", ["http://[::1/cup.png", "http://a b/c.png", "http://"])
def test_an_address_that_is_none_is_told(tmp_path, address):
    with pytest.raises(DownloadError):
        download(address, tmp_path / "file", 10)
