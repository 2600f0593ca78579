"""A fake OpenAI-compatible endpoint on httpx's MockTransport: it holds no model and opens no socket.

It answers a section with what a good teacher would: a pair for each of its first sentences, taken from it
word for word. `faults` are served first, one a request.

    python fake_teacher.py SECONDS      teach from it, each answer taking so long (for tests that kill)
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

import httpx

from securetag.pipeline.teach import TeachReport, teach
from securetag.records import JsonObject
from securetag.serving.client import RuntimeClient
from securetag.settings import Settings
from securetag.settings.sections import TeacherSettings

MODEL = "fake-teacher"
Answer = Callable[[str], str]


def good(asked: str) -> str:
    """JSON of pairs that the section in the prompt bears out."""
    section = asked.split("<section>\n", 1)[1].rsplit("\n</section>", 1)[0]
    sentences = [part.strip() for part in section.replace("\n", " ").split(". ") if part.strip()]
    topics = (" ".join(sentence.split()[:8]).lower() for sentence in sentences)
    pairs = [
        {"question": f"What is known of how {topic}?", "answer": f"{sentence.rstrip('.')}."}
        for topic, sentence in zip(topics, sentences, strict=True)
    ]
    return json.dumps({"pairs": pairs[:4]})


def refused(status: int) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": "slow down"}})


class FakeTeacher:
    """The endpoint; `requests` holds the bodies of what was asked."""

    def __init__(
        self, answer: Answer = good, *, faults: Iterable[httpx.Response] = (), seconds: float = 0
    ) -> None:
        self._answer, self._faults, self._seconds = answer, list(faults), seconds
        self.requests: list[JsonObject] = []
        self.headers: list[httpx.Headers] = []
        self.at_once = self.most_at_once = 0

    def client(self, settings: Settings) -> RuntimeClient:
        return RuntimeClient(
            "https://teacher.test/v1",
            run_dir=settings.run_dir,
            aliases=[MODEL],
            api_key="a-key",
            transport=httpx.MockTransport(self._handle),
        )

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self.headers.append(request.headers)
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": MODEL}]})
        body = json.loads(request.content)
        self.requests.append(body)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.at_once -= 1
        if self._faults:
            return self._faults.pop(0)
        text = self._answer(body["messages"][-1]["content"])
        reply = {
            "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 500, "completion_tokens": 100},
        }
        return httpx.Response(200, json=reply)


def run(fake: FakeTeacher, settings: Settings, **asked: Any) -> TeachReport:
    """Teach from the fake. Settings that a test doesn't give are those of an open model."""
    client = fake.client(settings)
    try:
        return teach(settings, client=client, **asked)
    finally:
        client.close()


def settings_with(**teacher: Any) -> Settings:
    return Settings(teacher=TeacherSettings(**({"licence": "Apache-2.0"} | teacher)))


if __name__ == "__main__":
    run(FakeTeacher(seconds=float(sys.argv[1])), settings_with(concurrency=2))
