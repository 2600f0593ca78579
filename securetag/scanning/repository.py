"""One commit of somebody's git repository, as an archive: fetched by https, from a public address, bounded.

`git` is run as a tool of the sandbox, with what a stranger's repository could use taken away. Its only way
out is the egress proxy of the web scans, which resolves the host, checks each address and connects to a
checked one, of this host and port alone, for a limited time and number of bytes; where the kernel isolates
tools, git has no other network. No redirect is followed, no other protocol is allowed, no credentials are
asked for or read, no configuration of the machine or the user is read. The repository is bare: nothing is
checked out, so that no hook, filter (LFS) or submodule runs. Objects are verified as they come in. The
archive is unpacked by `securetag.scanning.unpack`.
"""

from __future__ import annotations

import logging
import shutil
import signal
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from anyio.from_thread import start_blocking_portal

from securetag.errors import InputError, ToolError
from securetag.scanning.process import ProcessResult, minimal_environment, run
from securetag.scanning.web.addresses import Network, Refusal, Target, parse_endpoint
from securetag.scanning.web.egress import EgressPolicy, EgressProxy

log = logging.getLogger(__name__)

#: Requests of one fetch: the list of refs, and one negotiation of a shallow fetch.
MAX_REQUESTS = 20
MEMORY_MB = 2_048
#: CPU-seconds of each call of git.
CPU_S = 300.0
#: Nothing of a repository decides what is in its archive.
_ATTRIBUTES = "* -export-ignore -export-subst\n"
#: Words of git's messages, which are English under LANG=C.UTF-8 → what they mean.
_FAILURES = {
    ("not our ref", "couldn't find remote ref", "unadvertised object", "not a valid object name"): (
        "the repository has no such commit"
    ),
    ("fsck", "bad object", "index-pack failed", "unpack-objects failed"): (
        "the repository holds damaged or forbidden objects"
    ),
    ("terminal prompts disabled", "could not read Username", "returned error: 40", "not found"): (
        "there is no repository at this URL that everybody may read"
    ),
    ("returned error: 30", "redirect"): "the URL leads elsewhere, and no redirect is followed",
    ("SSL certificate", "certificate verification"): "the certificate of the repository's host isn't valid",
}
_HINT = "See that the URL is that of a public repository, and that the commit is in it."


@dataclass(frozen=True)
class FetchRequest:
    """A commit to fetch, and how the caller follows and ends it."""

    url: str
    #: 40 or 64 hexadecimal digits.
    commit: str
    #: An empty or absent folder for the repository and the archive.
    out: Path
    #: Bytes that come over the network, that the repository may have, and that the archive may have.
    max_bytes: int
    #: Seconds of wall time that are left.
    timeout_s: float
    #: Networks that the operator has allowed beside the public ones.
    networks: Collection[Network] = ()
    #: Certificate authorities beside the system's.
    authorities: Path | None = None
    #: What the tool doesn't see.
    hidden: Sequence[Path] = ()
    stop: threading.Event | None = None
    on_start: Callable[[int], None] | None = None


def fetch_commit(request: FetchRequest) -> Path:
    """Return a tar.gz of the commit's files.

    Raises InputError for a URL that isn't fetched from, for a repository without the commit and for one that
    is too large; ToolError where git is missing or fails in another way.
    """
    target = parse_endpoint(request.url, request.networks)
    git = shutil.which("git")
    if git is None:
        raise ToolError("git isn't installed on this worker", hint="Install git 2.30 or newer.")
    repository = request.out / "repository.git"
    repository.mkdir(mode=0o700, parents=True)
    archive = request.out / "commit.tar.gz"
    _run_git(request, [git, "init", "--quiet", "--bare", "--template=", "."], "init")
    (repository / "info").mkdir(exist_ok=True)
    (repository / "info" / "attributes").write_text(_ATTRIBUTES)
    policy = EgressPolicy(
        target,
        networks=request.networks,
        max_requests=MAX_REQUESTS,
        max_bytes=request.max_bytes,
        timeout_s=request.timeout_s,
    )
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(EgressProxy(policy, tool_folder=request.out)) as proxy,
    ):
        fetched = _run_git(request, [git, *_fetch_arguments(request, target, proxy.url)], "fetch", proxy)
        refused = set(proxy.report.refused)
    if fetched.exit_code:
        _explain(request, fetched, refused)
    packed = _run_git(request, [git, "archive", "--format=tar.gz", request.commit], "archive")
    if packed.exit_code:
        _explain(request, packed, set())
    (request.out / "archive.out").rename(archive)
    shutil.rmtree(repository)
    return archive


def _fetch_arguments(request: FetchRequest, target: Target, proxy: str) -> list[str]:
    settings = {
        "protocol.allow": "never",
        f"protocol.{target.scheme}.allow": "always",
        "http.followRedirects": "false",
        "http.proxy": proxy,
        "http.sslVerify": "true",
        "http.lowSpeedLimit": "1000",
        "http.lowSpeedTime": "30",
        "credential.helper": "",
        "core.askPass": "",
        "core.hooksPath": "/dev/null",
        "fetch.fsckObjects": "true",
        "fetch.recurseSubmodules": "false",
        "fetch.unpackLimit": "1",
        "pack.threads": "1",
        "gc.auto": "0",
        "maintenance.auto": "false",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head"]
    return [*options, *fetch, "--end-of-options", request.url, request.commit]


def _run_git(
    request: FetchRequest, argv: list[str], step: str, proxy: EgressProxy | None = None
) -> ProcessResult:
    variables = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    environment = minimal_environment(request.out, request.out) | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "https:http",
        "GIT_DIR": ".",
        **(dict.fromkeys(variables, proxy.url) if proxy is not None else {}),
    }
    if request.authorities is not None:
        environment["GIT_SSL_CAINFO"] = str(request.authorities)
    return run(
        argv,
        cwd=request.out / "repository.git",
        timeout_s=request.timeout_s,
        memory_mb=MEMORY_MB,
        cpu_limit_s=CPU_S,
        stdout=request.out / f"{step}.out",
        stderr=request.out / f"{step}.err",
        max_output=request.max_bytes,
        stop=request.stop,
        on_start=request.on_start,
        hidden=request.hidden,
        gateway=proxy.gateway if proxy is not None else None,
        env=environment,
    )


def _explain(request: FetchRequest, result: ProcessResult, refused: set[str]) -> NoReturn:
    """Raise what a failure of git means to who named the repository."""
    step = "archive" if (request.out / "archive.err").exists() else "fetch"
    message = (request.out / f"{step}.err").read_text("utf-8", "replace")
    log.info("git %s ended with %d: %s", step, result.exit_code, message[-500:])
    is_cut = result.exit_code in {-signal.SIGXFSZ, 128 + signal.SIGXFSZ} or "File too large" in message
    if is_cut or Refusal.LIMIT in refused or result.cpu_exceeded:
        raise InputError(
            "the repository is too large to be scanned from its URL",
            hint="Upload an archive without dependencies, builds and data.",
        )
    if refused:
        reasons = ", ".join(sorted(refused))
        raise InputError(f"nothing connects to the repository's host: {reasons}", hint=_HINT)
    if result.timed_out:
        raise InputError("the repository didn't arrive in time", hint="Upload an archive of the commit.")
    for words, what in _FAILURES.items():
        if any(word in message for word in words):
            raise InputError(what, hint=_HINT)
    raise ToolError("the repository can't be fetched", hint=_HINT)
