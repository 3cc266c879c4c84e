"""What is true of one task is true of all: a table of tasks and manners, without an exception."""

import dataclasses
import inspect
import json
from pathlib import Path

import pytest

import recurra
from recurra.errors import FormatError, InputError
from recurra.runtime import Stream, StreamState, push_many
from recurra.settings import Settings
from recurra.tasks.catalog import ENTRIES
from recurra.tasks.protocol import Task
from recurra.train.step import Step
from tasks.streamed import STREAMED
from tasks.test_copies import TASKS

SOURCE = Path(recurra.__file__).parent
CLASSES = {entry.word: entry.load() for entry in ENTRIES}
#: A row of TASKS for each task.
ROWS = {entry.word: entry.folder.replace("_", " ") for entry in ENTRIES}
each_class = pytest.mark.parametrize("word", CLASSES)
each_model = pytest.mark.parametrize("trained", CLASSES, indirect=True)
#: What a model directory says of its training, whatever the task.
TRAINING = {"data", "train"}


@pytest.fixture(scope="module")
def trained(request, tmp_path_factory):
    make, train, _ = TASKS[ROWS[request.param]]
    folder = tmp_path_factory.mktemp(request.param)
    model = make()
    train(model, folder)
    return model, model.fit_result_, model.save(folder / "model")


@each_class
def test_it_stands_on_the_protocol(word):
    cls = CLASSES[word]
    assert issubclass(cls, Task)
    own = set(vars(cls))
    assert not own & {"load", "from_files", "save", "files", "__init__", "_train"}
    for name in ("predict", "evaluate"):
        parameters = list(inspect.signature(getattr(cls, name)).parameters.values())
        first = "inputs" if name == "predict" else "data"
        assert [p.name for p in parameters[:2]] == ["self", first]
        assert parameters[-1].kind is parameters[-1].VAR_KEYWORD


@each_class
def test_help_shows_every_setting_with_its_meaning(word):
    cls = CLASSES[word]
    for table, text in ((cls.Config, cls.__doc__), (cls.Data, cls.fit.__doc__)):
        for field in dataclasses.fields(table):
            assert f"    {field.name}: {field.metadata['help']}" in text
    assert cls.fit.__doc__ != Task.fit.__doc__
    assert len({c.fit.__doc__ for c in CLASSES.values()}) == len(CLASSES)


@each_class
def test_every_table_of_options_is_made_of_options(word):
    cls = CLASSES[word]
    for table in (cls.Config, cls.Data, cls.Prediction or Settings, cls.Measurement):
        for field in dataclasses.fields(table):
            assert field.metadata["help"], f"{table.__name__}.{field.name}"
    assert "skip_bad" in cls.Data.names() or word == "lm"
    assert "valid_share" in cls.Data.names() or word == "forecast"


@each_class
def test_what_is_no_setting_is_named_with_those_that_are(word):
    cls = CLASSES[word]
    with pytest.raises(InputError, match=r"unknown settings: hiden \(did you mean hidden\?\)"):
        cls(hiden=3)
    with pytest.raises(InputError, match=r"unknown settings: epoch \(did you mean epochs\?\)"):
        cls().fit([], epoch=3)
    with pytest.raises(InputError, match="hidden must be a whole number at least 1"):
        cls(hidden=0)


@each_class
def test_before_training_it_says_so(word, tmp_path):
    model = CLASSES[word]()
    assert "not trained" in repr(model)
    for ask in (lambda: model.save(tmp_path / "m"), lambda: model.files, lambda: model.runtime):
        with pytest.raises(InputError, match=r"is not trained yet: call fit, or recurra\.load"):
            ask()
    assert not (tmp_path / "m").exists()


@each_model
def test_the_result_of_training_says_the_same(trained):
    model, result, _ = trained
    assert "not trained" not in repr(model)
    assert result.steps == 2
    assert "loss" in result.best


@each_class
def test_it_is_not_far_from_fit_to_a_step(word, tmp_path, monkeypatch):
    stacks, step = [], Step.__call__

    def watched(self, *args, **kwargs):
        names = [frame.filename for frame in inspect.stack(context=0)]
        stacks.append([name for name in names if str(SOURCE) in name])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(Step, "__call__", watched)
    make, train, _ = TASKS[ROWS[word]]
    train(make(), tmp_path)
    assert len(stacks[0]) + 1 <= 7  # with the step itself


