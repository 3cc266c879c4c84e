"""Recurra: one model that two threads of the caller write with, and one thread alone."""

import threading
from functools import partial

import recurra
from bench.peers import Forms, Job
from bench.work import Numbers, Text


def forms(spec: dict) -> Forms:
    """Return the text written once, and written by two threads at the same time."""
    text = Text(**spec)
    return {f"{n} streams": partial(_job, text, n) for n in (1, 2)}


def _job(text: Text, count: int) -> Job:
    model = recurra.load(text.model)
    written = [""] * count

    def write(n: int) -> None:
        parts = model.stream(text.prompt, temperature=0.0, max_tokens=text.characters)
        written[n] = "".join(part.text for part in parts)

    def run() -> None:
        threads = [threading.Thread(target=write, args=(n,)) for n in range(1, count)]
        for thread in threads:
            thread.start()
        write(0)
        for thread in threads:
            thread.join()

    def result() -> Numbers:
        run()
        if len(set(written)) > 1:
            raise SystemExit("bench: two threads wrote different texts")
        return text.numbers(written[0])

    return Job(run, result)
