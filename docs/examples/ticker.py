"""A stock ticker that crashes on a bad quote and heals, as you watch."""

import threading
from dataclasses import dataclass

from actors import (
    Backoff,
    Child,
    ChildEnded,
    ChildRestarting,
    ChildStarted,
    Question,
    Supervised,
    Supervisor,
)


@dataclass(frozen=True)
class Quote:
    """What the exchange says, as text."""

    share: str
    price: str


@dataclass(frozen=True)
class Price(Question[float]):
    """Asks what ``share`` cost last."""

    share: str


class Ticker(Supervised):
    """Remembers the last price of every share; a malformed quote crashes it."""

    def on_start(self):
        self.prices = self.restored_state or {}

    def on_receive(self, message):
        match message:
            case Quote(share, price):
                self.prices = {**self.prices, share: float(price)}
                self.save_state(self.prices)  # kept for the next incarnation
            case Price(share):
                return self.prices[share]
        return None


healed = threading.Event()


def show(event):
    """Print what happens in the tree."""
    match event:
        case ChildEnded(path, how):
            print(f"{path} ended: {how}")
        case ChildRestarting(path, delay):
            print(f"{path} restarts in {delay} s")
        case ChildStarted(path, epoch):
            print(f"{path} is up again, epoch {epoch}")
            healed.set()


patience = Backoff(first=0.3, jitter=0)
tree = Supervisor.start(
    Child("ticker", Ticker.start, backoff=patience, hand_over=True), name="exchange"
)
tree.on_event(show)

ticker = tree.address("ticker")
ticker.tell(Quote("ACME", "104.50"))
print("ACME costs", ticker.ask(Price("ACME"), timeout=2))

ticker.tell(Quote("ACME", "n/a"))  # crashes the ticker
price = ticker.ask(Price("ACME"), timeout=2)  # waits for the next one
healed.wait(timeout=2)
print(tree.describe())
print("ACME still costs", price)

tree.stop(timeout=5)
