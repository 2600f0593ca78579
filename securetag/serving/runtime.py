"""The embedded model runtime: llama.cpp servers that we start, watch and stop.

`Runtime` serves given files, for evaluation and tests. `python -m securetag.serving.runtime` is the
daemon: it serves the first published alias of the settings, writes its address to
`<home>/run/services.json`, and when the registry changes it starts the new model's server before it
stops the old one's.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import IO

import httpx
import msgspec

from securetag.errors import ModelUnavailableError, SecuretagError
from securetag.scrubbing import write_tokens
from securetag.serving import base
from securetag.serving.client import CONTROL_TOKENS_TAG, FILE_SHA256_TAG, MODEL_ID_TAG, name_model
from securetag.serving.gguf import read_control_tokens
from securetag.serving.llama_server import ServerSpec
from securetag.serving.registry import FILE as REGISTRY_FILE
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings, cores, get_settings
from securetag.system.extras import require_packages
from securetag.system.files import make_private_folder
from securetag.system.hashing import hash_file
from securetag.system.processes import ChildProcess, log_tail
from securetag.system.services import announce_service, withdraw_service

#: Seconds until a server must have loaded its model; 135M takes 2, 8B from a cold disk minutes.
START_TIMEOUT_S = 180.0
#: Seconds between two looks at the registry and at the child.
POLL_S = 0.5
#: Seconds before a server that died is started again; doubles up to the last.
RESTART_S = (1.0, 60.0)
#: Tokens that one slot holds: what the triage contract allows, and room for a chat template.
CONTEXT = {"compact": 1024, "full": 4608}
#: Requests answered at the same time. A slot of `full` holds 576 MiB of an 8B model's state, one of `compact`
#: 23 MiB of the embedded model's.
SLOTS = {"compact": 4, "full": 2}
#: Cores left to others. llama.cpp's threads spin while they wait for one another: on a busy two-core
#: machine two threads wrote 2 tokens a second where one wrote 20.
SPARED_CORES = 1


class Server:
    """One running child. Made by `start`, ended by `stop`."""

    def __init__(self, process: ChildProcess, url: str) -> None:
        self._process = process
        self.url = url

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.running

    def stop(self) -> None:
        """End the child now; its work is lost, which a client sees as a reset connection."""
        self._process.end()


def start(spec: ServerSpec, *, log: Path, timeout_s: float = START_TIMEOUT_S) -> Server:
    """Start a server and wait until its model answers `/health`.

    Raises ModelUnavailableError, with the log's last lines, when it ends or takes too long.
    """
    make_private_folder(log.parent)
    deadline = time.monotonic() + timeout_s
    with log.open("ab") as errors:
        # The server ends when its stdin does. The thread that starts it may end before.
        process = ChildProcess(
            [sys.executable, "-m", "securetag.serving.llama_server", msgspec.json.encode(spec).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            dies_with_parent=False,
        )
    assert process.stdout is not None
    server = Server(process, "")
    try:
        server.url = _address(process.stdout, deadline)
        _await_health(server, deadline)
    except (OSError, ValueError, KeyError, httpx.HTTPError) as error:
        server.stop()
        raise ModelUnavailableError(
            f"the model server for {spec.model} did not start ({error}): {log_tail(log)}", hint=f"See {log}."
        ) from error
    except BaseException:
        server.stop()
        raise
    return server


def _address(output: IO[bytes], deadline: float) -> str:
    """Read the URL from the child's first line. Raises OSError when none comes."""
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise OSError("it took too long")
            piece = os.read(output.fileno(), 4096)
            if not piece:
                raise OSError("it ended")
            line += piece
    return str(json.loads(line)["url"])


