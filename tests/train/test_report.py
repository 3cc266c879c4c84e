"""report.html: whole, by itself, and saying what the metrics say."""

import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from recurra.train import DivergedError, TrainConfig, fit, read_metrics, write_report
from recurra.train import report as module
from train.small import SmallTask

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Checks that tags close in order; collects ids and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tags, self.text = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for key, value in attributes if key == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.ids += [value for key, value in attributes if key == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


class Writing(SmallTask):
    def samples(self):
        assert not self.module.training
        return [("<script>", "alert('& it goes on')\nand on")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "weather"
    config = TrainConfig(steps=60, eval_every=20, lr=0.02)
    task = Writing(poison=[9])
    fit(task, path, config, identity={"data": {"sha256": "00ff"}})
    return path


def test_it_is_one_whole_page_without_scripts_or_links(run):
    text = (run / "report.html").read_text()
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "img", "iframe")]
    outside = set(re.findall(r"https?://[^\s\"'<>]+", text))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "<?xml" not in text
    for reference in re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", text):
        assert "".join(reference) in page.ids


def test_its_curves_are_images_with_a_description(run):
    text = (run / "report.html").read_text()
    pictures = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.S)]
    assert len(pictures) == 4
    descriptions = [picture.get("aria-label") for picture in pictures]
    best = min(r["valid_loss"] for r in read_metrics(run / "metrics.jsonl") if "valid_loss" in r)
    assert f"lowest {best:.4f}" in descriptions[0]
    assert all("over training steps" in text for text in descriptions)
    assert all(picture.get("role") == "img" for picture in pictures)


def test_it_tells_figures_configuration_and_samples(run):
    text = (run / "report.html").read_text()
    page = Page(text)
    said = " ".join(page.text)
    records = read_metrics(run / "metrics.jsonl")
    for record in records:
        if "valid_loss" in record:
            assert f"{record['valid_loss']:.4f}".rstrip("0") in said
    assert "Step 60 of 60" in said
    assert "1 steps were not finite" in said
    assert "00ff" in said
    assert "alert('& it goes on')" in said
    assert "<b>&lt;script&gt;</b>" in text
    assert "<title>weather: training report</title>" in text


def test_the_same_run_gives_the_same_page(run):
    samples = Writing.samples
    task = Writing()
    task.module.eval()
    before = (run / "report.html").read_bytes()
    assert write_report(run, samples=samples(task)).read_bytes() == before


def test_without_matplotlib_it_says_how_to_get_curves(run, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    text = write_report(run).read_text()
    Page(text)
    assert "pip install 'recurra[report]'" in text
    assert "<svg" not in text


def test_a_run_that_has_not_begun_has_a_report(tmp_path):
    class Never(SmallTask):
        def loss(self, batch, state):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fit(Never(), tmp_path, TrainConfig(steps=3))
    text = (tmp_path / "report.html").read_text()
    Page(text)
    assert "Nothing has been recorded yet." in text


def test_a_run_that_diverged_shows_so(tmp_path):
    task = SmallTask(poison=range(1, 50))
    with pytest.raises(DivergedError):
        fit(task, tmp_path, TrainConfig(steps=20))
    assert all(math.isnan(r["train_loss"]) for r in read_metrics(tmp_path / "metrics.jsonl"))
    text = (tmp_path / "report.html").read_text()
    Page(text)
    assert "5 steps were not finite" in text
