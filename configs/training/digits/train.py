"""Train a small convolutional network on scikit-learn's handwritten digits: 1,797 images of 8 × 8 pixels.

It keeps the contract of a HarchOS job:
- after each epoch it publishes `$HARCHOS_CHECKPOINT_DIR/digits.pt` and, started again, goes on from there;
- on SIGTERM it finishes the epoch it is in, publishes, and exits with 143: stopped, not done;
- at the end `$HARCHOS_OUTPUT_DIR` holds `model.pt` and `metrics.json`; after each epoch `units.json` there
  counts the images trained on, and `metrics.jsonl` gets a line that the report draws.
It exits with 1 when the accuracy on the test images is below `--min-accuracy`.

On a CPU a run is reproducible: the same seed gives the same weights, interrupted or not.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

STOPPED = 128 + signal.SIGTERM
BATCH = 64
PEAK_LEARNING_RATE = 2e-3
CPU_THREADS = 1  # layers this small gain nothing from a second, and sums depend on the number


class StopRequest:
    """Remembers that SIGTERM came."""

    def __init__(self) -> None:
        self.received = False
        signal.signal(signal.SIGTERM, self._receive)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        self.received = True


def build_network() -> nn.Sequential:
    def block(channels_in: int, channels_out: int) -> list[nn.Module]:
        convolution = nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(channels_out), nn.ReLU()]

    return nn.Sequential(
        *block(1, 32),
        *block(32, 64),
        nn.MaxPool2d(2),
        *block(64, 128),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(128 * 2 * 2, 10),
    )


def load_images(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return train images, train labels, test images, test labels; one image in five is for the test."""
    pixels, labels = load_digits(return_X_y=True)
    split = train_test_split(pixels, labels, test_size=0.2, stratify=labels, random_state=0)
    train_x, test_x = (torch.tensor(part, dtype=torch.float32).view(-1, 1, 8, 8) / 16 for part in split[:2])
    train_y, test_y = (torch.tensor(part, dtype=torch.int64) for part in split[2:])
    return train_x.to(device), train_y.to(device), test_x.to(device), test_y.to(device)


def shift_by_a_pixel(images: Tensor) -> Tensor:
    """Move the batch by up to one pixel each way, so that the network sees more than 1,437 images."""
    down, right = (int(n) for n in torch.randint(0, 3, (2,)))
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    return padded[:, :, down : down + 8, right : right + 8]


def train_epoch(
    network: nn.Module, optimiser: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> float:
    """Go once over the images in random order; return the mean loss."""
    network.train()
    total = 0.0
    for batch in torch.randperm(len(images)).split(BATCH):
        batch = batch.to(images.device)
        loss = nn.functional.cross_entropy(network(shift_by_a_pixel(images[batch])), labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item() * len(batch)
    return total / len(images)


@torch.no_grad()
def measure_accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    network.eval()
    return float((network(images).argmax(dim=1) == labels).float().mean())


def learning_rate(epoch: int, epochs: int) -> float:
    """Fall from the peak to zero along half a cosine."""
    return PEAK_LEARNING_RATE * (1 + math.cos(math.pi * epoch / epochs)) / 2


def publish(path: Path, content: bytes) -> None:
    """Replace `path` in one step: a reader, or a power cut, never meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def serialise(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def count_images(path: Path, images: int) -> None:
    """Add to the images trained on at this hub: earlier attempts here used energy too."""
    counted = json.loads(path.read_text())["images"] if path.exists() else 0
    publish(path, json.dumps({"images": counted + images}).encode())


def report_metrics(path: Path, epoch: dict[str, float], number: int) -> None:
    """Append a line that `harchos report` draws."""
    path.parent.mkdir(parents=True, exist_ok=True)
    at = datetime.now(UTC).isoformat()
    with path.open("a") as file:
        print(json.dumps({"at": at, "epoch": number, **epoch}), file=file)


def weights_sha256(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


class Training:
    """The network, its optimiser and how far they have come: all that a checkpoint holds."""

    def __init__(self, seed: int, epochs: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self.settings = {"seed": seed, "epochs": epochs}
        self.device = device
        self.network = build_network().to(device)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), weight_decay=1e-2)
        self.history: list[dict[str, float]] = []

    def save(self, path: Path) -> None:
        state = {
            "settings": self.settings,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "history": self.history,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else None,
        }
        publish(path, serialise(state))

    def resume(self, path: Path) -> None:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["settings"] != self.settings:
            sys.exit(
                f"{path} was made with {state['settings']}, not {self.settings}: move it away to start anew"
            )
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.history = state["history"]
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda" and state["random_cuda"] is not None:
            torch.cuda.set_rng_state_all(state["random_cuda"])

    def run_epoch(self, train_x: Tensor, train_y: Tensor, test_x: Tensor, test_y: Tensor) -> None:
        started = time.monotonic()
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(len(self.history), self.settings["epochs"])
        loss = train_epoch(self.network, self.optimiser, train_x, train_y)
        accuracy = measure_accuracy(self.network, test_x, test_y)
        seconds = time.monotonic() - started
        self.history.append({"loss": loss, "accuracy": accuracy, "seconds": seconds})
        epochs = self.settings["epochs"]
        print(
            f"epoch {len(self.history):>{len(str(epochs))}}/{epochs}  loss {loss:.4f}"
            f"  test accuracy {accuracy:7.2%}  {seconds:.2f} s",
            flush=True,
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a small CNN on scikit-learn's handwritten digits.")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--min-accuracy", type=float, default=0.97, help="exit with 1 below this")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    stop = StopRequest()
    checkpoint = Path(os.environ.get("HARCHOS_CHECKPOINT_DIR", "checkpoints")) / "digits.pt"
    outputs = Path(os.environ.get("HARCHOS_OUTPUT_DIR", "outputs"))

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(CPU_THREADS)
    torch.use_deterministic_algorithms(device.type == "cpu")  # on a GPU, pooling has no such backward pass
    data = load_images(device)
    training = Training(arguments.seed, arguments.epochs, device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "the CPU, one thread"
    print(f"training on {name}: {len(data[0])} images, {len(data[2])} more to test", flush=True)
    if checkpoint.exists():
        training.resume(checkpoint)
        print(f"resumed after epoch {len(training.history)} from {checkpoint.name}", flush=True)

    while len(training.history) < arguments.epochs:
        if stop.received:
            print(f"stopped on SIGTERM after epoch {len(training.history)}: start again to go on", flush=True)
            return STOPPED
        training.run_epoch(*data)
        training.save(checkpoint)
        count_images(outputs / "units.json", len(data[0]))
        report_metrics(outputs / "metrics.jsonl", training.history[-1], len(training.history))

    accuracy = training.history[-1]["accuracy"]
    metrics = {
        "accuracy": accuracy,
        "device": name,
        **training.settings,
        "weights_sha256": weights_sha256(training.network),
        "seconds": sum(epoch["seconds"] for epoch in training.history),
        "history": training.history,
    }
    publish(outputs / "model.pt", serialise(training.network.state_dict()))
    publish(outputs / "metrics.json", json.dumps(metrics, indent=2).encode())
    passed = accuracy >= arguments.min_accuracy
    verdict = "reaches" if passed else "misses"
    print(
        f"test accuracy {accuracy:.2%} {verdict} the {arguments.min_accuracy * 100:g}% asked for", flush=True
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
