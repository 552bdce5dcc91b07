"""The simulator as a process of its own, with its control port as methods."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tollway.testkit.stack import Service, http, until


class SimulatorServer:
    """A running simulator. URLs are what the official SDKs take as base URL."""

    def __init__(self, folder: Path, **settings: str) -> None:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TOLLWAY_")}
        environment = {**plain, "TOLLWAY_PORT_SIMULATOR": "0", "TOLLWAY_LOG_LEVEL": "warning", **settings}
        self.service = Service("simulator", ["tollway.simulator.main", "serve"], environment, folder)

    def start(self) -> SimulatorServer:
        """Starts it and waits until it listens; later starts keep the port."""
        self.service.start()
        self.origin = f"http://127.0.0.1:{self.service.ports['simulator']}"
        self.openai_url = f"{self.origin}/v1"
        self.anthropic_url = self.azure_url = self.origin
        self.huggingface_url = f"{self.origin}/hf/v1"
        return self

    def stop(self) -> None:
        """Ends it in order; it must have nothing to complain about."""
        assert self.service.stop() == 0, self.service.tail()
        assert not self.service.tail().strip(), self.service.tail()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the control port; its answer."""
        status, _headers, found = http(method, f"{self.origin}/control/{path}", body=body)
        assert status == 200, found
        return found

    def behave(self, model: str, **options: Any) -> None:
        """Sets how a model behaves (`*`: every model)."""
        self.control("POST", "behaviour", {"model": model, **options})

    def counts(self) -> dict[str, Any]:
        """The sums since the last reset."""
        found: dict[str, Any] = self.control("GET", "counts")
        return found

    def requests(self, **query: Any) -> list[dict[str, Any]]:
        """Single requests, newest last."""
        found: list[dict[str, Any]] = self.control("GET", "requests?" + "&".join(f"{k}={v}" for k, v in query.items()))
        return found

    def settled(self, received: int, seconds: float = 5.0) -> dict[str, Any]:
        """The sums once so many requests have arrived and none is open."""

        def look() -> dict[str, Any] | None:
            found = self.counts()
            return found if found["received"] >= received and not found["open"] else None

        found: dict[str, Any] = until(look, seconds, f"{received} requests at the simulator, all ended")
        return found

    def reset(self) -> None:
        """Forgets counts and behaviours."""
        self.control("POST", "reset")
