"""One llama.cpp server as a process: `python -m securetag.serving.llama_server SPEC`.

The server has no stop method, and a crash in native code must not take us along: hence a process of
its own. It says where it listens in one JSON line on stdout, and ends when its stdin closes, which
happens when its parent goes in any way, kill -9 included. (PDEATHSIG would also fire when merely the
thread ends that started it.)

Knows no registry and no finding. Listens on 127.0.0.1 only.
"""

from __future__ import annotations

import json
import os
import sys

import msgspec


class ServerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to serve and how large."""

    #: Path of the GGUF file.
    model: str
    #: Names that the server lists; the first in byte order is echoed in every reply.
    aliases: list[str]
    #: Free text that `/v1/models` lists.
    tags: list[str]
    #: Requests answered at the same time.
    slots: int = 2
    #: Tokens of prompt and completion that one slot holds.
    ctx: int = 1024
    threads: int = 2
    #: 0: any free port.
    port: int = 0


def main() -> None:
    """Serve until stdin closes."""
    spec = msgspec.json.decode(sys.argv[1], type=ServerSpec)
    # The native library may print; whatever it says goes to the log, the address alone to stdout.
    stdout = os.dup(1)
    os.dup2(2, 1)
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = spec.model
    parameters.model_alias = set(spec.aliases)
    parameters.model_tags = set(spec.tags)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = spec.port
    parameters.n_parallel = spec.slots
    parameters.n_ctx = spec.slots * spec.ctx
    parameters.cpuparams.n_threads = spec.threads
    parameters.cpuparams_batch.n_threads = spec.threads
    # By default up to 8 GiB of old prompts are kept; the slots' own prefix cache is enough for us.
    parameters.cache_ram_mib = 0
    # Shows other clients' prompts, and a web page: neither has a user here.
    parameters.endpoint_slots = False
    parameters.ui = False
    parameters.endpoint_metrics = True
    parameters.timeout_read = parameters.timeout_write = 120

    server = xllamacpp.Server(parameters)
    with os.fdopen(stdout, "w") as out:
        out.write(json.dumps({"url": server.listening_address}) + "\n")
    while os.read(0, 4096):
        pass
    # The server's threads don't end by themselves, and its destructor waits for them.
    os._exit(0)


if __name__ == "__main__":
    main()
