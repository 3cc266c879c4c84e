"""`/v1/stream`: what a stream of the model itself says, bit for bit, within bounds."""

import base64
import json

import numpy as np
import pytest

import recurra
from recurra.generate import Options
from serve.conftest import running
from serve.talk import Talk, url_of
from tasks.streamed import STREAMED, pieces_of


def label(found, last=False):
    return found.to_dict()


def expected(found, last=False):
    if found is None:
        return None
    top = [one._asdict() for one in found.top(20)]
    return {"id": found.id, "text": str(found), "top": top}


def tags(found, last=False):
    return {"tags": [str(tag) for tag in found]}


def text(found, last=False):
    return {"text": found}


def translation(found, last=False):
    return found.to_dict() if last else None


def numbers(frame):
    return np.where(np.isnan(frame), None, frame).tolist()


def samples(frame):
    return np.asarray(frame, "<f4").tobytes()


def series(row):
    lines = [f"{value!r}" for value in row.options["data"].tolist()]
    return {"data": "\n".join(["y", *lines]), "seed": 2}


#: Rows of the table of streams: what is sent to open one, a frame as it is sent, and a result as
#: it comes back.
ROWS = {
    "characters": (lambda row: {"top": 20}, lambda frame: frame, expected),
    "byte pairs": (lambda row: {"top": 20}, lambda frame: frame, expected),
    "a mixture": (lambda row: {"top": 20}, lambda frame: frame, expected),
    "texts, last": (lambda row: {}, lambda frame: frame, label),
    "texts, attention": (lambda row: {}, lambda frame: frame, label),
    "numbers, mean": (lambda row: {}, numbers, label),
    "tags in chains": (lambda row: {}, list, tags),
    "a series, direct": (series, numbers, label),
    "a series, paths": (series, numbers, label),
    "a source": (lambda row: {"beams": 1}, lambda frame: frame, translation),
    "a source, beams": (lambda row: {"beams": 3, "n_best": 2}, lambda frame: frame, translation),
    "speech": (lambda row: {"rate": row.options["rate"]}, samples, text),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = tmp_path_factory.mktemp("streamed")
    found = {}
    for number, name in enumerate(ROWS):
        model = STREAMED[name].make()
        found[name] = made / f"m{number}"
        model.save(found[name])
    return found


@pytest.fixture(scope="module")
def tasks(folders):
    with running([f"m{n}={path}" for n, path in enumerate(folders.values())]) as made:
        yield made


@pytest.mark.parametrize("name", ROWS)
def test_results_are_those_of_the_stream_itself(tasks, folders, name):
    row, (opening, sent, told) = STREAMED[name], ROWS[name]
    model = recurra.load(folders[name])
    served = list(folders).index(name)
    options = opening(row)
    more = row.options
    if "data" in options:
        path = folders[name].parent / "series.csv"
        path.write_text(options["data"])
        more = {"data": path, "seed": 2}
    stream = model.open_stream(**more)
    frames = [row.frame(items) for items in pieces_of(row, model, 6)]
    state = None
    with Talk(url_of(tasks)) as talk:
        opened = talk.ask(type="open", model=f"m{served}", **options)
        assert opened["type"] == "opened", opened
        for number, frame in enumerate(frames):
            if number == len(frames) // 2:
                state, fork = talk.ask(type="state")["state"], stream.fork()
                wrong = talk.push(row.wrong if not isinstance(row.wrong, np.ndarray) else ["x"])
                assert wrong["type"] == "error", wrong
            assert talk.push(sent(frame)) == {"type": "result", "result": told(stream.push(frame))}
        last = told(stream.finish(), last=True)
        assert talk.ask(type="finish") == {"type": "finished", "result": last}
        assert talk.closed() == ([], 1000, "finished")
    rest = {name: value for name, value in options.items() if name == "rate" or name == "top"}
    with Talk(url_of(tasks)) as talk:  # elsewhere, from the middle on, all at once
        opened = talk.ask(type="open", model=f"m{served}", state=state, **rest)
        assert opened["type"] == "opened", opened
        for frame in frames[len(frames) // 2 :]:
            assert talk.push(sent(frame))["result"] == told(fork.push(frame))
        assert talk.ask(type="finish")["result"] == last


def test_long_frames_are_read_in_pieces(tasks, folders):
    model = recurra.load(folders["characters"])
    long = "the big cat sees a small dog. " * 100
    stream = model.open_stream()
    with Talk(url_of(tasks)) as talk:
        talk.ask(type="open", model="m0", top=20)
        assert talk.push(long)["result"] == expected(stream.push(long))
        wrong = talk.push(long + "\u4e00")  # the last piece cannot be read: none was
        assert wrong["type"] == "error" or model.tokenizer.unk_id is not None
        if wrong["type"] == "error":
            assert talk.push("a")["result"] == expected(stream.push("a"))


def test_writing_is_that_of_the_stream_and_stops_when_asked(tasks, folders):
    model = recurra.load(folders["characters"])
    stream = model.open_stream()
    stream.push("the big ")
    pieces = list(stream.write_with("", Options(max_tokens=30, seed=5, temperature=0.8)))
    with Talk(url_of(tasks)) as talk:
        talk.ask(type="open", model="m0", top=20)
        talk.push("the big ")
        talk.tell(type="write", max_tokens=30, seed=5, temperature=0.8)
        heard = [talk.hear() for _ in range(32)]
        assert heard[0] == {"type": "writing", "seed": 5}
        assert [one["id"] for one in heard[1:31]] == [piece.id for piece in pieces]
        assert "".join(one["text"] for one in heard[1:31]) == "".join(p.text for p in pieces)
        assert (heard[30]["finish_reason"], heard[31]) == ("length", {"type": "written"})
        assert talk.push("x")["result"] == expected(stream.push("x"))
        talk.tell(type="write", max_tokens=4000, temperature=0)
        talk.tell(type="push", frame="the ")  # while it writes
        written = []
        while (one := talk.hear())["type"] != "written":
            written.append(one)
        assert len(written) < 4000
        stream.push([one["id"] for one in written if one["type"] == "piece"])
        assert talk.hear()["result"] == expected(stream.push("the "))
    with Talk(url_of(tasks)) as talk:
        talk.ask(type="open", model=f"m{list(folders).index('a source')}", beams=1)
        talk.push("abcdef")
        talk.tell(type="write")
        heard = []
        while (one := talk.hear())["type"] != "written":
            heard.append(one)
        source = recurra.load(folders["a source"])
        assert "".join(m.get("text", "") for m in heard) == source.predict("abcdef", beams=1).text


def test_sound_as_whole_numbers(tasks, folders):
    row = STREAMED["speech"]
    model = recurra.load(folders["speech"])
    sound = np.clip(np.rint(row.sequence(model) * 32768), -32768, 32767).astype("<i2")
    stream = model.open_stream(**row.options)
    wanted = stream.push(sound.astype(np.float32) / np.float32(32768)), stream.finish()
    with Talk(url_of(tasks)) as talk:
        which = f"m{list(folders).index('speech')}"
        talk.ask(type="open", model=which, samples="int16", **row.options)
        assert talk.push(sound.tobytes()[:-1])["error"]["param"] == "frame"
        assert talk.push(sound.tobytes())["result"] == {"text": wanted[0]}
        assert talk.ask(type="finish")["result"] == {"text": wanted[1]}


@pytest.mark.parametrize(
    ("message", "code", "close"),
    [
        ("{", "invalid_json", 1008),
        ("[]", "invalid_json", 1008),
        ('{"type": "open", "type": "open"}', "invalid_json", 1008),
        ("[" * 40 + "]" * 40, "invalid_json", 1008),
        (b"bytes", "invalid_json", 1008),
        ({}, "missing_parameter", 1008),
        ({"type": "push", "frame": "a"}, "invalid_value", 1008),
        ({"type": "open", "model": "m0", "unknown": 1}, "unknown_parameter", 1008),
        ({"type": "open", "model": "../x\n"}, "model_not_found", 1008),
        ({"type": "open", "model": "m0", "top": 21}, "invalid_value", 1008),
        ({"type": "open", "model": "m0", "top": 10**400}, "invalid_value", 1008),
        ({"type": "open", "model": "m0", "state": "?"}, "invalid_value", 1008),
        ({"type": "open", "model": "m0", "state": "AAAA"}, "invalid_state", 1008),
        ({"type": "open", "model": "m11", "language_model": "/etc"}, "unknown_parameter", 1008),
        ({"type": "open", "model": "m11", "rate": 1}, "invalid_value", 1008),
        ({"type": "open", "model": "m7"}, "invalid_value", 1008),
        ({"type": "open", "model": "m7", "data": "no series"}, "invalid_value", 1008),
    ],
    ids=lambda x: str(x)[:40],
)
def test_what_cannot_be_opened_is_closed_in_a_line(tasks, message, code, close):
    with Talk(url_of(tasks)) as talk:
        talk.socket.send(json.dumps(message) if isinstance(message, dict) else message)
        (told,), closed, reason = talk.closed()
        assert (told["error"]["code"], closed) == (code, close), told
        assert reason.startswith(code)
        assert reason.isprintable()
        assert "/tmp" not in told["error"]["message"]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "push"},
        {"type": "push", "frame": None},
        {"type": "push", "frame": {"a": 1}},
        {"type": "push", "frame": [10**9]},
        {"type": "push", "frame": [-1]},
        {"type": "push", "frame": "a", "more": 1},
        {"type": "write", "max_tokens": 0},
        {"type": "write", "temperature": -1},
        {"type": "write", "n": 2},
        {"type": "state", "x": 1},
        b"bytes",
    ],
    ids=str,
)
def test_a_wrong_message_leaves_the_stream_as_it_was(tasks, folders, message):
    stream = recurra.load(folders["characters"]).open_stream()
    with Talk(url_of(tasks)) as talk:
        talk.ask(type="open", model="m0", top=20)
        talk.push("the ")
        talk.socket.send(json.dumps(message) if isinstance(message, dict) else message)
        assert talk.hear()["type"] == "error"
        stream.push("the ")
        assert talk.push("cat")["result"] == expected(stream.push("cat"))


def test_a_state_of_another_model_is_refused(tasks):
    with Talk(url_of(tasks)) as talk:
        talk.ask(type="open", model="m0")
        state = talk.ask(type="state")["state"]
    with Talk(url_of(tasks)) as talk:
        talk.tell(type="open", model="m1", state=state)
        (told,), code, _ = talk.closed()
        assert code == 1008
        assert "received one of another" in told["error"]["message"]
    damaged = bytearray(base64.b64decode(state))
    damaged[-3] ^= 1
    with Talk(url_of(tasks)) as talk:
        talk.tell(type="open", model="m0", state=base64.b64encode(damaged).decode())
        (told,), code, _ = talk.closed()
        assert (told["error"]["code"], code) == ("invalid_state", 1008)
