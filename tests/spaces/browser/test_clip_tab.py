"""The tab of clips by itself, on a page without a model."""

import threading
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser import build
from browser.serve import make_server
from tests.spaces.browser import visiting

PAGE = Path(build.__file__).parent / "page"
KEEP_STREAM = """(() => {
  const devices = navigator.mediaDevices;
  const open = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (wanted) => (window.stream = await open(wanted));
})()"""
STATES = "() => window.stream.getTracks().map((track) => track.readyState)"
# a clip and an engine that finds nothing, in place of the page's own
NAMES = """async () => {
  const { ClipTab } = await import('/view/clip_tab.js');
  const root = document.querySelector('#clip').cloneNode(true);
  for (const part of ['tools', 'stage']) {
    root.querySelector(`[data-part=${part}]`).replaceChildren();
  }
  document.querySelector('#clip').replaceWith(root);
  const prompts = new Map();
  const methods = {
    openClip: () => prompts.clear(),
    nextFrame: () => {},
    clickFrame: (id, xy) => prompts.set(id, { clicks: [[...xy, 1]] }),
    removeObject: (id) => prompts.delete(id),
  };
  const call = async (method, ...given) => {
    methods[method](...given);
    return { frame: 0, masks: new Map(), prompts: new Map(prompts), undoable: true };
  };
  const nothing = () => {};
  const methodsOfClip = { seek: nothing, draw: nothing, close: nothing };
  const source = { width: 64, height: 48, duration: 1, ...methodsOfClip };
  const tab = new ClipTab(root, { call }, Promise.resolve({ model: {} }), nothing);
  const turns = () => tab.open(() => { throw new Error('to wait for all before'); });
  await tab.open(async () => source);
  const list = root.querySelector('[data-part=objects]');
  const rows = () =>
    [...list.children].map((row) => {
      const name = row.querySelector('[type=text]').value;
      return [row.innerText.split('\\n')[0], name];
    });
  const name = (text) => {
    const input = list.lastChild.querySelector('[type=text]');
    input.value = text;
    input.dispatchEvent(new Event('input'));
  };
  tab.stage.handlers.onClick([5, 5], true);
  await turns();
  name('cup');
  tab.tools.handlers.remove(1);
  await turns();
  const afterOnly = rows();
  tab.stage.handlers.onClick([5, 5], true);
  await turns();
  tab.tools.handlers.add();
  name('cat');
  tab.tools.handlers.remove(3);
  tab.tools.handlers.add();
  return { afterOnly, afterLast: rows() };
}"""


@pytest.fixture
def page(browser):
    """The page as it is in the source, whose model is missing."""
    with make_server(PAGE, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        context = browser.new_context()
        context.add_init_script(KEEP_STREAM)
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        state = page.locator("#engine-state")
        expect(state).to_contain_text("could not be started", timeout=visiting.SECONDS)
        page.get_by_role("tab", name="Clip and webcam").click()
        yield page
        context.close()
        server.shutdown()
        thread.join()


def test_the_webcam_is_switched_off_when_the_model_cannot_start(page):
    page.locator("#message").get_by_role("button", name="Close").click()

    page.get_by_role("button", name="Start the webcam").click()

    expect(page.get_by_role("alert")).to_be_visible(timeout=visiting.SECONDS)
    assert page.evaluate(STATES) == ["ended"]
    assert page.locator("#clip [data-part=transport]").is_hidden()


def test_a_new_object_does_not_get_the_name_of_a_removed_one(page):
    found = page.evaluate(NAMES)

    assert found["afterOnly"] == [["Object 2", ""]]
    assert found["afterLast"] == [["Object 2", ""], ["Object 4", ""]]
