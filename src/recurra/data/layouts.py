"""Layouts of dates and times: what each looks like, and how a cell in it is read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
DAY = 86_400_000_000  # microseconds
EPOCH = date(1970, 1, 1).toordinal()
SAMPLE = 200  # cells that choose the layouts in question

TIME = re.compile(
    r"(?P<sep>, ?|T| )(?P<H>\d{1,2})(?::(?P<M>\d\d)(?::(?P<S>\d\d)(?P<f>[.,]\d{1,9})?)?"
    r"|(?P<M2>\d\d)(?P<S2>\d\d)?)?(?P<p> ?[AaPp]\.?[Mm]\.?)?"
    r"(?P<z> ?(?:[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?))?"
)

#: Microseconds since 1970 in the clock of the cell, minutes that this clock is ahead of UTC.
Moment = tuple[int, int | None]


@dataclass(frozen=True)
class Form:
    """One layout. `template` has Y, m, d, b (a month's name), Q, W (a week of ISO 8601) and u (its
    day), and v, the last two digits of a year from 1969 to 2068; `~` is one of - / . and a space.
    `order` is set where day and month can be confused.
    """

    name: str
    template: str
    order: str = ""
    timed: bool = False

    @property
    def pattern(self) -> "re.Pattern[str]":
        """What the date of a cell matches, the time behind it left out."""
        return _pattern(self.template)


@cache
def _pattern(template: str) -> "re.Pattern[str]":
    names = "|".join(f"{name}|{name[:3]}\\.?" for name in MONTHS)
    parts = {
        "Y": r"(?P<Y>\d{4})",
        "y": r"(?P<Y>[12]\d{3})",
        "v": r"(?P<Y>\d\d)(?!\d)",
        "^": r"(?P<s>[-'])",
        "m": r"(?P<m>\d{1,2})",
        "d": r"(?P<d>\d{1,2})",
        "n": r"(?P<m>\d\d)",
        "e": r"(?P<d>\d\d)",
        "b": rf"(?P<b>sept|{names})",
        "Q": r"[Qq](?P<Q>[1-4])",
        "W": r"W(?P<W>\d\d)",
        "u": r"(?P<u>[1-7])",
        "M": "[Mm]",
        "~": r"(?P<s>[-/. ])",
        "=": r"(?P=s)",
        "-": r"(?P<s>[-/])",
        "+": r"(?P<s>[-/ ]?)",
        "_": r"(?P<s>[- /.])",
        ",": r"(?P<t>,? |-|/|\.|, ?)",
        ";": r"-",
    }
    return re.compile("".join(parts[sign] for sign in template), re.IGNORECASE)


#: The first that reads a whole column is its layout.
FORMS = (
    Form("a year", "y"),
    Form("year-month", "Y-m"),
    Form("month/year", "m-Y"),
    Form("yyyymmdd", "yne", timed=True),
    Form("yyyymm", "yn"),
    Form("year and month", "YMn"),
    Form("year and quarter", "Y+Q"),
    Form("quarter and year", "Q+Y"),
    Form("an ISO week", "Y;W"),
    Form("an ISO week", "YW"),
    Form("a day of an ISO week", "Y;W;u"),
    Form("an ISO date or time (year-month-day)", "Y~m=d", timed=True),
    Form("day/month/year", "d~m=Y", "day-first", timed=True),
    Form("month/day/year", "m~d=Y", "month-first", timed=True),
    Form("day, month by name, year", "d_b,Y", timed=True),
    Form("month by name, day, year", "b_d,Y", timed=True),
    Form("year, month by name, day", "Y_b,d", timed=True),
    Form("month by name and year", "b+Y"),
    Form("year and month by name", "Y+b"),
    # As spreadsheets write them; "Jan 15" may be a day, and is not read so.
    Form("month by name and the last two digits of the year", "b^v"),
    Form("day, month by name, the last two digits of the year", "d^b=v", timed=True),
)
NUMBER = Form("a number of steps", "")


def read_cell(form: Form, cell: str) -> Moment | None:
    """One cell in one layout; None where it has another, or is no day of the calendar."""
    if form is NUMBER:
        if not re.fullmatch(r"-?\d{1,19}", cell):
            return None
        number = int(cell)
        return (number, None) if -(1 << 62) < number < 1 << 62 else None
    found = form.pattern.match(cell)
    if not found:
        return None
    part = found.groupdict()
    try:
        day = _day(part) - EPOCH
    except ValueError:  # a 13th month, a 31st of June, year 0
        return None
    rest = cell[found.end() :]
    if not rest:
        return day * DAY, None
    clock = TIME.fullmatch(rest) if form.timed else None
    if not clock:
        return None
    return _clock(clock.groupdict(), day)


def _day(part: dict[str, str | None]) -> int:
    year = int(part["Y"] or 0)
    if len(part["Y"] or "") == 2:
        year += 2000 if year < 69 else 1900
    if part.get("W"):
        return date.fromisocalendar(year, int(part["W"] or 0), int(part.get("u") or 1)).toordinal()
    if part.get("Q"):
        return date(year, 3 * int(part["Q"] or 0) - 2, 1).toordinal()
    if part.get("b"):
        month = next(k for k, m in enumerate(MONTHS, 1) if m[:3] == (part["b"] or "")[:3].lower())
    else:
        month = int(part.get("m") or 1)
    return date(year, month, int(part.get("d") or 1)).toordinal()


def _clock(part: dict[str, str | None], day: int) -> Moment | None:
    hour, minute = int(part["H"] or 0), int(part["M"] or part["M2"] or 0)
    second, digits = int(part["S"] or part["S2"] or 0), (part["f"] or ".")[1:]
    if part["M2"] and part["sep"] != "T":
        return None
    if digits[6:].strip("0"):  # finer than a microsecond, which nothing here counts in
        return None
    if part["p"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (part["p"].strip()[0] in "pP")
    if hour > 23 or minute > 59 or second > 59:
        return None
    moment = (hour * 3600 + minute * 60 + second) * 1_000_000 + int(digits[:6].ljust(6, "0") or 0)
    zone = (part["z"] or "").strip()
    if not zone:
        return day * DAY + moment, None
    ahead = 0
    if zone[0] in "+-":
        hours, minutes = int(zone[1:3]), int(zone[3:].strip(":") or 0)
        if hours > 23 or minutes > 59:
            return None
        ahead = (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)
    return day * DAY + moment, ahead


def style_of(form: Form, cells: Sequence[str]) -> dict[str, str | int | bool]:
    """What else the cells of a layout show: separators, leading zeros, how much of the time."""
    if form is NUMBER or not cells:
        return {}
    style: dict[str, str | int | bool] = {"padded": True}
    # Single digits and fractions show in few cells, so many are looked at.
    for cell in (*cells[:SAMPLE], *cells[-10 * SAMPLE :]):
        found = form.pattern.match(cell)
        assert found
        part = found.groupdict()
        style["s"], style["t"] = part.get("s") or "", part.get("t") or ""
        if any(len(part.get(name) or "00") == 1 for name in "md"):
            style["padded"] = False
        if part.get("b"):
            name = (part["b"] or "").rstrip(".")
            style["full"] = bool(style.get("full")) or name.lower() in MONTHS[:4] + MONTHS[5:]
            style["case"] = "upper" if name.isupper() else "lower" if name.islower() else "title"
        if part.get("Q"):
            style["q"] = next(sign for sign in cell if sign in "qQ")
        clock = TIME.fullmatch(cell[found.end() :]) if form.timed else None
        if clock is None:
            continue
        time = clock.groupdict()
        style["sep"], style["p"], style["z"] = time["sep"] or "", time["p"] or "", time["z"] or ""
        style["hours"] = bool(style.get("hours", True)) and len(time["H"] or "") == 2
        style["colon"] = "" if time["M2"] else ":"
        places = 3 if time["S"] or time["S2"] else 2 if time["M"] or time["M2"] else 1
        style["places"] = max(int(style.get("places", 1)), places)
        if time["f"]:
            style["point"] = time["f"][0]
            style["digits"] = max(int(style.get("digits", 0)), len(time["f"]) - 1)
    return style