def _await_health(server: Server, deadline: float) -> None:
    while time.monotonic() < deadline:
        if not server.alive:
            raise OSError("it ended")
        try:
            if httpx.get(f"{server.url}/health", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass  # not listening yet; the deadline decides
        time.sleep(0.05)
    raise OSError("it took too long")


def spec_for(
    gguf: Path,
    *,
    aliases: Sequence[str],
    model_id: str,
    slots: int,
    ctx: int,
    threads: int | None,
    port: int = 0,
    file_sha256: str | None = None,
) -> ServerSpec:
    """Build the specification of a server that names its model over HTTP, in tags and by `name_model`.

    The tags also carry the model's control tokens, which a client must escape in a prompt.

    `file_sha256` is that of the file as it is, where it was computed.
    """
    tags = [MODEL_ID_TAG + model_id, CONTROL_TOKENS_TAG + write_tokens(read_control_tokens(gguf))]
    return ServerSpec(
        model=str(gguf),
        aliases=[name_model(model_id, file_sha256), *aliases],
        tags=[*tags, *([FILE_SHA256_TAG + file_sha256] if file_sha256 else [])],
        slots=slots,
        ctx=ctx,
        threads=threads or max(1, cores() - SPARED_CORES),
        port=port,
    )


class Runtime:
    """Servers for given files, all ended when the block is left.

    ::

        with Runtime(log_dir=run / "logs") as runtime:
            url = runtime.serve(path, alias="candidate", model_id=model_id)
    """

    def __init__(self, *, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._servers: list[Server] = []

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def serve(
        self,
        gguf: Path,
        *,
        alias: str,
        model_id: str,
        slots: int = SLOTS["compact"],
        ctx: int = CONTEXT["compact"],
        threads: int | None = None,
    ) -> str:
        """Serve one file; returns the server's base URL. `ctx` counts tokens a slot.

        Raises ModelUnavailableError when it doesn't start, ModuleNotFoundError without the extra `serving`.
        """
        require_packages(["xllamacpp"])  # the child's log alone would name it
        spec = spec_for(gguf, aliases=[alias], model_id=model_id, slots=slots, ctx=ctx, threads=threads)
        server = start(spec, log=self._log_dir / f"{alias}.log")
        self._servers.append(server)
        return server.url

    def stop(self) -> None:
        """End all servers; the object can serve again."""
        while self._servers:
            self._servers.pop().stop()


class Daemon:
    """Serves what the registry publishes, until `stopping` is set."""

    def __init__(self, settings: Settings, *, port: int = 0, slots: int | None = None) -> None:
        """`slots`: those of the settings' profile where none are given."""
        self._settings, self._port = settings, port
        self._slots = slots or SLOTS[settings.triage.profile]
        self._registry = Registry(settings.models_dir)
        self._log = settings.home / "logs" / "model-runtime.log"
        self._server: Server | None = None
        self._served: tuple[str, tuple[str, ...]] | None = None
        self._retry_at, self._pause = 0.0, RESTART_S[0]
        self.stopping = threading.Event()

    def run(self) -> None:
        """Serve; returns after `stopping` is set, the child ended and the address withdrawn."""
        if base.ALIAS not in self._registry.aliases():
            self._registry.publish(base.ALIAS, self._registry.add(base.entry()).model_id)
        seen: tuple[int, int] | None = None
        try:
            while not self.stopping.is_set():
                now = self._version()
                dead = self._server is None or not self._server.alive
                if now != seen or (dead and time.monotonic() >= self._retry_at):
                    seen = now
                    self._follow()
                self.stopping.wait(POLL_S)
        finally:
            withdraw_service(self._settings.run_dir, "runtime", pid=os.getpid())
            if self._server:
                self._server.stop()

    def _version(self) -> tuple[int, int]:
        stat = (self._settings.models_dir / REGISTRY_FILE).stat()
        return stat.st_mtime_ns, stat.st_ino

    def _wanted(self) -> tuple[str, tuple[str, ...]] | None:
        """Return the model of the first wanted alias that is published, and all of its aliases."""
        published = {alias: meaning.current for alias, meaning in self._registry.aliases().items()}
        for alias in self._settings.triage.aliases:
            if model_id := published.get(alias):
                return model_id, tuple(sorted(name for name, meant in published.items() if meant == model_id))
        return None

    def _follow(self) -> None:
        """Make what is served agree with the registry. A model that can't start leaves the old one."""
        try:
            wanted = self._wanted()
            alive = self._server is not None and self._server.alive
            if wanted is None or (wanted == self._served and alive):
                return
            if self._server and (self._port or not alive):
                self._server.stop()  # a fixed port can't be held twice
            entry = self._registry.get(wanted[0])
            spec = spec_for(
                self._registry.path(entry),
                aliases=wanted[1],
                model_id=entry.model_id,
                slots=self._slots,
                ctx=CONTEXT[self._settings.triage.profile],
                threads=None,
                port=self._port,
                file_sha256=self._hash_gated(entry),
            )
            fresh = start(spec, log=self._log)
            if alive and self._wanted() != wanted:
                # The alias was set to another model while this one was loaded.
                fresh.stop()
                return
        except SecuretagError as error:
            _say(f"{error}; next try in {self._pause:g} s")
            self._retry_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, RESTART_S[1])
            return
        old, self._server, self._served = self._server, fresh, wanted
        self._pause = RESTART_S[0]
        announce_service(
            self._settings.run_dir,
            "runtime",
            {
                "url": fresh.url,
                "pid": os.getpid(),
                "server_pid": fresh.pid,
                "model_id": wanted[0],
                "aliases": list(wanted[1]),
            },
        )
        _say(f"serving {', '.join(wanted[1])} ({wanted[0][:12]}) at {fresh.url}")
        if old:
            old.stop()

    def _hash_gated(self, entry: ModelEntry) -> str | None:
        """Return the sha256 of the file of a model that has passed a gate: nobody asks for another's."""
        if entry.gate_pass is None:
            return None
        digest = hash_file(self._registry.path(entry))
        if digest != entry.file_sha256:
            _say(f"{entry.path} is not the file that passed a gate: its answers carry none")
        return digest


def _say(text: str) -> None:
    sys.stderr.write(f"model runtime: {text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the daemon's command line."""
    parser = argparse.ArgumentParser(prog="python -m securetag.serving.runtime", description=__doc__)
    parser.add_argument("--home", type=Path, help="SECURETAG_HOME")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--slots", type=int, help="requests answered at the same time (4; of full prompts 2)")
    given = parser.parse_args(arguments)
    settings = get_settings()
    if given.home:
        settings = settings.model_copy(update={"home": given.home.absolute()})
    daemon = Daemon(settings, port=given.port, slots=given.slots)

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        daemon.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    daemon.run()


if __name__ == "__main__":
    try:
        main()
    except SecuretagError as failure:
        sys.exit(f"error: {failure}\n  next: {failure.hint}")
