from __future__ import annotations

import re

import pytest
from cvss import constants2, constants3, constants4
from hypothesis import given
from hypothesis import strategies as st

from securetag.extractors.readers.advisories.cvss_words import describe_vector

LANGS = ("en", "es")
#: Base metrics of each version, with their values, as the library knows them.
METRICS = {
    "": {name: list(constants2.METRICS_VALUE_NAMES[name]) for name in constants2.METRICS_MANDATORY},
    "CVSS:3.1/": {name: list(constants3.METRICS_VALUE_NAMES[name]) for name in constants3.METRICS_MANDATORY},
    "CVSS:4.0/": {name: list(constants4.METRICS_VALUE_NAMES[name]) for name in constants4.METRICS_MANDATORY},
}


@st.composite
def vectors(draw: st.DrawFn) -> str:
    prefix = draw(st.sampled_from(sorted(METRICS)))
    return prefix + "/".join(
        f"{name}:{draw(st.sampled_from(values))}" for name, values in METRICS[prefix].items()
    )


@given(vectors(), st.sampled_from(LANGS))
def test_every_base_metric_has_its_words(vector: str, lang: str) -> None:
    words = describe_vector(vector, lang)
    metrics = [part for part in vector.split("/") if not part.startswith("CVSS")]
    assert [entry.partition(": ")[0] for entry in words] == metrics
    assert all(re.search(r"\w{3}", entry.partition(": ")[2]) for entry in words)


@given(vectors(), vectors(), st.sampled_from(LANGS))
def test_other_metrics_have_other_words(one: str, other: str, lang: str) -> None:
    assert (describe_vector(one, lang) == describe_vector(other, lang)) == (one == other)


@pytest.mark.parametrize(
    ("vector", "lang"),
    [
        pytest.param(None, "en", id="none"),
        pytest.param("CVSS:3.1/AV:N", "en", id="half a vector"),
        pytest.param("CVSS:3.1/AV:Q/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "en", id="an unknown value"),
        pytest.param("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "de", id="another language"),
    ],
)
def test_no_words(vector: str | None, lang: str) -> None:
    assert describe_vector(vector, lang) == ()


def test_metrics_of_time_and_environment_are_left_out() -> None:
    vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
    assert describe_vector(f"{vector}/E:P/RL:O/MAV:L", "en") == describe_vector(vector, "en")
