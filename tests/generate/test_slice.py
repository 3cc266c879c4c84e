import numpy as np
from generate.toys import Table, letters
from recurra.generate import Options, generate, stream


def test_slice():
    m = Table.random(5)
    t = letters(5, eos="e")
    for o in (
        Options(seed=1),
        Options(temperature=0, eos=False),
        Options(beams=4, n_best=3, logprobs=2),
        Options(
            seed=3,
            temperature=0.5,
            top_k=3,
            top_p=0.9,
            repetition_penalty=1.2,
            stop="abc",
            logprobs=2,
        ),
    ):
        g = generate(m, t, ["ab", "", "d"], o)
        print([str(x) for x in g], g[0].to_dict(), g[0])
    p = list(stream(m, t, "ab", Options(seed=1)))
    assert "".join(map(str, p)) == generate(m, t, ["ab", "", "d"], Options(seed=1))[0].text
