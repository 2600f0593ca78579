"""The launcher `runpod`: one pod at a time for each job, from a rented GPU to files in the run's folder.

A killed launcher is gone on with by running the same job in the same folder: its pod is found by the name. A
pod that dies is replaced, and goes on from the last checkpoint in the storage.
"""

from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from securetag.cloud import DEAD_STATES, Pod, RunPod
from securetag.errors import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    SecuretagError,
    SettingsError,
    TrainingError,
    UnavailableError,
)
from securetag.records import JsonObject, content_id
from securetag.settings import get_settings
from securetag.storage import CHUNK, storage_for
from securetag.system.hashing import hash_file
from securetag.system.locks import FileLock
from securetag.training.launchers.protocol import Progress, TrainingJob, is_done
from securetag.training.launchers.runpod import bundle, market, state
from securetag.training.launchers.runpod.job import Place, RunPodRun, build_request
from securetag.training.launchers.runpod.naming import is_of_job
from securetag.training.launchers.runpod.state import LaunchState
from securetag.training.recipe import Recipe, load

#: Pods that a job may use up; a base that doesn't fit its GPU would kill any number of them.
MAX_PODS = 3
#: Requests to create one pod of one kind of GPU.
MAX_CREATIONS = 3
#: Seconds in which a created pod must be in the list of all.
LISTED_S = 30.0
#: Seconds that a pod may take to start: the image of several GB is fetched first.
START_S = 1200.0
#: Seconds without a line in the log after which a pod is given up; a living one writes every minute.
SILENCE_S = 900.0
#: Seconds between two looks, and seconds for which `stop` goes on trying.
POLL_S = 10.0
STOP_S = 300.0


def connect() -> Place:
    """Return what the settings name. Raises SettingsError where something is missing."""
    settings = get_settings()
    if settings.runpod_api_key is None or settings.cloud.training_image is None:
        raise SettingsError(
            "training on RunPod needs RUNPOD_API_KEY and SECURETAG_CLOUD__TRAINING_IMAGE",
            hint="docs/training.md walks from an empty account to an adapter.",
        )
    if not settings.storage.startswith("s3://"):
        raise SettingsError(
            "training on RunPod needs a bucket that the pod can reach",
            hint="Set SECURETAG_STORAGE_URL to s3://BUCKET/FOLDER (docs/training.md).",
        )
    api = RunPod(settings.cloud.runpod_url, settings.runpod_api_key.get_secret_value())
    storage = storage_for(settings.storage, settings.storage_credentials)
    return Place(api, storage, settings.cloud, settings.hf_token)


class RunPodLauncher:
    """Runs a job on a rented pod."""

    def __init__(self, place: Place | None = None) -> None:
        self._place = place

    def start(self, job: TrainingJob) -> RunPodRun:
        recipe = load(job.recipe, job.overrides)
        _check(recipe)
        place = self._place or connect()
        job.run_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(job.run_dir / ".runpod.lock")
        if not lock.acquire(wait=False):
            raise ConflictError(f"another process watches the run in {job.run_dir}", hint="Wait for it.")
        run: RunPodRun | None = None
        try:
            run = RunPodRun(job, recipe, place, _find_state(job, recipe, place.clock.time()), lock)
            run.save()
            if not _has_result(run):
                _upload_inputs(run)
                _ensure_pod(run)
        except BaseException as error:
            if run is not None:
                self.stop(run)
            lock.release()
            if isinstance(error, TrainingError) or not isinstance(error, SecuretagError):
                raise
            raise TrainingError(f"RunPod can't train {recipe.name}: {error}", hint=error.hint) from error
        return run

    def watch(self, handle: RunPodRun, progress: Progress | None = None, *, timeout_s: float) -> None:
        clock = handle.place.clock
        deadline = min(handle.state.deadline, clock.time() + timeout_s)
        while not is_done(handle.job.run_dir):
            if clock.time() > deadline:
                raise TrainingError(
                    f"training took longer than {timeout_s:g} s{_because(handle)}",
                    hint=f"Resume it with the same folder: {handle.job.run_dir}",
                )
            try:
                _look(handle, progress)
            except UnavailableError:
                clock.sleep(POLL_S)

    def stop(self, handle: RunPodRun) -> None:
        clock = handle.place.clock
        give_up_at = clock.time() + STOP_S
        try:
            while True:
                with suppress(UnavailableError):
                    pods = _list_pods(handle)
                    for pod in pods:
                        _delete(handle, pod)
                    # A creation without an answer may show up a moment later.
                    is_late = clock.time() < (handle.state.unanswered_at or 0.0) + LISTED_S
                    if not pods and not is_late:
                        break
                if clock.time() > give_up_at:
                    raise UnavailableError(
                        f"the pods of job {handle.state.job} may still exist",
                        hint="`securetag cloud reap` deletes them after their deadline; look at the console.",
                    )
                clock.sleep(POLL_S)
            # What stays in the storage costs cents, and a failed run resumes from it.
            if is_done(handle.job.run_dir):
                for key in handle.place.storage.keys(f"training/{handle.state.job}"):
                    handle.place.storage.delete(key)
        finally:
            handle.lock.release()


