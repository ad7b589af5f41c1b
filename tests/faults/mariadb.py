"""A MariaDB server of the tests' own, that may be killed and restarted."""

from __future__ import annotations

import getpass
import subprocess
from pathlib import Path
from typing import Any

try:
    import MySQLdb
except ImportError:  # A machine without the driver skips what uses it.
    MySQLdb = None

from tests.services.processes import free_port, wait_until


class MariaDB:
    """A server on a free port with a data directory of its own; ``settings`` is an entry of ``DATABASES``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._user = [f"--user={getpass.getuser()}"]
        self.settings: dict[str, Any] = {
            "ENGINE": "django.db.backends.mysql",
            "NAME": "webhooks",
            "USER": "tests",
            "HOST": "127.0.0.1",
            "PORT": self._port,
            "OPTIONS": {"charset": "utf8mb4"},
            "ATOMIC_REQUESTS": True,
        }

    def install(self) -> None:
        """Create the data directory, start, and create an empty database and its user."""
        command = ["mariadb-install-db", "--no-defaults", f"--datadir={self._data}", *self._user]
        command += ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        self.start()
        server = MySQLdb.connect(unix_socket=str(self._socket), user="root")
        with server.cursor() as cursor:
            cursor.execute("CREATE DATABASE webhooks CHARACTER SET utf8mb4")
            for host in ("127.0.0.1", "localhost"):
                cursor.execute(f"CREATE USER tests@'{host}'")
                cursor.execute(f"GRANT ALL ON webhooks.* TO tests@'{host}'")
        server.close()

    @property
    def _socket(self) -> Path:
        return self._folder / "s"

    def start(self) -> None:
        command = ["mariadbd", "--no-defaults", f"--datadir={self._data}", f"--port={self._port}", *self._user]
        command += [f"--socket={self._socket}", "--bind-address=127.0.0.1", f"--pid-file={self._folder / 'pid'}"]
        with (self._folder / "mariadb.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._answers, 60, self._log)

    def stop(self, *, kill: bool = False) -> None:
        """Shut down in order, or at once."""
        if self._process is not None:
            if kill:
                self._process.kill()
            else:
                self._process.terminate()
            self._process.wait(timeout=60)

    def _answers(self) -> bool:
        try:
            MySQLdb.connect(unix_socket=str(self._socket), user="root").close()
        except MySQLdb.OperationalError:
            return False
        return True

    def _log(self) -> str:
        return f"MariaDB:\n{(self._folder / 'mariadb.log').read_text(errors='replace')[-2000:]}"
