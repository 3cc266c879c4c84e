"""With the tokenizers of the package: what is shown goes on where the prompt ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generate.toys import Table
from recurra.generate import Options, generate, stream
from recurra.text import train_tokenizer

TEXT = "the weather is sunny .\nthe café is full – 12 € a cup .\n" * 3
KINDS = {
    "char": train_tokenizer("char", [TEXT]),
    "char eos": train_tokenizer("char", [TEXT], eos=True),
    "byte": train_tokenizer("byte", [TEXT]),
    "word": train_tokenizer("word", [TEXT], eos=True),
}
MODELS = {kind: Table.random(len(tokenizer), 2) for kind, tokenizer in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["the weather is", "café", "", "€ a"]),
    st.sampled_from([(), (".",), ("e", " s"), ("é", "–"), ("\n",)]),
    st.integers(1, 40),
)
def test_text_is_what_the_tokenizer_decodes(kind, seed, prompt, stop, max_tokens):
    tokenizer, model = KINDS[kind], MODELS[kind]
    options = Options(max_tokens=max_tokens, seed=seed, stop=stop, eos=False)
    (result,) = generate(model, tokenizer, [prompt], options)
    pieces = list(stream(model, tokenizer, prompt, options))
    assert "".join(map(str, pieces)) == result.text
    assert pieces[-1].generation.ids == result.ids

    before = tokenizer.encode(prompt).tolist()
    whole = tokenizer.decode([*before, *result.ids])
    assert whole.startswith(tokenizer.decode(before))
    written = whole[len(tokenizer.decode(before)) :]
    assert written.startswith(result.text)
    assert not any(text in result.text for text in stop)
    if result.stop_reason == "stop":
        assert written[len(result.text) :].startswith(tuple(stop))
    else:
        assert written == result.text
    assert tokenizer.unk_id is None or tokenizer.unk_id not in result.ids
