"""JSON, strictly: what is refused, where it stands, and what comes back the same."""

import json

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from recurra.errors import FormatError, InputError
from recurra.storage import dump_json, parse_json, read_json, write_json

REFUSED = {
    "empty": (b"", "line 1 column 1: not JSON: expecting value"),
    "comma": (b'{"a": 1,}', "line 1 column 9: not JSON"),
    "second line": (b'{"a": 1,\n"b" 2}', "line 2 column 5: not JSON: expecting ':' delimiter"),
    "cut short": (b'{"a": [1, 2', "line 1 column 12: not JSON"),
    "two values": (b"{} {}", "line 1 column 4: not JSON: extra data"),
    "byte order mark": (b"\xef\xbb\xbf{}", "not JSON: unexpected UTF-8 BOM"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "another byte at offset 0"),
    "half a character": (b'{"a": "\xc3"}', "another byte at offset 7"),
    "NaN": (b'{"a": "NaN",\n  "b": NaN}', "line 2 column 8: NaN is not JSON"),
    "Infinity": (b"[Infinity]", "line 1 column 2: Infinity is not JSON"),
    "-Infinity": (b"[1, -Infinity]", "line 1 column 5: -Infinity is not JSON"),
    "Infinity, and more": (b"[-Infinity1]]]", "line 1 column 2: -Infinity1 is not JSON"),
    "NaN, and no key": (b'[NaNs, {"\x01": 1}]', "line 1 column 2: NaNs is not JSON"),
    "too large": (b"[1e308, 1e309]", "line 1 column 9: 1e309 is too large"),
    "too large, after an integer as long": (
        b"[1" + b"0" * 400 + b", -2e999]",
        "line 1 column 405: -2e999 is too large",
    ),
    "a key twice": (
        b'{"a": {"k": "k"}, "k": [{"k": 1}],\n "k" : 2}',
        'line 2 column 2: the key "k" stands twice',
    ),
    "a key twice, spelt otherwise": (b'{"a": 1, "\\u0061": 2}', 'column 10: the key "\\u0061"'),
    "lists too deep": (b"[" * 9 + b"]" * 9, "line 1 column 9: nested deeper than 8"),
    "objects too deep": (b'{"":' * 9 + b"1" + b"}" * 9, "nested deeper than 8"),
    "a bomb of lists": (b"[" * 1_000_000, "nested deeper than 8"),
    "a bomb of objects": (b'{"a":' * 200_000, "nested deeper than 8"),
    "an integer without end": (b"9" * 5000, "expected JSON, received what cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case):
    data, words = REFUSED[case]
    path = tmp_path / "config.json"
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read_json(path, depth=8)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "data",
    [b"[" * 8 + b"]" * 8, b'{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}', b'["NaN", "[[[[[[[[["]'],
)
def test_at_the_limits_it_is_read(data):
    assert parse_json(data, "here", depth=8) == json.loads(data)


def test_size_limit(tmp_path):
    (tmp_path / "a.json").write_bytes(b'"' + b"x" * 98 + b'"')
    assert read_json(tmp_path / "a.json", limit=100) == "x" * 98
    with pytest.raises(FormatError, match="at most 99 bytes"):
        read_json(tmp_path / "a.json", limit=99)


def test_missing(tmp_path):
    with pytest.raises(FormatError, match=r"a\.json: no such file"):
        read_json(tmp_path / "a.json")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False).filter(
        lambda x: abs(x) != float("inf")
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@hypothesis.given(values, st.sampled_from([None, 2]))
def test_round_trip(value, indent):
    found = parse_json(dump_json(value, indent=indent), "here")
    assert found == value
    assert repr(found) == repr(value)  # 1 is not 1.0 or True, 0.0 not -0.0


def test_large_integers_and_lone_surrogates_round_trip(tmp_path):
    value = {
        "pcg64": np.random.PCG64(3).state,
        "large": [2**128 - 1, -(7**4000)],
        "half": "\ud83d",
    }
    write_json(tmp_path / "s.json", value)
    assert read_json(tmp_path / "s.json") == value
    judge = np.random.PCG64(0)
    judge.state = read_json(tmp_path / "s.json")["pcg64"]
    assert judge.random_raw() == np.random.PCG64(3).random_raw()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": {"b": [1.0, float("nan")]}}, r"here\.a\.b\[1\]: nan cannot"),
        ([float("-inf")], r"here\[0\]: -inf cannot"),
        ({"a": {3: 1}}, r"here\.a: the key 3 cannot be written as JSON"),
        ({"a": np.float32(1)}, r"here\.a: a float32 cannot"),
        ({"a": np.arange(3)}, r"here\.a: a ndarray cannot"),
        ({"a": b"x"}, r"here\.a: a bytes cannot"),
        ([10**5000], r"here: cannot be written as JSON \(Exceeds the limit"),
    ],
)
def test_what_would_not_come_back_is_not_written(tmp_path, value, words):
    with pytest.raises(InputError, match=words):
        dump_json(value, where="here")
    with pytest.raises(InputError):
        write_json(tmp_path / "a.json", value)
    assert list(tmp_path.iterdir()) == []


def test_a_tuple_is_written_as_a_list():
    assert dump_json({"a": (1, (2, None))}) == b'{"a": [1, [2, null]]}\n'
