"""Serve a language model behind the OpenAI API on `$HARCHOS_PORT` until SIGTERM.

On a GPU with vLLM installed this is `vllm serve`, which has its own `/metrics`. Elsewhere it is
`transformers serve` on an inner port, and a front (`front.py`) adds `/metrics`. Both answer `/health` once
the model is loaded.

The model is made on the spot (`model.py`). To serve a real one, replace the command by
`vllm serve NAME --host 127.0.0.1 --port $HARCHOS_PORT`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from front import Front
from model import make_model

MODEL = "harchos/tiny-llm"
HOST = "127.0.0.1"  # the hub looks for its service here; there is no password, so nowhere else
DRAIN_S = 5.0
TERMINATE_S = 5.0
# Without bounds the cache of a tiny model grows to the machine's memory: 7.6 GB instead of 0.4.
CACHE_BOUNDS = ("--cb-num-blocks", "64", "--cb-block-size", "32", "--cb-max-batch-tokens", "256")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def become_vllm(model: Path, port: int) -> None:
    """Replace this process: signals then reach vLLM itself."""
    print(f"serving {MODEL} with vllm, port {port}", flush=True)
    command = ["vllm", "serve", str(model), "--served-model-name", MODEL, "--host", HOST, "--port", str(port)]
    os.execvp(command[0], command)


def start_transformers(cache: Path, port: int) -> subprocess.Popen[bytes]:
    quiet = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    offline = {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1", "TMPDIR": str(cache)}
    command = ["transformers", "serve", "--continuous-batching", *CACHE_BOUNDS, "--device", "cpu"]
    command += ["--host", HOST, "--port", str(port), "--log-level", "error", MODEL]
    # Its standard output is one line a request, health checks included; errors come on the other stream.
    return subprocess.Popen(command, env={**os.environ, **offline, **quiet}, stdout=subprocess.DEVNULL)


def end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(TERMINATE_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def serve_with_front(cache: Path, port: int) -> int:
    """Run the model server and its front until SIGTERM (0) or until the server ends by itself (1)."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, frame: stop.set())
    upstream_port = free_port()
    server = start_transformers(cache, upstream_port)
    print(f"serving {MODEL} with transformers on the CPU, port {port}", flush=True)
    try:
        with Front((HOST, port), upstream_port) as front:
            while not stop.wait(0.2):
                if server.poll() is not None:
                    print(f"the model server ended by itself with {server.returncode}", flush=True)
                    return 1
            front.drain(DRAIN_S)
            print(f"stopped after {front.tokens.prompt} + {front.tokens.generated} tokens", flush=True)
            return 0
    finally:
        end(server)


def main() -> int:
    port = int(os.environ["HARCHOS_PORT"])
    with tempfile.TemporaryDirectory(prefix="tiny-llm-") as directory:
        cache = Path(directory)
        folder = make_model(cache / "hub", MODEL)
        if Path("/dev/nvidiactl").exists() and shutil.which("vllm"):
            become_vllm(folder, port)
        return serve_with_front(cache, port)


if __name__ == "__main__":
    sys.exit(main())
