import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from inspect_cases import OTHERS, TEXTS, data_of, load
from recurra.errors import InputError
from recurra.inspect import at_initialisation, gates, report
from recurra.inspect.svg import Axis, number
from recurra.tasks.language_model.training import build

KEYS = ["surprise", "gates", "saturation", "time_constant", "gradient_by_lag", "memory"]
KEYS += ["context_needed", "effective_rank", "neuron_finder", "ablation", "saliency"]


class Page(HTMLParser):
    """Which elements are open, and all attributes."""

    VOID = ("meta", "br", "hr", "img", "link", "input")

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.kept = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.kept += data


def read(html):
    page = Page()
    page.feed(html)
    page.close()
    assert not page.open
    return page


@pytest.fixture(scope="module")
def made():
    return report(load("lm-char-lstm"), data_of("lm-char-lstm") * 3, name="small")


def test_the_page_is_one_file_that_needs_nothing_else(made):
    html = made.html()
    page = read(html)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in ("src", "srcset", "xlink:href", "action"), (tag, name)
        if name == "href":
            assert value.startswith("#"), value
    assert "url(" not in html
    assert "@import" not in html
    assert set(re.findall(r"https?://\S+", html)) == set()
    assert [v for t, n, v in page.attributes if t == "script" and n == "type"] == [
        "application/json"
    ]
    assert len(html.encode()) < 3 << 20


def test_the_numbers_stand_in_the_page_and_are_those_of_the_measures(made):
    kept = json.loads(read(made.html()).kept)
    assert kept == json.loads(json.dumps(made.to_dict()))
    assert [key for key in KEYS if key not in kept] == []
    bits = gates(load("lm-char-lstm"), data_of("lm-char-lstm") * 3)
    mean = np.nanmean(bits.surprise)
    assert kept["surprise"]["bits"]["trained"] == pytest.approx(mean, rel=1e-5)
    for key in KEYS:
        told = kept[key]["bits"] if key == "surprise" else kept[key]
        if key != "gates":
            assert set(told) == {"trained", "at initialisation"}, key


def test_every_picture_has_three_sentences(made):
    html = made.html()
    sections = re.findall(r"<section.*?</section>", html, re.S)
    assert len(sections) == len(KEYS)
    for section in sections:
        assert re.findall(r"<dt>(\w+)</dt><dd>[^<]{20,}</dd>", section) == ["See", "Why", "Try"]
        assert section.count("<svg") >= 1
        assert section.count('role="img" aria-label=') == section.count("<svg")


def test_the_same_model_and_text_give_the_same_bytes(made):
    again = report(load("lm-char-lstm"), data_of("lm-char-lstm") * 3, name="small")
    assert again.html() == made.html()


@pytest.mark.parametrize("name", [*TEXTS, *OTHERS])
def test_every_task_has_a_report(name):
    found = report(load(name), data_of(name), name="<b>&\"'</b><script>")
    page = read(found.html())
    assert json.loads(page.kept)["model"] == "<b>&\"'</b><script>"
    assert "effective_rank" in found.numbers
    if not name.startswith("lm-byte"):
        assert "time_constant" in found.numbers


def test_hostile_tokens_are_text():
    model = load("lm-byte-rnn")
    found = report(model, "</script><svg onload=1> &amp; ]]> \u2028 <!-- " * 4, name="x")
    assert json.loads(read(found.html()).kept)["surprise"]["tokens"][0] == "<"


def test_at_initialisation_is_what_training_with_that_seed_begins_with():
    model = load("lm-char-lstm")
    fresh = at_initialisation(model, seed=3)
    module = build(model.config, len(model.tokenizer), 3)
    for name, tensor in fresh.files.tensors.items():
        np.testing.assert_array_equal(tensor, module.state_dict()[name].numpy())
    before = torch.random.get_rng_state()
    at_initialisation(load("tagger-crf"))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("name", OTHERS)
def test_of_other_tasks_the_layers_are_drawn_anew(name):
    model = load(name)
    fresh, again = (at_initialisation(model, seed=1) for _ in range(2))
    changed = [
        n for n, t in model.files.tensors.items() if not np.array_equal(t, fresh.files.tensors[n])
    ]
    assert any("weight_hh" in n for n in changed)
    assert all(re.search(r"_l\d+(_reverse)?$", n) for n in changed)
    for n, t in fresh.files.tensors.items():
        np.testing.assert_array_equal(t, again.files.tensors[n])


def test_mistakes_are_told_in_a_line():
    with pytest.raises(InputError, match="tokens: expected a number from 8 on"):
        report(load("lm-char-gru"), "the big cat", tokens=2)
    with pytest.raises(InputError, match="expected a trained model"):
        report(torch.nn.LSTM(2, 2), "the")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (-0.5, "−0.5"), (1e-7, "10⁻⁷"), (1500, "1,500")]
)
def test_numbers_of_labels(value, text):
    assert number(value) == text


@pytest.mark.parametrize("log", [False, True])
def test_ticks_lie_within_their_scale(log):
    rng = np.random.default_rng(0)
    for low, span in rng.uniform(0.01, 5, (50, 2)).tolist():
        axis = Axis(low, low * (1 + 10**span) if log else low + span, 0, 100, log)
        ticks = axis.ticks()
        assert 1 <= len(ticks) <= 25
        assert all(low <= t <= axis.high * 1.0001 for t in ticks)
        assert sorted(axis.at(t) for t in ticks) == [axis.at(t) for t in ticks]