@contextmanager
def _reach_storage() -> Iterator[None]:
    """Turn what the storage raises while it is away into UnavailableError."""
    try:
        yield
    except Exception as error:
        is_away = isinstance(error, OSError) and error.errno != errno.ENOSPC
        if is_away or type(error).__module__.startswith(("botocore", "aiohttp")):
            raise UnavailableError(f"the storage does not answer: {error}") from error
        raise


def _check(recipe: Recipe) -> None:
    """Raise SettingsError for a recipe that can't run on a pod."""
    if not recipe.gpu_types:
        raise SettingsError(
            f"{recipe.name} names no gpu_types", hint="Give the recipe RunPod's ids of the GPUs that it fits."
        )
    if Path(recipe.base).is_absolute() or recipe.base.startswith("."):
        raise SettingsError(
            f"the base {recipe.base} is a folder of this machine", hint="Give its Hugging Face id."
        )


def _find_state(job: TrainingJob, recipe: Recipe, now: float) -> LaunchState:
    """Return the state of a job that was begun, or of a new one; a deadline that has passed is renewed."""
    release = json.loads((job.release / "manifest.json").read_bytes())["digest"]
    identity = content_id([recipe.digest, release, job.run_dir.name])[:12]
    deadline = int(now + job.timeout_s)
    known_state = state.load(job.run_dir)
    if known_state is None:
        return LaunchState(job=identity, deadline=deadline)
    if known_state.job != identity:
        raise TrainingError(
            f"{job.run_dir} holds a run of another recipe or release", hint="Take a new folder."
        )
    if known_state.deadline <= now:
        known_state.deadline, known_state.pods, known_state.reasons = deadline, 0, []
    return known_state


def _upload_inputs(run: RunPodRun) -> None:
    """Store the recipe and the release under their content hash, once."""
    with tempfile.TemporaryDirectory(dir=run.job.run_dir) as folder:
        archive = bundle.pack_inputs(run.recipe, run.job.release, Path(folder) / "inputs.tar")
        run.state.inputs_sha256 = hash_file(archive)
        run.state.inputs = run.key(f"inputs-{run.state.inputs_sha256}.tar")
        if not run.place.storage.exists(run.state.inputs):
            with archive.open("rb") as handle:
                chunks = iter(lambda: handle.read(CHUNK), b"")
                run.place.storage.put(run.state.inputs, chunks, limit=archive.stat().st_size)
    run.save()


