"""Starts a peer's process in its environment, and talks to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
ENVIRONMENTS = ROOT / ".venv" / "peers"
PEERS = {"published": "3.12", "django-webhook": f"{sys.version_info.major}.{sys.version_info.minor}"}
"""Peer -> the Python that it needs."""


def python_of(peer: str) -> str:
    """Return the interpreter of a peer's environment, which is made where it is missing or out of date."""
    folder, wanted = ENVIRONMENTS / peer, ROOT / "requirements" / f"peers-{peer}.txt"
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if not stamp.exists() or stamp.stat().st_mtime < wanted.stat().st_mtime:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([find_python(PEERS[peer]), "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted]
        subprocess.run(pip, check=True)
        stamp.touch()
    return str(python)


def find_python(version: str) -> str:
    """Return an interpreter of a version such as 3.12; LookupError where there is none."""
    pyenv = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
    for candidate in (sys.executable, f"python{version}", *map(str, pyenv)):
        if _version_of(candidate) == version:
            return candidate
    raise LookupError(f"python{version} is needed for a peer, and there is none on the PATH.")


def _version_of(python: str) -> str:
    """Return the version of an interpreter; nothing where it does not run, as pyenv's shims of others do not."""
    ask = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


class Peer:
    """A running script of this folder: JSON lines in, JSON lines out; a context manager."""

    def __init__(self, peer: str, script: str, *arguments: str) -> None:
        self._command = [python_of(peer), str(HERE / script), *arguments]

    def __enter__(self) -> Peer:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "DJANGO_", "WEBHOOKS_"))}
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder.name,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # its worker too
        self._process.wait()
        self._folder.cleanup()

    def ask(self, *command: Any) -> Any:
        """Send a command, and return its answer."""
        if self._process.stdin is None:
            raise RuntimeError("The peer has no input.")
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        if self._process.stdout is None or not (line := self._process.stdout.readline()):
            raise RuntimeError(f"{self._command[1]} ended: {self._process.wait()}")
        return json.loads(line)
