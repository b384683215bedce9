"""Faults injected into two actor systems that know nothing of supervision; what survives."""

import logging
import queue
import threading

import pykka

from actors.testing.faults import Crash, Flood, Hang, Injected, LostReply


class Mailbox:
    """An actor system of our own, in twenty lines: a thread, a queue, ``on_receive``."""

    def __init__(self):
        self.inbox = queue.Queue(maxsize=100)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            message, answer = self.inbox.get()
            answer.put(self.on_receive(message))

    def ask(self, message, timeout=0.3):
        answer = queue.Queue()
        self.inbox.put((message, answer), timeout=timeout)
        return answer.get(timeout=timeout)

    def on_receive(self, message):
        return message * 2


class Stock(pykka.ThreadingActor):
    """The same with Pykka as it comes."""

    use_daemon_thread = True

    def on_receive(self, message):
        return message * 2


def answers(ask):
    """Whether it still does its work; an actor that can't must at least say so in time."""
    try:
        return ask(21) == 42
    except (pykka.Timeout, pykka.ActorDeadError, queue.Empty, queue.Full, Injected):
        return False


def report(system, fault, survived):
    print(f"{system:8} {fault:28} {'survives' if survived else 'does not survive'}")


def ours():
    """Three faults for the twenty lines."""
    actor = Mailbox()
    with Hang(Mailbox, times=1):
        answers(actor.ask)  # this one hangs
        report("mailbox", "hang", answers(actor.ask))
    answers(actor.ask)
    with Flood(lambda message: actor.inbox.put((message, queue.Queue()), timeout=1), 1, 10_000):
        report("mailbox", "flood", answers(lambda message: actor.ask(message, timeout=5)))
    threading.excepthook = lambda _args: None  # its thread is about to die, loudly
    with Crash(Mailbox, times=1):
        answers(actor.ask)
    report("mailbox", "crash", answers(actor.ask))


def stock():
    """The same and two more for Pykka."""

    def ask(ref):
        return lambda message: ref.ask(message, timeout=0.3)

    actor, bystander = Stock.start(), Stock.start()
    with Hang(Stock, times=1):
        answers(ask(actor))
        report("pykka", "hang", answers(ask(actor)))
    with LostReply(actor, times=1):
        answers(ask(actor))
    report("pykka", "lost reply", answers(ask(actor)))
    with Crash(Stock, times=1):
        answers(ask(actor))
    report("pykka", "crash on ask", answers(ask(actor)))
    with Crash(Stock, times=1):
        actor.tell(1)
        actor.actor_stopped.wait(5)
    report("pykka", "crash on tell", answers(ask(actor)))
    victim = Stock.start()
    with Crash(Stock, SystemExit, times=1):
        answers(ask(victim))
    bystander.actor_stopped.wait(5)
    report("pykka", "SystemExit, seen by others", answers(ask(bystander)))


logging.getLogger("pykka").propagate = False  # it logs every crash; here they are expected
ours()
stock()