def _ensure_pod(run: RunPodRun) -> None:
    """Adopt the job's pod, or rent one. Raises TrainingError where none can be had."""
    living: list[Pod] = []
    for pod in _list_pods(run):
        if pod.status in DEAD_STATES or living:
            _delete(run, pod)
        else:
            living.append(pod)
    if not living and run.place.clock.time() < (run.state.unanswered_at or 0.0) + LISTED_S:
        # This process's predecessor was killed while it created a pod.
        living += [late_pod] if (late_pod := _await_listed(run)) else []
    if living:
        _adopt(run, living[0])
        return
    if run.state.pods >= MAX_PODS:
        raise TrainingError(
            f"{run.state.pods} pods didn't finish{_because(run)}", hint=f"See {run.job.run_dir / state.FILE}."
        )
    offers = market.list_offers(run.place.api, run.recipe, run.place.cloud)
    hours = max(0.0, run.state.deadline - run.place.clock.time()) / 3600
    refusals = []
    for offer in offers:
        market.check_budget(run.place.api, offer, hours, run.place.cloud, run.place.clock.time())
        try:
            _create(run, offer)
            return
        except (ConflictError, PermissionDeniedError) as error:
            refusals.append(str(error))
    raise TrainingError(
        f"RunPod places none of {', '.join(offer.gpu for offer in offers)}: {'; '.join(refusals)}",
        hint="Where every GPU is refused for the same reason, the request is wrong; else try again later.",
    )


def _create(run: RunPodRun, offer: market.Offer) -> None:
    """Create a pod and adopt it. A creation without an answer is looked for before it is repeated."""
    clock, body = run.place.clock, build_request(run, offer)
    for _ in range(MAX_CREATIONS):
        # Before the request: a process that is killed within it leaves a pod that may appear late.
        run.state.unanswered_at = clock.time()
        run.save()
        try:
            pod = run.place.api.create_pod(body)
        except UnavailableError as error:
            clock.sleep(error.retry_after_s or 0.0)
            adopted = _await_listed(run)
            if adopted is None:
                continue
            pod = adopted
        except SecuretagError:
            run.state.unanswered_at = None
            run.save()
            raise
        run.state.pods += 1
        run.state.gpu, run.state.price, run.state.made_at = offer.gpu, offer.price, clock.time()
        run.state.last_event_id, run.state.last_event = None, 0
        _adopt(run, pod)
        return
    raise TrainingError(
        f"RunPod answers no request to create a pod with {offer.gpu}", hint="Look at its status page."
    )


def _await_listed(run: RunPodRun) -> Pod | None:
    """Return the pod of a creation that got no answer, once it is listed; None where it never was made."""
    clock = run.place.clock
    until = clock.time() + LISTED_S
    while True:
        with suppress(UnavailableError):
            pods = [pod for pod in _list_pods(run) if pod.status not in DEAD_STATES]
            if pods or clock.time() >= until:
                return pods[0] if pods else None
        clock.sleep(POLL_S)


def _adopt(run: RunPodRun, pod: Pod) -> None:
    clock = run.place.clock
    if run.state.pod_id != pod.id:
        run.state.last_event_id, run.state.last_event = None, 0
    run.state.pod_id, run.state.unanswered_at = pod.id, None
    run.state.made_at = run.state.made_at or clock.time()
    run.state.price = pod.cost or run.state.price
    run.heard_at = clock.time()
    run.save()


def _look(run: RunPodRun, progress: Progress | None) -> None:
    """Read what is new of the job and act on it: fetch the result, replace a dead pod, or wait a moment."""
    clock = run.place.clock
    pod, is_cut = _read_pod(run), False
    if pod is not None and pod.status not in {"PROVISIONING", "STARTING"}:
        before = run.state.last_event_id
        with suppress(UnavailableError, NotFoundError):
            for event in _read_events(run, pod):
                if event.get("event") == "progress":
                    _report(run, event["line"], progress)
        run.save()
        is_cut = run.state.last_event_id != before
    if _has_result(run):
        _fetch(run)
        for line in (run.job.run_dir / "progress.jsonl").read_text().splitlines():
            _report(run, json.loads(line), progress)  # what the log didn't bring
        return
    if is_cut:  # there may be more at once
        return
    now = clock.time()
    if pod is None and now < run.state.made_at + LISTED_S:
        clock.sleep(POLL_S)  # it may not be shown yet
        return
    if pod is None:
        reason = f"pod {run.state.pod_id} vanished"
    elif pod.status in DEAD_STATES:
        reason = f"pod {pod.id} ended as {pod.status} without a result"
    elif pod.status in {"PROVISIONING", "STARTING"} and now > run.state.made_at + START_S:
        reason = f"pod {pod.id} was still {pod.status} after {START_S:g} s"
    elif pod.status == "RUNNING" and now > run.heard_at + SILENCE_S:
        reason = f"pod {pod.id} wrote nothing for {SILENCE_S:g} s"
    else:
        if pod.status != "RUNNING":
            run.heard_at = now
        clock.sleep(POLL_S)
        return
    _give_up(run, pod, reason)
    _ensure_pod(run)


