"""RunPod in virtual time: pods that train, die, hang and get lost, a failing API, a launcher that is killed.

Every request and answer is validated as in `fake_cloud`. A schedule is drawn from a seed.
"""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import httpx
from fake_cloud import FakeRunPod

from securetag.storage import Storage
from securetag.training.launchers.runpod.naming import parse_name

H100, H100_PCIE, L4 = "NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe", "NVIDIA L4"
Ending = Literal["success", "exit", "error", "stuck", "vanish", "hang", "failure", "damage", "slow"]
#: Seconds of a run's work, between two of its log lines, and between two of its checkpoints.
WORK_S, LINE_S, CHECKPOINT_S = 1500, 30, 300


class Killed(BaseException):
    """The launching process is dead: it can do nothing any more, not even clean up."""


class VirtualClock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class KeyStorage(Storage):
    """A local storage whose URLs are its keys."""

    def sign(self, key: str, method: Literal["get", "put"], *, expires_s: int) -> str:
        assert expires_s > 0
        return key


@dataclass
class Schedule:
    """What goes wrong, and how often."""

    random: random.Random
    #: How each pod ends, in order; later ones succeed.
    endings: list[Ending] = field(default_factory=list)
    #: Chance that a request fails; that it has been done nevertheless is a coin's toss.
    failures: float = 0.0
    #: Answers to the first creations.
    refusals: list[int] = field(default_factory=list)
    #: Seconds after which a pod is shown.
    lag_s: float = 0.0
    #: Numbers of the requests at which the launcher is killed.
    kills: set[int] = field(default_factory=set)
    #: Seconds of work after which a pod that dies does; by default any.
    death_s: float | None = None
    has_watchdog: bool = True
    deletes_itself: bool = True

    @classmethod
    def draw(cls, seed: int) -> Schedule:
        chance = random.Random(seed)
        endings: tuple[Ending, ...] = (
            "success",
            "exit",
            "error",
            "stuck",
            "vanish",
            "hang",
            "failure",
            "damage",
            "slow",
        )
        return cls(
            random=chance,
            endings=[chance.choice(endings) for _ in range(chance.randint(0, 3))],
            failures=chance.choice([0.0, 0.0, 0.05, 0.2]),
            refusals=[chance.choice([400, 403, 429, 500, 402, 0]) for _ in range(chance.randint(0, 2))],
            lag_s=chance.choice([0.0, 0.0, 5.0, 20.0]),
            kills={chance.randint(1, 120) for _ in range(chance.choice([0, 0, 1, 2]))},
            has_watchdog=chance.random() < 0.7,
            deletes_itself=chance.random() < 0.7,
        )


@dataclass
class SimulatedPod:
    """The training process of one pod, worked off to the present whenever somebody looks."""

    ending: Ending
    made_at: float
    starts_at: float
    ends_at: float
    work: dict[str, Any]
    #: Events as they were written: time and line.
    lines: list[tuple[float, str]] = field(default_factory=list)
    done_s: float | None = None
    at: float = 0.0


