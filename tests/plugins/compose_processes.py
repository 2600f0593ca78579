"""Run the services of `deploy/compose.yaml` as processes, where no Docker engine is.

Each service of ours gets exactly its command, its environment, its working folder, its place in the order and
its health check. What only a container has is mapped, and nothing else:

| in a container | here |
| --- | --- |
| the image `postgres` | PostgreSQL of a wheel; the scripts of the image's init folder run in it |
| `ollama` and its download of a model | `fake_ollama`, a fake: it answers by contract and runs no model |
| the image `proxy` | the program `caddy` on PATH; without it the service is left out |
| a service's name with a port | 127.0.0.1 |
| a port | a free one |
| a volume, a tmpfs, a file that is mounted, a secret | a folder or file below the test's folder |
| all interfaces, for Dagster, which has no accounts | 127.0.0.1 |

Not covered: users, read-only file systems, limits, and the networks' separation.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml
from fake_ollama import FakeOllama

from securetag.cli.services.ports import find_free_port
from securetag.db import binaries

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"
#: Services that are mapped to something else than their own command.
MAPPED = frozenset({"postgres", "ollama", "base-model"})
#: What compose.yaml's `base-model` would download, under the alias that it would get.
ALIAS = "securetag-base"
#: Ports in containers: PostgreSQL, the proxy's, api, Dagster's code and UI. Ollama's is the fake's.
PORTS = ("5432", "8000", "8443", "8081", "8080", "4266", "3000")
HEALTHY_S = 150.0


def load(profile: str, **variables: str) -> dict[str, Any]:
    """Return compose.yaml with its variables filled in, and the services of one profile."""
    text = re.sub(
        r"\$\{(\w+):-([^}]*)\}", lambda match: variables.get(match[1], match[2]), COMPOSE.read_text("utf-8")
    )
    compose: dict[str, Any] = yaml.safe_load(text.replace("$$", "$"))
    compose["services"] = {
        name: service
        for name, service in compose["services"].items()
        if profile in service.get("profiles", [profile])
    }
    return compose


def seconds(duration: str) -> float:
    """`90s` → 90."""
    assert re.fullmatch(r"\d+s", duration), duration
    return float(duration[:-1])


class ComposeProcesses:
    """The services of one profile. `start` starts all, `stop` ends them."""

    def __init__(self, folder: Path, ollama: FakeOllama) -> None:
        self.folder = folder
        self.services: dict[str, dict[str, Any]] = load("cpu")["services"]
        self.has_caddy = shutil.which("caddy", path=self.path) is not None
        if not self.has_caddy:
            del self.services["proxy"]
        self.ports = {port: str(find_free_port("127.0.0.1")) for port in PORTS}
        self._ollama = ollama
        self.ports["11434"] = ollama.host.rsplit(":", 1)[1]
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()

    @property
    def path(self) -> str:
        """The containers' PATH: `securetag`, the environment's programs, PostgreSQL's, the system's."""
        programs = [self.folder / "bin", Path(sys.executable).parent, binaries.install_folder() / "bin"]
        return ":".join([*map(str, programs), os.environ["PATH"]])

    def start(self) -> None:
        """Start every service in its order, each when the conditions of `depends_on` hold."""
        (self.folder / "bin").mkdir()
        command = self.folder / "bin" / "securetag"
        command.write_text(f'#!{sys.executable}\nfrom securetag.cli import app\napp(prog_name="securetag")\n')
        command.chmod(0o755)
        subprocess.run([COMPOSE.parent / "make-secrets.sh", self.folder / "made"], check=True)
        graph = {
            name: [other for other in service.get("depends_on", {}) if other in self.services]
            for name, service in self.services.items()
        }
        for name in TopologicalSorter(graph).static_order():
            for other, rule in self.services[name].get("depends_on", {}).items():
                if other in self.services:
                    self._wait(other, rule["condition"])
                else:
                    assert rule.get("required") is False, f"{name} needs {other}"
            self._start(name)
        for name in self.services:
            if "test" in self.services[name].get("healthcheck", {}):
                self._wait(name, "service_healthy")

    def run(self, name: str, command: list[str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a service's command, or another one in its place, to its end."""
        self._mount(name)
        return subprocess.run(
            self.command(name) if command is None else command,
            env=self.environment(name),
            cwd=self.working_folder(name),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def stop(self) -> dict[str, int | None]:
        """End what runs, last first; return service → exit code, None where it had to be killed."""
        codes: dict[str, int | None] = {}
        for name, process in reversed(self.running.items()):
            process.send_signal(signal.SIGTERM)
            try:
                codes[name] = process.wait(seconds(self.services[name].get("stop_grace_period", "10s")))
            except subprocess.TimeoutExpired:
                codes[name] = None
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.running.clear()
        self._stack.close()
        return codes

    def log(self, name: str) -> str:
        """What a service has written."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def secret(self, name: str) -> str:
        """A secret as the services here get it."""
        return self._translate((self.folder / "made" / name).read_text(), {})

    # Translation

    def command(self, name: str) -> list[str]:
        """Return the service's command."""
        service = self.services[name]
        words = [self._translate(word, self.paths(name)) for word in service["command"]]
        return [word.replace("0.0.0.0", "127.0.0.1") for word in words] if "dagster" in words else words

    def environment(self, name: str) -> dict[str, str]:
        """Return the service's environment, and PATH, which its image sets."""
        given = self.services[name].get("environment", {})
        paths = self.paths(name)
        environment = {variable: self._translate(value, paths) for variable, value in given.items()}
        if (
            name == "postgres"
        ):  # the image's programs use its socket, which trusts whoever is in the container
            environment |= {
                "PGHOST": "127.0.0.1",
                "PGPORT": self.ports["5432"],
                "PGPASSWORD": self.secret("postgres_password"),
            }
        return environment | {"PATH": self.path}

    def working_folder(self, name: str) -> Path:
        folder = Path(self.paths(name).get(self.services[name].get("working_dir", ""), self.folder))
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def paths(self, name: str) -> dict[str, str]:
        """Return path in the container → path here, for everything that is mounted into a service."""
        service = self.services[name]
        paths = {f"/run/secrets/{secret}": self._secret_file(secret) for secret in service.get("secrets", [])}
        for target in service.get("tmpfs", []):
            paths[target] = self.folder / "tmpfs" / name / target.strip("/").replace("/", "-")
        for mount in service.get("volumes", []):
            source, target = mount.split(":")[:2]
            paths[target] = (
                self.folder / "files" / name / source if source[0] == "." else self.folder / source
            )
        return {target: str(here) for target, here in paths.items()}

    def _secret_file(self, name: str) -> Path:
        file = self.folder / "secrets" / name
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_text(self.secret(name))
        return file

    def _translate(self, text: str, paths: Mapping[str, str]) -> str:
        if paths:
            targets = "|".join(re.escape(target) for target in sorted(paths, key=len, reverse=True))
            text = re.sub(rf"(?<![\w/])(?:{targets})(?![\w.-])", lambda match: paths[match[0]], text)
        names, ports = "|".join(map(re.escape, self.services)), "|".join(self.ports)
        hosts = rf"(?<![\w.-])(?:{names})(?=:(?:{ports})(?!\w))|(?<=--code-host=)dagster-code$"
        text = re.sub(hosts, "127.0.0.1", text)
        return re.sub(rf"(?<![\w/.])(?:{ports})(?![\w.])", lambda match: self.ports[match[0]], text)

    # Processes

    def _start(self, name: str) -> None:
        self._mount(name)
        if name == "postgres":
            self._start_postgres()
        elif name == "base-model":
            model = {
                "digest": "f" * 64,
                "template": "",
                "license": [],
                "info": {},
                "made": next(self._ollama.clock),
            }
            self._ollama.models[f"{ALIAS}:latest"] = model
        elif name not in MAPPED:
            self._spawn(name, self.command(name), self.environment(name), self.working_folder(name))

    def _mount(self, name: str) -> None:
        """Make the folders, copy the files that are mounted, and link what is mounted below a volume."""
        paths = self.paths(name)
        for mount in self.services[name].get("volumes", []):
            source, target = mount.split(":")[:2]
            here = Path(paths[target])
            original = COMPOSE.parent / source
            if source[0] == "." and original.is_file():
                here.parent.mkdir(parents=True, exist_ok=True)
                here.write_text(self._translate(original.read_text("utf-8"), paths))
                here.chmod(original.stat().st_mode)
                continue
            here.mkdir(parents=True, exist_ok=True)
            for other, above in paths.items():
                link = Path(above) / target.removeprefix(f"{other}/")
                if target.startswith(f"{other}/") and not link.is_symlink():
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(here)
        for target in self.services[name].get("tmpfs", []):
            Path(paths[target]).mkdir(parents=True, exist_ok=True)

    def _spawn(
        self, name: str, command: list[str], environment: dict[str, str], folder: Path, **how: Any
    ) -> None:
        if not how:  # a test run that is killed leaves none behind
            options = json.dumps({"parent": os.getpid()})
            command = [sys.executable, "-I", "-m", "securetag.system.launch", options, "--", *command]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True, **how
            )

    def _start_postgres(self) -> None:
        """As the image does: a cluster with the superuser's password, then the scripts of the init folder."""
        programs, account = binaries.install_folder() / "bin", binaries.account()
        data = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="securetag-")))
        password = data / "password"
        password.write_text(self.secret("postgres_password"))
        how: dict[str, Any] = {}
        if account.switch:
            how = {"user": account.uid, "group": account.gid, "extra_groups": []}
            for path in (data, password):
                os.chown(path, account.uid, account.gid)
        cluster, plain = str(data / "cluster"), {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        initdb = [str(programs / "initdb"), "-D", cluster, "-U", "postgres", "--auth=scram-sha-256", "-N"]
        subprocess.run(
            [*initdb, f"--pwfile={password}"], env=plain, cwd=data, check=True, capture_output=True, **how
        )
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(data), "fsync": "off"}
        words = [word for option, value in options.items() for word in ("-c", f"{option}={value}")]
        server = [str(programs / "postgres"), "-D", cluster, "-p", self.ports["5432"], *words]
        self._spawn("postgres", server, plain, data, **how)
        environment, paths = self.environment("postgres"), self.paths("postgres")
        self._wait("postgres", "service_healthy")
        name = environment["POSTGRES_DB"]
        subprocess.run(
            ["createdb", "--username", "postgres", name], env=environment, check=True, capture_output=True
        )
        for target in sorted(paths):
            if target.startswith("/docker-entrypoint-initdb.d/"):
                subprocess.run([paths[target]], env=environment, check=True, capture_output=True)

    def _wait(self, name: str, condition: str) -> None:
        """Wait for a condition of `depends_on`, with the service's own health check."""
        if name in MAPPED - {"postgres"} or condition == "service_started":
            return
        process = self.running[name]
        deadline = time.monotonic() + HEALTHY_S
        if condition == "service_completed_successfully":
            assert process.wait(HEALTHY_S) == 0, f"{name}: {self.log(name)}"
            return
        check = self.services[name]["healthcheck"]
        kind, *words = check["test"]
        assert kind == "CMD", f"{name}: {kind}"
        command = [self._translate(word, self.paths(name)) for word in words]
        while True:
            done = subprocess.run(
                command, env=self.environment(name), capture_output=True, text=True, check=False, timeout=120
            )
            if done.returncode == 0:
                return
            assert process.poll() is None, f"{name} ended with {process.returncode}: {self.log(name)[-4000:]}"
            assert time.monotonic() < deadline, f"{name}: {done.stdout}{done.stderr}{self.log(name)[-4000:]}"
            time.sleep(0.5)


@contextmanager
def compose_processes(folder: Path) -> Iterator[ComposeProcesses]:
    """All services of the profile `cpu`, started; whatever still runs at the end is stopped."""
    with FakeOllama() as ollama:
        processes = ComposeProcesses(folder, ollama)
        try:
            processes.start()
            yield processes
        finally:
            processes.stop()
