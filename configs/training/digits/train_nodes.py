"""Train the network of `train.py` on every process that torchrun starts, on one node or on many.

It keeps the contract of `train.py`. Each batch is shared out among the processes, and the gradients are
averaged (DistributedDataParallel); the first process publishes. All of them look for SIGTERM at the end of an
epoch and stop together, so that the checkpoint is of one epoch; the next start may have more processes or
fewer.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from train import (
    BATCH,
    CPU_THREADS,
    STOPPED,
    StopRequest,
    Training,
    count_images,
    learning_rate,
    load_images,
    measure_accuracy,
    parse_arguments,
    publish,
    report_metrics,
    serialise,
    shift_by_a_pixel,
    weights_sha256,
)


def train_epoch(training: Training, network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Go once over this process's share of the images in random order; return the mean loss of all."""
    rank, world = dist.get_rank(), dist.get_world_size()
    number = len(training.history)
    torch.manual_seed(training.settings["seed"] * 10_000 + number)  # every process draws the same order
    order = torch.randperm(len(images))
    network.train()
    for group in training.optimiser.param_groups:
        group["lr"] = learning_rate(number, training.settings["epochs"])
    total = torch.zeros(1, device=images.device)
    for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
        mine = batch[rank::world].to(images.device)
        loss = nn.functional.cross_entropy(network(shift_by_a_pixel(images[mine])), labels[mine])
        training.optimiser.zero_grad()
        loss.backward()
        training.optimiser.step()
        total += loss.detach() / world
    dist.all_reduce(total)
    return float(total) / (len(order) // BATCH)


def any_asked(stop: StopRequest, device: torch.device) -> bool:
    """Return whether SIGTERM came to any process."""
    asked = torch.tensor(float(stop.received), device=device)
    dist.all_reduce(asked)
    return bool(asked.item())


def main() -> int:
    arguments = parse_arguments()
    stop = StopRequest()
    checkpoint = Path(os.environ.get("HARCHOS_CHECKPOINT_DIR", "checkpoints")) / "digits.pt"
    outputs = Path(os.environ.get("HARCHOS_OUTPUT_DIR", "outputs"))

    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    first, world = dist.get_rank() == 0, dist.get_world_size()
    torch.set_num_threads(CPU_THREADS)
    data = load_images(device)
    training = Training(arguments.seed, arguments.epochs, device)
    if checkpoint.exists():
        training.resume(checkpoint)
    network = DistributedDataParallel(training.network)
    if first:
        print(f"training on {world} processes from epoch {len(training.history)}", flush=True)

    while len(training.history) < arguments.epochs:
        if any_asked(stop, device):
            return STOPPED
        loss = train_epoch(training, network, *data[:2])
        accuracy = measure_accuracy(training.network, *data[2:])
        training.history.append({"loss": loss, "accuracy": accuracy, "processes": world})
        if first:
            number = len(training.history)
            print(f"epoch {number}/{arguments.epochs}  loss {loss:.4f}  accuracy {accuracy:.2%}", flush=True)
            training.save(checkpoint)
            count_images(outputs / "units.json", len(data[0]))
            report_metrics(outputs / "metrics.jsonl", training.history[-1], number)

    accuracy = training.history[-1]["accuracy"]
    if first:
        publish(outputs / "model.pt", serialise(training.network.state_dict()))
        metrics = {"accuracy": accuracy, "weights_sha256": weights_sha256(training.network)}
        history = {"history": training.history}
        publish(outputs / "metrics.json", json.dumps({**metrics, **history}, indent=2).encode())
    dist.barrier()
    dist.destroy_process_group()
    return 0 if accuracy >= arguments.min_accuracy else 1


if __name__ == "__main__":
    sys.exit(main())