def _report(run: RunPodRun, line: JsonObject, progress: Progress | None) -> None:
    """Pass on a line of progress, unless its step was told already: a replaced pod repeats some."""
    if progress is not None and line["step"] > run.state.last_step:
        run.state.last_step = line["step"]
        progress(line)


def _give_up(run: RunPodRun, pod: Pod | None, reason: str) -> None:
    if pod is not None:
        _delete(run, pod)
    elif run.state.pod_id is not None:
        _count_cost(run)
    if reason not in run.state.reasons:
        run.state.reasons.append(reason)
    run.state.pod_id = None
    run.save()


def _read_pod(run: RunPodRun) -> Pod | None:
    if run.state.pod_id is None:
        return None
    try:
        return run.place.api.pod(run.state.pod_id)
    except NotFoundError:
        return None


def _read_events(run: RunPodRun, pod: Pod) -> Iterator[JsonObject]:
    """Yield the pod's events that are new; lines that other programs wrote are none."""
    for line in run.place.api.stream_logs(pod.id, run.state.last_event_id):
        run.heard_at = run.place.clock.time()
        run.state.last_event_id = line.id
        try:
            event = json.loads(line.line)
            number = int(event["n"])
        except (ValueError, KeyError, TypeError):
            continue
        if number > run.state.last_event:  # the stream resumes at a time, not at a line
            run.state.last_event = number
            yield event
        if event.get("event") == "closing":
            break


def _has_result(run: RunPodRun) -> bool:
    with _reach_storage():
        return run.place.storage.exists(run.key("closing.json"))


def _fetch(run: RunPodRun) -> None:
    """Bring the result back and verify it. Raises TrainingError for a failed run or a damaged result."""
    with _reach_storage():
        closing = json.loads(b"".join(run.place.storage.chunks(run.key("closing.json"))))
    if closing["state"] != "done":
        run.place.storage.delete(run.key("closing.json"))
        raise TrainingError(
            f"training failed in the pod: {closing['reason']}", hint=f"See {run.job.run_dir / 'train.log'}."
        )
    with _temporary(run.job.run_dir) as archive:
        with _reach_storage(), archive.open("wb") as out:
            for chunk in run.place.storage.chunks(run.key("result.tar")):
                out.write(chunk)
        if hash_file(archive) != closing["sha256"]:
            run.place.storage.delete(run.key("closing.json"))
            raise TrainingError(
                "the adapter came back damaged: its sha256 is not the one that the pod computed",
                hint="Run the same command again: the run resumes from its last checkpoint.",
            )
        bundle.unpack(archive, run.job.run_dir)
    finished = json.loads((run.job.run_dir / "run.json").read_bytes())
    if finished.get("recipe_digest") != run.recipe.digest:
        (run.job.run_dir / "run.json").unlink()
        raise TrainingError("the pod trained another recipe", hint="Is its image of this version?")
    _count_cost(run)
    run.save()


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield Path(name) / "result.tar"


def _list_pods(run: RunPodRun) -> list[Pod]:
    pods = [pod for pod in run.place.api.pods() if is_of_job(pod, run.state.job)]
    return sorted(pods, key=lambda pod: (pod.id != run.state.pod_id, pod.id))


def _delete(run: RunPodRun, pod: Pod) -> None:
    run.place.api.delete_pod(pod.id)
    if pod.id == run.state.pod_id:
        _count_cost(run)
        run.state.pod_id = None
        run.save()


def _count_cost(run: RunPodRun) -> None:
    """Add what the present pod has cost, once."""
    if run.state.made_at:
        run.state.cost += run.state.price * (run.place.clock.time() - run.state.made_at) / 3600
        run.state.made_at = 0.0


def _because(run: RunPodRun) -> str:
    return f" ({'; '.join(run.state.reasons)})" if run.state.reasons else ""