@each_model
def test_options_that_do_not_exist_are_named(trained):
    model, _, _ = trained
    for ask in (model.evaluate, model.predict):
        with pytest.raises(InputError, match="unknown settings: hasty"):
            ask(["a"], hasty=True)


@each_model
def test_the_model_directory_has_the_same_words(trained):
    model, _, path = trained
    config = json.loads((path / "config.json").read_text())
    assert {"task", "architecture", "model", "training"} <= set(config)
    assert config["task"] == model.task
    assert set(config["training"]) >= TRAINING
    assert set(config["training"]["data"]) == set(type(model).Data.names())
    fields = dataclasses.fields(type(model).Config)
    always = {field.name for field in fields if not field.metadata["later"]}
    assert always <= set(config["model"]) <= {field.name for field in fields}


@each_model
def test_the_card_has_the_same_form(trained):
    model, _, path = trained
    card = (path / "README.md").read_text()
    lines = card.splitlines()
    assert lines[:2] == ["---", "library_name: recurra"]
    assert f"# A recurrent {model.title}" in lines
    assert "with seed 0" in card
    assert 'model = recurra.load(".")' in card
    metrics = {line.split(" | ")[0].strip("| ") for line in lines if line.startswith("| ")}
    assert metrics & {"loss", "nats per token"}


@each_model
def test_a_model_is_of_the_class_that_was_expected(trained):
    model, _, path = trained
    assert type(recurra.load(path, expect=type(model))) is type(model)
    other = next(cls for cls in CLASSES.values() if cls is not type(model))
    with pytest.raises(FormatError, match=rf"expected a {other.__name__}, found a "):
        recurra.load(path, expect=other)
    with pytest.raises(FormatError, match="found a model of the task"):
        other.load(path)


@each_model
def test_saved_again_it_is_the_same_bytes(trained, tmp_path):
    _, _, path = trained
    recurra.load(path).save(tmp_path / "again")
    for file in path.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name


@each_model
def test_nothing_in_nothing_out_or_one_line(trained):
    model, _, _ = trained
    told = ""
    try:
        assert len(model.predict([])) == 0
    except InputError as error:
        told = str(error)
    assert "\n" not in told


#: A row of STREAMED for each task.
STREAMS = {row.word: row for row in reversed(STREAMED.values())}  # the first of each task


@each_class
def test_every_task_streams_in_the_same_way(word):
    """That it is the whole in any cutting, and the rest, is in test_streams.py."""
    cls, row = CLASSES[word], STREAMS[word]
    parameters = inspect.signature(cls.open_stream).parameters
    assert parameters["state"].kind is inspect.Parameter.KEYWORD_ONLY
    assert "Raises:" in cls.open_stream.__doc__
    model = row.make()
    stream = row.open(model)
    assert isinstance(stream, Stream)
    assert isinstance(stream.state, StreamState)
    assert stream.state.kind == model.task
    assert not stream.ended
    with pytest.raises((InputError, TypeError), match="hasty"):
        row.open(model, hasty=True)


@each_class
def test_a_stream_begins_before_training_with_the_same_line(word):
    with pytest.raises(InputError, match=r"is not trained yet: call fit, or recurra\.load"):
        STREAMS[word].open(CLASSES[word](**({"bidirectional": False} if word == "tag" else {})))


@each_class
def test_streams_of_two_tasks_do_not_step_together(word):
    row = STREAMS[word]
    other = STREAMS["lm" if word != "lm" else "tag"]
    pair = [row.open(row.make()), other.open(other.make())]
    with pytest.raises(InputError, match="expected streams of one model"):
        push_many(pair, ["a", "b"])
    with pytest.raises(InputError, match=f"expected one of a stream of a {row.make().task}, "):
        pair[0].state = pair[1].state


@pytest.mark.parametrize("word", ["classify", "tag", "transcribe"])
def test_what_reads_in_both_directions_says_which_setting_mends_it(word):
    make, train, _ = TASKS[ROWS[word]]
    model = make()
    if word == "transcribe":
        model = type(model)(**{**model.config.to_json(), "bidirectional": True})
    assert model.config.bidirectional
    train(model, None)
    with pytest.raises(InputError, match="reads from the end to the start: train one with bidir"):
        model.open_stream()
