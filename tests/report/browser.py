"""A real browser without a window: pictures of a page, and what it measures in there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=3000",
)
# A frame has any width; a window is never narrower than 500 pixels. The page's theme follows the frame's surroundings.
_FRAMES = """<!doctype html><meta charset="utf-8"><style>:root {{ color-scheme: light dark }}
body {{ margin: 0; display: flex }} iframe {{ border: 0; height: {height}px; flex: none }}</style>{frames}<pre></pre>
<script>const found = {{}}; addEventListener("message", e => {{ found[e.data.asked] = e.data;
document.querySelector("pre").textContent = JSON.stringify(found) }})</script>"""
_MEASURE = """<script>addEventListener("load", () => {
  const out = [], root = document.scrollingElement;
  for (const svg of document.querySelectorAll("svg.chart")) {
    if (!svg.getClientRects().length) continue;
    const box = svg.viewBox.baseVal;
    for (const t of svg.querySelectorAll("text")) {
      const b = t.getBBox();
      if (b.x < -1 || b.y < -1 || b.x + b.width > box.width + 1 || b.y + b.height > box.height + 1)
        out.push(t.textContent);
    }
  }
  parent.postMessage({asked: location.hash.slice(1), inner: innerWidth, scroll: root.scrollWidth, out,
    dark: matchMedia("(prefers-color-scheme: dark)").matches, height: root.scrollHeight,
    shown: [...document.querySelectorAll("svg.chart")].filter(s => s.getClientRects().length).length}, "*");
})</script>"""


def find_browser() -> str | None:
    """Where a browser is, if there is one."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in _NAMES if (path := shutil.which(name))), None)


class Browser:
    """Runs a browser once per question."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary, self.folder = binary, folder

    def _run(self, *arguments: str, dark: bool) -> str:
        profile = self.folder / "profile"
        theme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        command = [self.binary, *_FLAGS, theme, f"--user-data-dir={profile}", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        finally:
            shutil.rmtree(profile, ignore_errors=True)
        return done.stdout

    def _frames(self, page: Path, widths: tuple[int, ...], height: int) -> Path:
        copy = self.folder / "measured.html"
        copy.write_text(page.read_text(encoding="utf-8") + _MEASURE, encoding="utf-8")
        frames = "".join(f'<iframe src="measured.html#{w}" style="width: {w}px"></iframe>' for w in widths)
        out = self.folder / "frames.html"
        out.write_text(_FRAMES.format(height=height, frames=frames), encoding="utf-8")
        return out

    def measure(self, page: Path, widths: tuple[int, ...], *, dark: bool = False) -> dict[str, dict[str, Any]]:
        """What the page measures in frames of some widths."""
        frames = self._frames(page, widths, 800)
        html = self._run("--dump-dom", frames.as_uri(), dark=dark)
        found = re.search(r"<pre>(.*?)</pre>", html, re.DOTALL)
        assert found, html[-500:]
        measured: dict[str, dict[str, Any]] = json.loads(unescape(found[1]))
        return measured

    def picture(self, page: Path, out: Path, widths: tuple[int, ...], *, dark: bool, height: int = 1400) -> Path:
        """A picture of the page in frames of some widths, side by side."""
        frames = self._frames(page, widths, height)
        size = f"--window-size={max(500, sum(widths))},{height}"
        self._run(f"--screenshot={out}", size, frames.as_uri(), dark=dark)
        return out
