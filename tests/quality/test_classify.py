"""What the examples of classification promise, on the whole of their data: minutes each."""

import pytest

from conftest import example

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]


def test_sentences(data_dir):
    found = example("classify/sentence_polarity").main([str(data_dir / "sentence-polarity")])
    own = found["gru"].figures["accuracy"]
    assert own >= 0.78
    assert own > found["bag-of-words"].figures["accuracy"]
    assert own > found["tfidf"].figures["accuracy"]


def test_digits(data_dir):
    found = example("classify/digits").main([str(data_dir / "optdigits-8x8" / "digits.csv.gz")])
    assert found.accuracy >= 0.975


def test_messages(data_dir):
    found = example("classify/messages").main([str(data_dir / "sms-spam")])
    assert found["gru"].figures["accuracy"] >= 0.975
    assert found["gru"].figures["macro_f1"] >= 0.95


def test_film_reviews(data_dir):
    own, _ = example("classify/film_reviews").main(
        [str(data_dir / "movie-reviews" / "movie_reviews.zip")]
    )
    assert own.accuracy >= 0.8
