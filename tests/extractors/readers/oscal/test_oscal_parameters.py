"""Parameters of OSCAL in any shape: no insertion is left in a text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from securetag.errors import SourceError
from securetag.extractors.readers.oscal.model import Param, Prop, Select
from securetag.extractors.readers.oscal.prose import Parameters
from securetag.extractors.text import prose

NAMES = st.sampled_from(["p0", "p1", "p2", "p3"])
TEXTS = st.lists(
    st.text(max_size=12) | NAMES.map(lambda name: f"{{{{ insert: param, {name} }}}}") | st.just("[x]: "),
    max_size=4,
).map("".join)
PARAMS = st.builds(
    Param,
    id=NAMES,
    label=TEXTS,
    values=st.lists(TEXTS, max_size=1),
    props=st.lists(st.builds(Prop, name=st.just("aggregates"), value=NAMES), max_size=2),
    select=st.none() | st.builds(Select, choice=st.lists(TEXTS, max_size=3)),
)


@given(st.lists(PARAMS, max_size=5), TEXTS)
def test_no_insert_survives(params: list[Param], text: str) -> None:
    try:
        resolved = Parameters(params).resolve(text)
    except SourceError:
        return
    assert prose.find_residue(resolved) == []
    assert not ("\ue002" in resolved and "\ue002" not in text and not any("\ue002" in str(p) for p in params))
