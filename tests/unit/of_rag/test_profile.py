"""Profiles: what a pipeline, a judge or a model says of itself, and what is taken where it says nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rag_evals.rag.profile import Profile, profile_of, profile_of_model


def test_what_says_nothing():
    """It takes as many as the run says, costs nothing, and is kept under its fingerprint."""
    profile = profile_of(object())
    assert profile == Profile()
    assert (profile.most_at_once, profile.priced_as, profile.expected, profile.speeds()) == (None,) * 4
    assert (profile.is_cacheable, profile.unscored_is_final) == (True, False)
    assert profile.parts == (profile,)


@pytest.mark.parametrize("said", [None, {"most_at_once": 4}, object()])
def test_a_profile_that_is_none(said):
    """A thing of their own that happens to be called so says nothing."""
    assert profile_of(SimpleNamespace(profile=said)) == Profile()


def test_what_is_said():
    """An attribute or a property, as it comes."""
    mine = Profile(most_at_once=4, is_cacheable=False)

    class Mine:
        @property
        def profile(self):
            return mine

    assert profile_of(Mine()) is mine
    assert profile_of(SimpleNamespace(profile=mine)) is mine


def test_models():
    """A local one takes one call at a time and may know its speeds later; one on a server has a price."""
    local = SimpleNamespace(speeds=None)
    profile = profile_of_model(local)
    assert (profile.most_at_once, profile.priced_as, profile.speeds()) == (1, None, None)
    local.speeds = "measured as it was loaded"
    assert profile.speeds() == "measured as it was loaded"
    remote = profile_of_model(SimpleNamespace(model="gpt", most_at_once=16))
    assert (remote.most_at_once, remote.priced_as, remote.speeds()) == (16, "gpt", None)