class TrainingPods(FakeRunPod):
    """A fake RunPod whose clock is virtual; `transport` takes the place of the network."""

    GPUS = [
        (H100, None, 80, 2.69, 2.20, None),
        (H100_PCIE, None, 80, 2.39, 1.99, None),
        (L4, "ADA_24", 24, 0.39, 0.29, 0.69),
    ]

    def __init__(
        self,
        contract: dict[str, Any],
        clock: VirtualClock,
        storage: Storage,
        schedule: Schedule,
        result: Callable[[], Path],
    ) -> None:
        super().__init__("rp-key", contract)
        self.clock, self.storage, self.schedule, self.result = clock, storage, schedule, result
        self.stock = {H100: "HIGH", H100_PCIE: "LOW", L4: "HIGH"}
        self.pods: dict[str, SimulatedPod] = {}
        self.requests = 0
        #: Faults are over: what is left is asked for.
        self.is_calm = False
        self.is_killed = False
        #: Most pods of one job at a time, and most that could cost.
        self.most = 0
        self.transport = httpx.MockTransport(self._handle)

    def add(self, identity: str, machine: dict[str, Any], running: str) -> None:
        chance, now = self.schedule.random, self.clock.now
        ending: Ending = self.schedule.endings.pop(0) if self.schedule.endings else "success"
        starts_at = now + chance.uniform(20, 300)
        self.machines[identity] = machine
        self.created.append(identity)
        self.pods[identity] = SimulatedPod(
            ending,
            now,
            starts_at,
            starts_at + (self.schedule.death_s or chance.uniform(30, WORK_S)),
            json.loads(machine["env"]["TRAINING_JOB"]),
        )
        jobs = [parse_name(pod["name"]) for pod in self.machines.values()]
        self.most = max([self.most, *(sum(other == job for other in jobs) for job in jobs)])

    def close(self) -> None:
        """Give back the port that nobody listens on."""
        self._server.server_close()

    def remove(self, identity: str) -> bool:
        return self.machines.pop(identity, None) is not None

    def _handle(self, request: httpx.Request) -> httpx.Response:
        if self.is_killed:
            raise Killed
        self.requests += 1
        chance, path = self.schedule.random, unquote(request.url.path)
        self.clock.sleep(chance.uniform(0.1, 1.0))
        self.advance()
        kill = self.requests in self.schedule.kills and not self.is_calm
        fails = not self.is_calm and chance.random() < self.schedule.failures
        if (kill or fails) and chance.random() < 0.5:
            return self._break_off(request, kill=kill)
        response = self._answer(request, path)
        return self._break_off(request, kill=kill) if kill or fails else response

    def _break_off(self, request: httpx.Request, *, kill: bool) -> httpx.Response:
        if kill:
            self.is_killed = True
            raise Killed
        if self.schedule.random.random() < 0.5:
            raise httpx.ReadTimeout("timed out", request=request)
        return self._refusal(502)

    def _refusal(self, status: int) -> httpx.Response:
        body = {"title": "refused", "status": status, "detail": f"no: {status}"}
        return httpx.Response(status, json=body, headers={"Retry-After": "3"} if status == 429 else {})

    def _answer(self, request: httpx.Request, path: str) -> httpx.Response:
        if request.headers["Authorization"] != f"Bearer {self.token}":
            return self._refusal(401)
        is_refused = request.method == "POST" and self.schedule.refusals and not self.is_calm
        if is_refused and (status := self.schedule.refusals.pop(0)):
            return self._refusal(status)
        if path.endswith("/logs"):
            return self._logs(path.split("/")[-2], request.headers.get("Last-Event-ID"))
        body = json.loads(request.content) if request.content else None
        status, value = self.answer(request.method, path, dict(request.url.params), body)
        return httpx.Response(204) if status == 204 else httpx.Response(status, json=value)

    def _listed(self, kind: str) -> list[dict[str, Any]]:
        lag = 0.0 if self.is_calm else self.schedule.lag_s
        listed = super()._listed(kind)
        return [pod for pod in listed if self.clock.now >= self.pods[pod["id"]].made_at + lag]

    def _logs(self, identity: str, last: str | None) -> httpx.Response:
        """What was written since the last event; sometimes only a part of it, cut anywhere."""
        if identity not in self.machines:
            return self._refusal(404)
        lines = [(f"{at:.3f}", line) for at, line in self.pods[identity].lines]
        events = [
            f"id: {at}\ndata: {json.dumps({'ts': at, 'source': 'container', 'line': line})}\n\n"
            for at, line in lines
            if last is None or at > last
        ]
        text = "".join(events).encode()
        if not self.is_calm and self.schedule.random.random() < 0.2:
            text = text[: self.schedule.random.randint(0, len(text))]
        return httpx.Response(200, content=text, headers={"Content-Type": "text/event-stream"})

    def advance(self) -> None:
        """Let every pod work until now."""
        for identity, machine in list(self.machines.items()):
            self._advance(identity, machine, self.pods[identity])

    def _advance(self, identity: str, machine: dict[str, Any], pod: SimulatedPod) -> None:
        now = self.clock.now
        if self.schedule.has_watchdog and now > pod.work["deadline"] + 120 and machine["status"] == "RUNNING":
            self.remove(identity)
            return
        if pod.ending == "stuck" or machine["status"] in {"EXITED", "ERROR"} or now < pod.starts_at:
            return
        if pod.ending == "error" and machine["status"] == "PROVISIONING":
            machine["status"] = "ERROR"
            return
        machine["status"] = "RUNNING"
        if pod.done_s is None:
            pod.done_s, pod.at = self._read_checkpoint(pod), pod.starts_at
            self._write(pod, event="begin")
        while pod.at + LINE_S <= now and pod.done_s < WORK_S:
            if pod.at >= pod.ends_at and pod.ending in {"exit", "vanish", "hang", "failure"}:
                self._end(identity, machine, pod)
                return
            if pod.ending == "slow":
                pod.at += LINE_S
                self._write(pod, event="alive")
                continue
            pod.at, pod.done_s = pod.at + LINE_S, pod.done_s + LINE_S
            self._write(pod, event="progress", line={"step": int(pod.done_s // LINE_S), "loss": 1.0})
            if pod.done_s % CHECKPOINT_S == 0:
                self._put(pod.work["put_checkpoint"], str(pod.done_s).encode())
        if pod.done_s >= WORK_S:
            self._finish(identity, machine, pod)

    def _end(self, identity: str, machine: dict[str, Any], pod: SimulatedPod) -> None:
        if pod.ending == "exit":
            machine["status"] = "EXITED"
        elif pod.ending == "vanish":
            self.remove(identity)
        elif pod.ending == "failure":
            self._close(identity, machine, pod, {"state": "failed", "reason": "the loss at step 7 is nan"})

    def _finish(self, identity: str, machine: dict[str, Any], pod: SimulatedPod) -> None:
        from securetag.system.hashing import hash_bytes

        content = self.result().read_bytes()
        self._put(pod.work["put_result"], content[:-2000] if pod.ending == "damage" else content)
        self._close(identity, machine, pod, {"state": "done", "sha256": hash_bytes(content)})

    def _close(
        self, identity: str, machine: dict[str, Any], pod: SimulatedPod, closing: dict[str, Any]
    ) -> None:
        if machine.get("_closed"):
            return
        machine["_closed"] = True
        self._put(pod.work["put_closing"], json.dumps(closing).encode())
        self._write(pod, event="closing", **closing)
        if self.schedule.deletes_itself:
            self.remove(identity)

    def _read_checkpoint(self, pod: SimulatedPod) -> float:
        key = pod.work["checkpoint"]
        return float(b"".join(self.storage.chunks(key))) if self.storage.exists(key) else 0.0

    def _put(self, key: str, content: bytes) -> None:
        self.storage.put(key, [content], limit=len(content))

    def _write(self, pod: SimulatedPod, **event: Any) -> None:
        pod.lines.append((pod.at + len(pod.lines) / 1000, json.dumps({"n": len(pod.lines) + 1, **event})))


def write_result(folder: Path, recipe_digest: str) -> Path:
    """Write the archive that a pod brings back."""
    run = folder / "result"
    (run / "adapter").mkdir(parents=True)
    (run / "adapter" / "adapter_model.safetensors").write_bytes(b"weights" * 1000)
    state = {"state": "done", "recipe_digest": recipe_digest}
    for name, value in (("run", state), ("metrics", {"steps": 50}), ("log_history", [])):
        (run / f"{name}.json").write_text(json.dumps(value))
    steps = [json.dumps({"step": step, "loss": 1.0}) for step in range(1, 51)]
    (run / "progress.jsonl").write_text("\n".join(steps) + "\n")
    with tarfile.open(folder / "result.tar", "w") as archive:
        for path in sorted(run.iterdir()):
            archive.add(path, path.name)
    return folder / "result.tar"
