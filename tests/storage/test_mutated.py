"""Model directories with one JSON value changed, the manifest sealed again: right, or refused."""

import copy
import json
import resource
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import recurra
from recurra.errors import FormatError, InputError
from recurra.tasks.catalog import from_files

WAVE = np.sin(np.arange(120) / 5)
#: What each value becomes in turn; DELETED takes it out.
DELETED = object()
VALUES = [None, True, -1, 0, 7, 10**9, 2**63, 10**30, 0.5, 1e308, "", "x", [], {}, [10**9], DELETED]
#: Memory that reading and one use may take.
ROOM = 1 << 30


def forecaster(**settings: Any) -> recurra.Forecaster:
    model = recurra.Forecaster(horizon=3, lookback=6, hidden=4, embedding=4, **settings)
    model.fit(WAVE, steps=1, progress=False, valid_steps=3)
    return model


#: Kind: how a small model is made, and how it is used. A new kind of directory is a new row.
KINDS = {
    "forecaster": (lambda: forecaster(members=2), lambda model: model.predict(WAVE[:40])),
    "forecaster of paths": (
        lambda: forecaster(mode="autoregressive", lags="7", output="student_t"),
        lambda model: model.predict(WAVE[:40]),
    ),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a JSON value, but its own."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from places(item, (*path, key))


def changed(config: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(config)
    at = made
    for key in path[:-1]:
        at = at[key]
    if value is DELETED:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return made


@pytest.fixture
def bounded():
    """Little memory beyond what is taken already."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", "rb") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_of_a_configuration_changed(kind, tmp_path, bounded):
    make, use = KINDS[kind]
    files = make().files
    use(from_files(files))
    seen, told = 0, []
    for path in places(files.config):
        if path[0] == "training" and len(path) > 1:  # what nothing reads but people
            continue
        for value in VALUES:
            config = changed(files.config, path, value)
            try:
                use(from_files(replace(files, config=config)))
            except (FormatError, InputError) as error:
                told.append(str(error))
            except Exception as error:
                raise AssertionError(f"{path} = {value!r}: {error!r}") from error
            seen += 1
    assert seen > 1000
    assert not [text for text in told if "\n" in text]


@pytest.mark.parametrize("kind", KINDS)
def test_changed_files_are_refused_as_files_are(kind, tmp_path):
    """A sample goes through the disk, sealed as a writer seals it."""
    make, use = KINDS[kind]
    files = make().files
    random = np.random.default_rng(0)
    paths = list(places(files.config))
    for n in range(60):
        path, value = paths[random.integers(len(paths))], VALUES[random.integers(len(VALUES))]
        if path == ("task",):
            continue  # no model is saved without one
        config = json.loads(json.dumps(changed(files.config, path, value)))
        folder = replace(files, config=config).save(tmp_path / str(n))
        with suppress(FormatError, InputError):
            use(recurra.load(folder))


#: Values that stood at the places they say, and what is told.
NAMED = [
    (("shape", "members"), 0, '"shape": members: expected a whole number from 1'),
    (("shape", "horizon"), 10**9, '"shape": horizon: expected a whole number from 1 to'),
    (("shape", "horizon"), 4, "horizon: expected 3, as the settings have it, received 4"),
    (("shape", "lags"), [10**9], "lags"),
    (("model", "horizon"), 10**9, "horizon"),
    (("scaler", "transform"), "log", "transform: expected 'none'"),
    (("scaler", "series", "0", 0, 1), 0, '"scaler": series'),
    (("scaler", "step", "count"), 0, "expected a count from 1"),
    (("series", "layout"), "x", '"series"'),
]


@pytest.mark.parametrize(("path", "value", "told"), NAMED)
def test_what_is_wrong_is_named(path, value, told):
    files = forecaster().files
    with pytest.raises(FormatError, match=told):
        from_files(replace(files, config=changed(files.config, path, value)))
