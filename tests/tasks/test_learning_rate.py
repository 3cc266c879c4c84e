"""A rising learning rate: the finder of each task, what it suggests, what it refuses."""

import numpy as np
import pytest

import recurra
from recurra.errors import InputError
from recurra.tasks.learning_rate import LearningRates
from recurra.train import TrainConfig
from recurra.train.schedule import Schedule
from tasks import classified, tagged, tones
from tasks.test_copies import TASKS, series, texts
from tasks.test_manners import ROWS

#: Data of each task, and what `fit` is told besides.
DATA = {
    "lm": (texts, {"bptt": 8}),
    "classify": (lambda folder: classified.reviews(40), {}),
    "tag": (lambda folder: tagged.places(30, seed=0), {}),
    "forecast": (lambda folder: series(), {}),
    "translate": (lambda folder: [(f"a{k}", f"{k}b") for k in range(30)], {}),
    "transcribe": (lambda folder: tones.recordings(12), {}),
}


def test_the_rate_rises_by_one_factor_from_end_to_end():
    config = TrainConfig(steps=50, lr=0.5, min_lr=1e-4, schedule="rising", warmup=10)
    rates = np.array([Schedule.plan(config, 50).at(step) for step in range(50)])
    np.testing.assert_allclose(rates, np.geomspace(0.5e-4, 0.5, 50), rtol=1e-12)


@pytest.mark.parametrize("word", ROWS)
def test_every_task_has_it_and_stays_as_it_was(word, tmp_path):
    model = TASKS[ROWS[word]][0]()
    make, settings = DATA[word]
    found = model.find_lr(make(tmp_path), steps=12, batch=8, threads=1, **settings)
    assert 3 <= len(found.rates) == len(found.losses) == len(found.smoothed) <= 12
    np.testing.assert_allclose(found.rates, np.geomspace(1e-6, 1, 12)[: len(found.rates)])
    assert found.suggestion in found.rates
    with pytest.raises(InputError, match=r"fit|load"):  # it is not trained
        model.save(tmp_path / "model")


def test_the_first_loss_is_that_of_a_training(tmp_path):
    seen = []
    for lowest in (1e-6, 1e-3):
        model = recurra.LanguageModel(hidden=6, embedding=4)
        found = model.find_lr(texts(tmp_path), lowest=lowest, steps=10, bptt=8, seed=3)
        seen.append(found.losses[0])
    losses = []
    model = recurra.LanguageModel(hidden=6, embedding=4)
    watch = [lambda event: losses.append(getattr(event, "loss", None))]
    model.fit(texts(tmp_path), steps=1, bptt=8, seed=3, callbacks=watch, progress=False)
    assert seen == [losses[1]] * 2


def test_it_ends_where_the_loss_comes_apart(tmp_path):
    model = recurra.LanguageModel(hidden=6, embedding=4)
    found = model.find_lr(
        texts(tmp_path), highest=1e4, steps=60, optimizer="sgd", clip=0, bptt=8, batch=4
    )
    assert len(found.rates) < 60
    assert np.isfinite(found.losses).all()
    assert found.suggestion < found.rates[-1]


def test_the_steepest_fall_is_suggested(tmp_path):
    rates = np.geomspace(1e-5, 1, 101)
    smoothed = 3 - 2 / (1 + np.exp(-2 * (np.log(rates) - np.log(0.01)))) + 5 * rates**2
    found = LearningRates(rates, smoothed, smoothed)
    assert 0.005 < found.suggestion < 0.02  # the middle of the fall is 0.01
    assert found.plot(tmp_path / "rates.svg").read_text().count("<svg") == 1
    with pytest.raises(InputError, match="the plot cannot be written"):
        found.plot(tmp_path / "none" / "rates.png")
    assert repr(found).startswith("<LearningRates: 101 from 1e-05 to 1, suggestion 0.0")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lowest": 0}, "expected 0 < lowest < highest"),
        ({"lowest": 1.0, "highest": 0.1}, "expected 0 < lowest < highest"),
        ({"steps": 3}, "steps: expected a number from 10 on"),
        ({"lr": 0.1}, "lr: is what find_lr sets itself"),
        ({"minutes": 1}, "minutes: is what find_lr sets itself"),
        ({"speed": 1}, "speed"),
    ],
)
def test_what_it_refuses(options, words, tmp_path):
    with pytest.raises(InputError, match=words):
        recurra.LanguageModel(hidden=6, embedding=4).find_lr(texts(tmp_path), **options)
