"""What counts as the user's yes, and that it counts once."""

from __future__ import annotations

import pytest

from rootcellar import consent, limits
from rootcellar.consent import Questions, Verdict
from rootcellar.errors import NeedsConsent


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "accept",
        {},
        {"action": "decline"},
        {"action": "cancel"},
        {"action": "decline", "content": {"confirm": True}},
        {"action": "accept"},
        {"action": "accept", "content": {}},
        {"action": "accept", "content": {"confirm": False}},
        {"action": "accept", "content": {"confirm": "true"}},
        {"action": "accept", "content": {"confirm": 1}},
        {"action": "accept", "content": {"other": True}},
    ],
)
def test_anything_but_a_filled_in_yes_is_a_no(answer: object) -> None:
    assert consent.verdict(answer) is Verdict.NO


def test_a_filled_in_yes_is_a_yes() -> None:
    assert consent.verdict({"action": "accept", "content": {"confirm": True}}) is Verdict.YES


def test_a_token_is_redeemed_once() -> None:
    questions = Questions()
    token = questions.put()
    assert not questions.redeem("another")
    assert questions.redeem(token)
    assert not questions.redeem(token)


def test_the_oldest_question_lapses_when_too_many_wait() -> None:
    questions = Questions()
    tokens = [questions.put() for _ in range(limits.CONSENT_OPEN_MAX + 1)]
    assert not questions.redeem(tokens[0])
    assert questions.redeem(tokens[1])
    assert questions.redeem(tokens[-1])


def test_a_question_that_waited_too_long_is_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONSENT_S", -1.0)
    questions = Questions()
    assert not questions.redeem(questions.put())


def test_a_question_says_when_what_it_is_about_has_changed() -> None:
    need = NeedsConsent("Replace it.", "print")
    assert consent.question(need, "") == consent.question(need, "print") == "Replace it."
    assert consent.question(need, "other").startswith("It has changed since you were asked. ")
