"""Sealed texts: opened under each key, of no use without one, and never read where they were changed."""

from __future__ import annotations

import pytest

from securetag.system.sealing import SealError, SecretBox

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_text_is_sealed_under_the_first_key_and_opened_under_each() -> None:
    old, both, new = SecretBox(["old"]), SecretBox(["new", "old"]), SecretBox(["new"])
    of_old, of_new = old.seal(SECRET), both.seal(SECRET)
    assert SECRET not in of_old + of_new
    assert old.seal(SECRET) != of_old, "equal secrets can't be seen to be equal"
    assert [both.open(of_old), both.open(of_new), new.open(of_new)] == [SECRET] * 3
    assert of_new.startswith(both.prefix)
    assert not of_old.startswith(both.prefix)
    with pytest.raises(SealError, match="isn't set any more"):
        new.open(of_old)


def test_a_changed_text_is_refused_and_one_from_before_sealing_is_read() -> None:
    box = SecretBox(["key"])
    sealed = box.seal(SECRET)
    for place in (len(box.prefix) + 20, len(sealed) - 10):
        other = "A" if sealed[place] != "A" else "B"
        with pytest.raises(SealError, match="was changed"):
            box.open(sealed[:place] + other + sealed[place + 1 :])
    with pytest.raises(SealError, match="isn't set"):
        box.open("sealed.")
    assert box.open(SECRET) == SECRET


def test_the_first_key_seals_where_it_is_given_twice() -> None:
    box = SecretBox(["pepper", "other", "pepper"])
    assert SecretBox(["pepper"]).open(box.seal(SECRET)) == SECRET
