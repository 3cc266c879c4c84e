"""A table of settings checks its values, all of them at once."""

import math
from dataclasses import dataclass

import fastjsonschema
import pytest

from recurra.errors import InputError
from recurra.settings import Settings, check, option


@dataclass(frozen=True, kw_only=True)
class Table(Settings):
    size: int = option(3, "a size", least=1, whole=True)
    rate: float = option(0.5, "a rate", least=0, below=1)
    scale: float = option(1.0, "a scale", above=0, most=10)
    kind: str = option("a", "a kind", choices=("a", "b"))
    every: int | str = option("auto", "how often", words=("auto", "epoch"), least=1, whole=True)
    flag: bool = option(False, "a flag")
    maybe: bool | None = option(None, "a flag or nothing", switch=True)
    limit: float | None = option(1.0, "a limit", least=0, nullable=True)
    pair: tuple[float, float] = option((0.9, 0.99), "two rates", least=0, below=1)


GOOD = [
    {},
    {"size": 1, "rate": 0, "scale": 10, "kind": "b"},
    {"every": "epoch"},
    {"every": 7},
    {"flag": True, "maybe": False},
    {"limit": None},
    {"limit": 0},
    {"pair": (0.0, 0.5)},
]
BAD = [
    ({"size": 0}, "size must be a whole number at least 1, received 0"),
    ({"size": 2.0}, "size must be a whole number at least 1, received 2.0"),
    ({"size": True}, "received True"),
    ({"size": None}, "received None"),
    ({"size": "3"}, "received '3'"),
    ({"rate": 1}, "rate must be a number at least 0 and below 1, received 1"),
    ({"rate": -1e-9}, "rate must be"),
    ({"rate": math.nan}, "received nan"),
    ({"scale": 0}, "scale must be a number above 0 and at most 10, received 0"),
    ({"scale": math.inf}, "received inf"),
    ({"kind": "c"}, "kind must be one of a, b, received 'c'"),
    ({"kind": ["a"]}, "kind must be one of a, b"),
    ({"every": "never"}, "every must be a whole number at least 1 or auto or epoch"),
    ({"every": 0}, "received 0"),
    ({"flag": 1}, "flag must be true or false, received 1"),
    ({"flag": None}, "flag must be true or false"),
    ({"maybe": "yes"}, "maybe must be true or false"),
    ({"limit": -1}, "limit must be"),
    ({"pair": (0.5,)}, "pair must be 2 numbers at least 0 and below 1"),
    ({"pair": (0.5, 1.0)}, "pair must be"),
    ({"pair": 0.5}, "pair must be"),
]


@pytest.mark.parametrize("values", GOOD, ids=str)
def test_good_values(values):
    table = Table(**values)
    assert table.validate() is table
    assert table.mistakes() == []


@pytest.mark.parametrize(("values", "told"), BAD, ids=lambda v: str(v)[:40])
def test_bad_values(values, told):
    (mistake,) = Table(**values).mistakes()
    assert told in mistake
    assert "\n" not in mistake
    with pytest.raises(InputError) as caught:
        Table(**values).validate()
    assert str(caught.value) == f"settings: {mistake}"


def test_all_mistakes_of_all_tables_are_told_together():
    first, second = Table(size=0, kind="c"), Table(rate=2)
    with pytest.raises(InputError) as caught:
        check(first, second, more=["something else"])
    text = str(caught.value)
    assert [text.index(word) for word in ("size", "kind", "rate", "something else")] == sorted(
        text.index(word) for word in ("size", "kind", "rate", "something else")
    )
    assert "\n" not in text
    check(Table(), Table())


@pytest.mark.parametrize("values", GOOD, ids=str)
def test_json_and_back(values):
    table = Table(**values)
    written = table.to_json()
    assert all(not isinstance(value, tuple) for value in written.values())
    assert Table.from_json(written) == table


def test_json_of_another_version():
    with pytest.raises(InputError, match="unknown settings: colour, shape"):
        Table.from_json({"shape": 1, "colour": 2, "size": 3})
    with pytest.raises(InputError, match="size must be"):
        Table.from_json({"size": -1})


def test_every_description_is_there():
    from dataclasses import fields

    from recurra.tasks.language_model import LanguageModelData, LanguageModelSettings
    from recurra.train import TrainConfig

    for table in (LanguageModelSettings, LanguageModelData, TrainConfig):
        table().validate()
        for field in fields(table):
            assert field.metadata["help"], field.name
    names = [*LanguageModelSettings.names(), *LanguageModelData.names(), *TrainConfig.names()]
    assert len(names) == len(set(names)), "one option cannot belong to two tables"


#: JSON has no NaN and no infinity, and to its schemas 2.0 is a whole number.
NOT_IN_JSON = (
    "size must be a whole number at least 1, received 2.0",
    "received nan",
    "received inf",
)


def plain(values):
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


@pytest.mark.parametrize("values", GOOD, ids=str)
def test_the_schema_allows_what_is_right(values):
    fastjsonschema.compile(Table.json_schema())(plain(values))


@pytest.mark.parametrize(
    "values", [v for v, told in BAD if told not in NOT_IN_JSON] + [{"sise": 3}], ids=str
)
def test_the_schema_refuses_what_is_wrong(values):
    with pytest.raises(fastjsonschema.JsonSchemaException):
        fastjsonschema.compile(Table.json_schema())(plain(values))


def test_the_schemas_of_tasks_allow_their_defaults():
    from recurra.tasks.catalog import ENTRIES

    for entry in ENTRIES:
        cls = entry.load()
        for table in (cls.Config, cls.Data):
            schema = table.json_schema()
            fastjsonschema.compile(schema)(table().to_json())
            described = schema["properties"]
            assert all(described[name]["description"] for name in table.names())
