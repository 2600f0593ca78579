"""A hub on loopback that refuses as Hugging Face does: each reason has its own next step."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from loopback_server import LoopbackServer

pytestmark = [pytest.mark.sockets, pytest.mark.system]

LOAD = """
import json, sys
import msgspec
from securetag.errors import TrainingError
from securetag.training import base
from securetag.training.recipe import Recipe
reasons = {}
for name in sys.argv[1:]:
    recipe = Recipe(name="x", base=name, base_name=name, licence="MIT")
    try:
        base.load_tokenizer(recipe) if name == "acme/gated-tokenizer" else base.load_model(recipe)
    except TrainingError as error:
        reasons[name] = f"{error} | {error.hint}"
print(json.dumps(reasons))
"""
#: Prints whose tokenizer a plan takes for each base.
PLAN = """
import sys
from securetag.training.plan import _find_tokenizer
from securetag.training.recipe import Recipe
for name in sys.argv[1:]:
    print(_find_tokenizer(Recipe(name="x", base=name, base_name=name, licence="MIT"))[1])
"""
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64}


class Hub(BaseHTTPRequestHandler):
    """Repositories `gated` and `gated-tokenizer` (403 with a token, 401 without) and `empty`; no others.

    `busy` answers 503; `tiny` has the files of a folder.
    """

    folder: Path | None = None
    requests: list[str] = []

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        token = self.headers.get("Authorization")
        self.requests.append(self.path)
        file = (
            self.folder / self.path.rsplit("/", 1)[1] if self.folder and "/acme/tiny/" in self.path else None
        )
        if file is not None and file.is_file():
            self._answer(200, "", file.read_bytes())
        elif file is not None:
            self._answer(404, "EntryNotFound")
        elif "/acme/busy" in self.path:
            self._answer(503, "")
        elif "/acme/gated" in self.path:
            self._answer(403 if token == "Bearer hf_stranger" else 401, "GatedRepo")
        elif "/acme/empty" not in self.path:
            self._answer(404, "RepoNotFound")
        elif self.path.endswith("/config.json"):
            self._answer(200, "", json.dumps(CONFIG).encode())
        else:
            self._answer(404, "EntryNotFound")

    def _answer(self, status: int, code: str, content: bytes = b"{}") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", "a" * 40)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with LoopbackServer(Hub) as server:
        yield server.url


def load(hub: str, home: Path, *names: str, token: str | None = None) -> dict[str, str]:
    reasons: dict[str, str] = json.loads(run(LOAD, hub, home, *names, token=token).splitlines()[-1])
    return reasons


def run(code: str, hub: str, home: Path, *names: str, token: str | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": hub, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment |= {"HF_TOKEN": token} if token else {}
    done = subprocess.run(
        [sys.executable, "-c", code, *names], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_gated_base_without_a_token_says_where_to_get_one(hub: str, tmp_path: Path) -> None:
    reasons = load(hub, tmp_path, "acme/gated", "acme/gated-tokenizer")
    for name in ("acme/gated", "acme/gated-tokenizer"):
        assert "no HF_TOKEN is set" in reasons[name]
        assert f"Accept its license at https://huggingface.co/{name}" in reasons[name]


def test_with_a_token_the_other_reasons_are_told_apart(hub: str, tmp_path: Path) -> None:
    names = ("acme/gated", "acme/empty", "acme/nobody")
    reasons = load(hub, tmp_path, *names, token="hf_stranger")
    assert "has not been let in to acme/gated (403)" in reasons["acme/gated"]
    assert "acme/empty has no weights" in reasons["acme/empty"]
    assert "no acme/nobody" in reasons["acme/nobody"]
    assert "refuses HF_TOKEN" in load(hub, tmp_path, "acme/gated", token="hf_expired")["acme/gated"]


def test_a_hub_that_is_not_reached_is_no_license_problem(tmp_path: Path) -> None:
    reasons = load("http://127.0.0.1:9", tmp_path, "acme/gated")
    assert "isn't reached" in reasons["acme/gated"]


def test_a_plan_gives_a_busy_hub_one_request_and_takes_the_tokenizer_that_it_gets(
    hub: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hub, "folder", tiny)
    Hub.requests.clear()
    names = ("acme/busy", "acme/tiny")
    tokenizers = run(PLAN, hub, tmp_path, *names).splitlines()
    assert tokenizers == ["SmolLM2-135M-Instruct, an upper estimate", "acme/tiny"]
    assert len([path for path in Hub.requests if "/acme/busy/" in path]) == 1
    # The second time it is on this machine, and the hub isn't asked.
    Hub.requests.clear()
    assert run(PLAN, hub, tmp_path, "acme/tiny").split() == ["acme/tiny"]
    assert Hub.requests == []
