"""The links that need no socket, between real mailboxes and a coordination that only listens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp.comm.communicator import Array, Mailbox
from ddp.comm.threads import make_world
from workers import messages as m
from workers.embedded import EmbeddedLink
from workers.events import End
from workers.hosting import report_end
from workers.link import MailboxLink


class Listener:
    """Stands for a Coordination: remembers what it was told, and answers as a test wants."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.ticks = 0
        self.ending: End | None = None
        self.closed = False
        self.post: Any = None

    @property
    def is_over(self) -> bool:
        return self.ending is not None

    def handle(self, event: Any) -> None:
        self.told.append((event.member, event.message, [a.tolist() for a in event.arrays]))
        if isinstance(event.message, m.Goodbye):
            self.ending = End(0)

    def lost(self, member: str, cause: str) -> None:
        self.told.append((member, cause))

    def tick(self) -> None:
        self.ticks += 1

    def close(self) -> None:
        self.closed = True


def pair() -> tuple[Listener, EmbeddedLink, MailboxLink, Mailbox]:
    """A listener, the link beside it, and the link of rank 1 with its mailbox."""
    (_, here), (_, there) = make_world(2)
    listener = Listener()
    return listener, EmbeddedLink(listener, here), MailboxLink(there), there  # type: ignore[arg-type]


def test_what_the_host_rank_says_is_handled_on_the_spot() -> None:
    listener, link, _, _ = pair()
    link.send(m.StateSent(), [np.ones(2)])
    assert listener.told == [("0", m.StateSent(), [[1.0, 1.0]])]


def test_an_order_for_the_host_rank_is_received_in_order_with_its_arrays() -> None:
    listener, link, _, _ = pair()
    array: Array = np.ones(2)
    listener.post("0", m.RunStep(step=1))
    listener.post("0", m.SendState(), [array])
    assert link.receive(0.0) == (m.RunStep(step=1), ())
    assert link.receive(0.0) == (m.SendState(), [array])
    assert link.receive(0.0) is None
    assert listener.ticks == 3


def test_words_and_orders_cross_between_ranks() -> None:
    listener, link, other, _ = pair()
    other.send(m.Stopping(signal="SIGINT"), [np.arange(3)])
    assert link.receive(0.0) is None  # it has served the other rank meanwhile
    assert listener.told == [("1", m.Stopping(signal="SIGINT"), [[0, 1, 2]])]
    assert other.receive(0.0) is None
    listener.post("1", m.Finish(code=0))
    assert other.receive(0.0) == (m.Finish(code=0), [])


def test_all_that_waits_is_served_before_the_host_rank_goes_on() -> None:
    listener, link, other, _ = pair()
    for step in range(3):
        other.send(m.Committed(step=step, optimizer_s=0.0))
    assert link.receive(0.0) is None
    assert [message.step for _, message, _ in listener.told] == [0, 1, 2]


def test_an_order_that_comes_of_serving_is_given_out_at_once() -> None:
    listener, link, other, _ = pair()
    other.send(m.StateSent())
    other.send(m.Goodbye())
    listener.handle = lambda event: listener.post("0", m.Evaluate())  # type: ignore[method-assign]
    assert link.receive(0.0) == (m.Evaluate(), ())


def test_a_rank_that_talks_nonsense_is_lost() -> None:
    listener, link, _, mailbox = pair()
    mailbox.post(0, [b"nonsense"])
    assert link.receive(0.0) is None
    ((member, cause),) = listener.told
    assert member == "1"
    assert cause


def test_the_host_serves_the_others_until_the_run_is_over() -> None:
    listener, link, other, _ = pair()
    other.send(m.StateSent())
    other.send(m.Goodbye())
    link.close()
    assert [type(message) for _, message, _ in listener.told] == [m.StateSent, m.Goodbye]


@pytest.mark.parametrize(
    ("ending", "code", "shown"),
    [
        (End(0), 0, ""),
        (End(1, "rank 1 is gone"), 1, "ddp: rank 1 is gone\n"),
        (End(143, "asked to stop"), 143, "ddp: asked to stop\n"),
        (None, 7, ""),
    ],
)
def test_the_end_of_a_run_is_reported_and_everything_given_back(
    ending: End | None, code: int, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = Listener()
    listener.ending = ending
    assert report_end(listener, 7) == code  # type: ignore[arg-type]
    assert capsys.readouterr().err == shown
    assert listener.closed
