"""The event loop, on every poller that it can run on."""
