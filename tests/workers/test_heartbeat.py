"""Who is silent and when a beat is due, with a clock of our own."""

from __future__ import annotations

from workers.heartbeat import Pulse


def pulse() -> Pulse[str]:
    return Pulse(interval_s=1.0, limit_s=10.0)


def test_a_beat_is_due_at_once_and_then_once_per_interval() -> None:
    beats = pulse()
    due = [now_s for now_s in (0.0, 0.1, 0.9, 1.0, 1.5, 1.9, 2.0, 7.0, 7.5) if beats.is_due(now_s)]
    assert due == [0.0, 1.0, 2.0, 7.0]


def test_an_interval_changed_later_counts_from_the_next_beat_on() -> None:
    beats = pulse()
    assert beats.is_due(0.0)
    beats.interval_s = 0.2
    assert [now_s for now_s in (0.5, 1.0, 1.1, 1.2) if beats.is_due(now_s)] == [1.0, 1.2]


def test_a_peer_is_silent_when_the_limit_has_passed_not_before() -> None:
    beats = pulse()
    beats.heard("a", 100.0)
    beats.heard("b", 105.0)
    assert beats.silent(110.0) == []
    assert beats.silent(110.1) == ["a"]
    assert beats.silent(115.1) == ["a", "b"]


def test_a_word_ends_the_silence() -> None:
    beats = pulse()
    beats.heard("a", 0.0)
    assert beats.silent(10.5) == ["a"]
    beats.heard("a", 11.0)
    assert beats.silent(15.0) == []
    assert beats.silent(19.0) == []
    assert beats.silent(21.0) == []
    assert beats.silent(21.1) == ["a"]


def test_nobody_is_blamed_for_a_time_in_which_we_did_not_run_ourselves() -> None:
    beats = pulse()
    beats.heard("a", 0.0)
    assert beats.silent(1.0) == []
    assert beats.silent(3600.0) == []  # suspended for an hour, and "a" perhaps with us
    assert beats.silent(3604.0) == []
    assert beats.silent(3608.0) == []
    assert beats.silent(3609.1) == ["a"]


def test_a_peer_never_heard_of_is_not_silent() -> None:
    beats = pulse()
    assert not beats.has_heard("a")
    assert beats.silent(1e9) == []
    beats.heard("a", 0.0)
    assert beats.has_heard("a")


def test_a_peer_that_is_forgotten_is_not_missed() -> None:
    beats = pulse()
    beats.heard("a", 0.0)
    beats.forget("a")
    beats.forget("never there")
    assert beats.silent(100.0) == []
    assert not beats.has_heard("a")


def test_the_cause_names_the_limit_and_the_key_that_sets_it() -> None:
    assert pulse().silence().startswith("no heartbeat for 10 s: ")
    assert "cluster.heartbeat_timeout_s" in pulse().silence()
