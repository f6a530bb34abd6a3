"""A headless Chromium driven through its DevTools protocol: opens a page, runs scripts in it, keeps its errors."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 60.0


def find_chromium() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One Chromium with one page. Use as a context: it is ended by its own process, never by name."""

    def __init__(self, folder: Path) -> None:
        self.profile = folder / "profile"
        self.problems: list[str] = []  # console errors, uncaught exceptions, requests that left the page
        self._numbers = itertools.count(1)

    def __enter__(self) -> Browser:
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
        command = [
            find_chromium(),
            *flags,
            f"--user-data-dir={self.profile}",
            "--remote-debugging-port=0",
            "about:blank",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # type: ignore[arg-type]
        try:
            self.socket = websocket.create_connection(self._page_address(), timeout=30, suppress_origin=True)
        except BaseException:
            self.__exit__()
            raise
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)  # else focus events wait for a window
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def _page_address(self) -> str:
        """Chromium writes its port into its profile once it listens."""
        port_file = self.profile / "DevToolsActivePort"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if port_file.exists() and (text := port_file.read_text().split()):
                with urllib.request.urlopen(f"http://127.0.0.1:{text[0]}/json", timeout=10) as answer:
                    pages = [target for target in json.load(answer) if target["type"] == "page"]
                if pages:
                    return pages[0]["webSocketDebuggerUrl"]
            time.sleep(0.05)
        raise RuntimeError(f"Chromium did not start within {START_SECONDS:.0f} s (exit code {self.process.poll()})")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            self._notice(message)

    def _notice(self, message: dict[str, Any]) -> None:
        kind, facts = message.get("method"), message.get("params", {})
        if kind == "Runtime.exceptionThrown":
            self.problems.append(facts["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif kind == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
            self.problems.append(f"console.{facts['type']}: {[a.get('value') for a in facts['args']]}")
        elif kind == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
            self.problems.append(facts["entry"]["text"])
        elif kind == "Network.requestWillBeSent" and not facts["request"]["url"].startswith(("file:", "data:")):
            self.problems.append(f"request to {facts['request']['url']}")

    def open(self, path: Path) -> None:
        """Opens a file and returns when it has loaded."""
        self.call("Page.navigate", url=path.resolve().as_uri())
        ready = "document.readyState === 'complete' && location.protocol === 'file:'"
        self.wait_for(ready, f"{path} did not load")

    def wait_for(self, condition: str, problem: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.run(condition):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{problem} after {START_SECONDS:.0f} s")
            time.sleep(0.02)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", "exception"))
        return answer["result"].get("value")

    def press(self, key: str, code: int) -> None:
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def resize(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.wait_for(f"innerWidth === {width}", f"the page is not {width} pixels wide")
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # it is drawn anew

    def screenshot(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
        return path
