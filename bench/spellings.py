"""Pushes of points of one size, spelled in every way: the time of a whole parse beside that of the plain spelling.

    python bench/spellings.py [--size 4194304]

Processor time, the best of some rounds, each in turns with the plain one. None may take more than three times as long,
or four where it is refused: storing the plain ones takes as long again as parsing them.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from datacosmos.errors import InvalidUpload
from datacosmos.sources.uploads import parse_named, parse_points

MOST, MOST_REFUSED = 3.0, 4.0
PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Taken:
    """A spelling's milliseconds, and how many times the plain one's that is for as many bytes."""

    spelling: str
    milliseconds: float
    ratio: float
    refused: bool

    @property
    def is_slow(self) -> bool:
        return self.ratio > (MOST_REFUSED if self.refused else MOST)


@dataclass(frozen=True, slots=True)
class Form:
    """One of the forms of a push, and its items in all spellings."""

    parse: Callable[[bytes], Any]
    before: bytes
    after: bytes
    items: dict[str, Sequence[bytes]]

    def body(self, spelling: str, size: int) -> bytes:
        """The items in turns."""
        items = self.items[spelling]
        repeated = b",".join(items)
        rounds = max(1, (size - len(self.before) - len(self.after)) // (len(repeated) + 1))
        return self.before + b",".join([repeated] * rounds) + self.after


def _each(*texts: str) -> dict[str, Sequence[bytes]]:
    return {(text if len(text) <= 50 else f"{text[:47]}…"): [text.encode()] for text in texts}


def _point(time: str, value: str = "4.25") -> str:
    return f'{{"t":{time},"v":{value}}}'


def _named(name: str, time: str = "1711644934", value: str = "4.25") -> str:
    return f'{{"name":"{name}","t":{time},"v":{value}}}'


NUMBERS = (
    *("1", "-0", "1E+5", "1e5", "1e300", "1e-320", "5e-324", "4.9e-324", "2.2250738585072011e-308"),
    *("1.7976931348623157e308", "9007199254740993.0", "0.12345678901234567", "2.4703282292062327208299214195412e-324"),
    *("1e-400", "0e999999999", "9" * 300, "0." + "1" * 700, "0." + "0" * 330 + "1", "1" + "0" * 400 + "e-400"),
    *("17976931348623157" + "0" * 292, "9007199254740993" + "0" * 20 + "." + "0" * 700 + "1", "0." + "1" * 60_000),
    *(" \t4.25\n", " " * 6000 + "4.25"),
)
TIMES = (
    *('"2024-03-28T16:55:34Z"', '"2024-03-28T16:55Z"', '"2024-03-28T16Z"', '"20240328T165534,5+01:00"'),
    *('"2024-W13-4T16:55:34+01:00"', '"9024-03-28T16:55:34Z"', '"2024-03-28T16:55:34.1234567Z"'),
    *('"2024-03-28T16:55:34\\u005a"', '"2024-03-28T16:55:34.' + "1" * 200 + 'Z"'),
)
NAMES = (
    *("m]", "]]]", "m[", "},", "}],", "}]}]" * 64, "},{" * 80, 'm\\"', '\\":', '\\"],' * 64, "\\\\", "\\\\\\\\"),
    *("m:t", "::::", "\\u003a", "\\u006d", "\\u005d", "ä" * 256, "\\ud83d\\ude00" * 128, "m" * 256),
)
VALUES = Form(parse_points, b'{"start":0,"interval":1,"values":[', b"]}", {PLAIN: [b"4.25"]} | _each(*NUMBERS))
POINTS = Form(
    parse_points,
    b'{"points":[',
    b"]}",
    {PLAIN: [_point("1711644934").encode()]}
    | _each(
        *(_point("1711644934", number) for number in NUMBERS),
        *(_point("1e-320", "1e-320"), _point("1", "1"), '{ "v" : 4.25 , "t" : 1 }', '{"\\u0074":1,"\\u0076":1}'),
        *map(_point, TIMES),
    )
    | {"texts and numbers in turns": [_point(time).encode() for time in (*TIMES[:3], "1", "1e-320")]}
    | {
        "a member twice, far apart": [*[_point("1").encode()] * 7000, b'{"t":1,"v":4.25,"v":4.25}'],
        "a fault, far apart": [*[_point("1e-320", "1e-320").encode()] * 6000, _point("1", '"x"').encode()],
        "a nested item, far apart": [*[_point("1").encode()] * 7000, b"[" + b"{}," * 20_000 + b"1]"],
        "nested items": [b"[" + b"{}," * 20_000 + b"1]"],
    },
)
NAMED = Form(
    parse_named,
    b"[",
    b"]",
    {PLAIN: [_named("mast").encode()]}
    | _each(
        *map(_named, NAMES),
        *(_named("m]", time) for time in TIMES),
        *(_named("}],", "1e-320", "1e-320"), _named("m", "1", "1"), '{"v":4.25,"\\u006eame":"m","t":1}'),
    )
    | {
        "countless names": [_named(f"{number:04}]" + "m" * 200).encode() for number in range(9_000)],
        "a fault, far apart": [*[_named("m]", "1e-320", "1e-320").encode()] * 3000, _named("").encode()],
    },
)
FORMS = {"values": VALUES, "points": POINTS, "named points": NAMED}


def measure(form: Form, size: int, rounds: int) -> Iterator[Taken]:
    plain = form.body(PLAIN, size)
    for spelling in form.items:
        body = form.body(spelling, size)
        took = [(_time(form.parse, plain)[0], *_time(form.parse, body)) for _ in range(rounds)]
        base, best, refused = (min(column) for column in zip(*took, strict=True))
        ratio = best / base * len(plain) / max(len(body), len(plain))
        yield Taken(spelling, best * 1000, ratio, refused)


def _time(parse: Callable[[bytes], Any], body: bytes) -> tuple[float, bool]:
    refused, began = False, time.process_time()
    try:
        parse(body)
    except InvalidUpload:
        refused = True
    return time.process_time() - began, refused


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", type=int, default=4 << 20, help="bytes of each body")
    arguments.add_argument("--rounds", type=int, default=3)
    asked = arguments.parse_args()
    for name, form in FORMS.items():
        print(f"\n| {name}, {asked.size:,} bytes | ms | ratio |\n|---|---:|---:|")
        for taken in measure(form, asked.size, asked.rounds):
            remarks = " refused" * taken.refused + " **too slow**" * taken.is_slow
            print(f"| `{taken.spelling}` | {taken.milliseconds:,.0f} | {taken.ratio:.1f}{remarks} |", flush=True)


if __name__ == "__main__":
    main()
