#!/usr/bin/env python3
"""How training scales to machines that are not here: scripts/scale_model.py [MEASURED.json] [--output FILE.json]

MEASURED.json is what bench/collectives printed. Latency and bandwidth are fitted to it: what an all-reduce costs where
the network is infinitely fast, the copies, sums and calls of a process. A network adds its own. With both, every message
of a step of training is simulated, with ranks that are never equally fast, beside closed forms of the same without that.
docs/scale.md tells the assumptions; scripts/plot_scale.py draws what this writes. Needs nothing beyond Python.
"""

import argparse
import collections
import dataclasses
import heapq
import json
import math
import pathlib
import random
import sys

RANKS = (8, 16, 32, 64, 128, 256, 512, 1024)


@dataclasses.dataclass(frozen=True)
class Network:
    """A message of m bytes takes alpha + m * beta seconds (Hockney 1994, Parallel Computing 20)."""
    alpha: float
    beta: float


def fit(points):
    """Latency and seconds a byte of (messages in a row, bytes, seconds): least squares of relative differences."""
    rows = [(a / t, b / t) for a, b, t in points]
    aa, ab, bb = (sum(r[i] * r[j] for r in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    a, b = sum(r[0] for r in rows), sum(r[1] for r in rows)
    determinant = aa * bb - ab * ab
    return Network((a * bb - b * ab) / determinant, (b * aa - a * ab) / determinant)


# Closed forms: what one rank does, where all begin together. Ranks are powers of two.

def halves(network, ranks, size):
    """Whether an all-reduce cuts its values in halves, or sends all of them log2(ranks) times: the faster."""
    steps = math.log2(ranks)
    return 2 * steps * network.alpha + 2 * (ranks - 1) / ranks * size * network.beta < \
        steps * (network.alpha + size * network.beta)


def all_reduce_seconds(network, ranks, size):
    """Recursive doubling, or recursive halving and doubling (Rabenseifner 2004, ICCS, LNCS 3036)."""
    steps = math.log2(ranks)
    if halves(network, ranks, size):
        return 2 * steps * network.alpha + 2 * (ranks - 1) / ranks * size * network.beta
    return steps * (network.alpha + size * network.beta)


def ring_seconds(network, ranks, block, times):
    """A block handed on to the neighbour so many times."""
    return times * (network.alpha + block * network.beta) if ranks > 1 else 0.0


def all_gather_seconds(network, ranks, size):
    """All parts of `size` bytes to all, or, the other way, sums of parts: by doubling or halving."""
    return math.log2(ranks) * network.alpha + (ranks - 1) / ranks * size * network.beta


# Simulation: ranks are generators of what they do, one after another.

@dataclasses.dataclass(frozen=True)
class Compute:
    seconds: float


@dataclasses.dataclass(frozen=True)
class Exchange:
    """Sends so many bytes to one rank, and receives what another sends to this one."""
    to: int
    source: int
    size: float


def simulate(network, ranks, program):
    """Seconds at which each rank ends program(rank), a generator. A rank's port carries a message at a time each way;
    the network between the ports is never full. A send occupies the port, not the receiver's processor."""
    programs = [program(rank) for rank in range(ranks)]
    sends_until, receives_until, ended = ([0.0] * ranks for _ in range(3))
    mail, waiting = collections.defaultdict(collections.deque), {}
    events = [(0.0, rank) for rank in range(ranks)]
    while events:
        now, rank = heapq.heappop(events)
        step = next(programs[rank], None)
        if step is None:
            ended[rank] = now
        elif isinstance(step, Compute):
            heapq.heappush(events, (now + step.seconds, rank))
        else:
            seconds = step.size * network.beta
            begin = max(now, sends_until[rank])
            sends_until[rank] = begin + seconds
            arrival = max(begin + network.alpha, receives_until[step.to]) + seconds
            receives_until[step.to] = arrival
            if waiting.get(step.to, (None,))[0] == rank:
                heapq.heappush(events, (max(arrival, waiting.pop(step.to)[1]), step.to))
            else:
                mail[rank, step.to].append(arrival)
            if mail[step.source, rank]:
                heapq.heappush(events, (max(sends_until[rank], mail[step.source, rank].popleft()), rank))
            else:
                waiting[rank] = (step.source, sends_until[rank])
    if waiting:
        raise RuntimeError(f"{len(waiting)} ranks wait for ever")
    return ended


def all_reduce(network, rank, ranks, size):
    """The steps of `all_reduce_seconds`."""
    bits = [1 << bit for bit in range(ranks.bit_length() - 1)]
    if halves(network, ranks, size):
        for bit in reversed(bits):
            size /= 2
            yield Exchange(rank ^ bit, rank ^ bit, size)
        for bit in bits:
            yield Exchange(rank ^ bit, rank ^ bit, size)
            size *= 2
    else:
        for bit in bits:
            yield Exchange(rank ^ bit, rank ^ bit, size)


def ring(rank, ranks, block, times):
    """The steps of `ring_seconds`."""
    for _ in range(times):
        yield Exchange((rank + 1) % ranks, (rank - 1) % ranks, block)


# What is trained.

@dataclasses.dataclass(frozen=True)
class Model:
    """An encoder with the masked-language-model head on 15 % of its tokens; E = F, one for all heads of a layer."""
    layers: int = 12
    width: int = 768
    projected_length: int = 256
    vocabulary: int = 30522
    bytes_a_value: int = 4

    def parameters(self):
        """Without E and positions, which a rank keeps to itself where it has a part of the sequence."""
        return self.layers * (12 * self.width ** 2 + 13 * self.width) + (self.vocabulary + self.width + 5) * self.width \
            + self.vocabulary

    def operations(self):
        """Of a token's forward and backward, which is twice as much: additions and multiplications."""
        layer = 24 * self.width ** 2 + 8 * self.projected_length * self.width
        return 3 * (self.layers * layer + 0.15 * 2 * self.width * (self.vocabulary + self.width))

    def gradient_bytes(self):
        return self.parameters() * self.bytes_a_value

    def context_bytes(self):
        """What a layer sums over the ranks forward, and again backward: E·X, k x D values, whatever n is."""
        return self.projected_length * self.width * self.bytes_a_value

    def keys_values_bytes(self, n):
        return 2 * n * self.width * self.bytes_a_value


def slowed(seconds, spread, rank, step):
    """Compute is never equally fast: by a normal share, the same for the same rank and step."""
    return seconds * max(0.0, 1 + spread * random.Random(f"{rank} {step}").gauss(0, 1))


def data_parallel(network, ranks, model, compute, spread, bucket):
    """Of a step: the seconds, simulated and by formula. Buckets of gradients go one after another, after backward:
    nothing is hidden behind it."""
    sizes = [bucket] * int(model.gradient_bytes() // bucket) + [model.gradient_bytes() % bucket]

    def program(rank):
        yield Compute(slowed(compute, spread, rank, 0))
        for size in sizes:
            yield from all_reduce(network, rank, ranks, size)

    return max(simulate(network, ranks, program)), \
        compute + sum(all_reduce_seconds(network, ranks, size) for size in sizes)


def sequence_parallel(network, ranks, model, compute, spread):
    """Of a step: likewise. Each layer sums its context over the ranks forward, and its gradient backward; gradients of
    weights are summed once, in one piece."""
    part = compute / (3 * model.layers)  # of a layer's forward; its backward takes two

    def program(rank):
        for layer in range(2 * model.layers):
            seconds = part if layer < model.layers else 2 * part
            yield Compute(slowed(seconds / 2, spread, rank, 2 * layer))
            yield from all_reduce(network, rank, ranks, model.context_bytes())
            yield Compute(slowed(seconds / 2, spread, rank, 2 * layer + 1))
        yield from all_reduce(network, rank, ranks, model.gradient_bytes())

    return max(simulate(network, ranks, program)), \
        compute + 2 * model.layers * all_reduce_seconds(network, ranks, model.context_bytes()) + \
        all_reduce_seconds(network, ranks, model.gradient_bytes())


def communication(network, ranks, model, n):
    """Bytes that a rank sends for a layer's attention, forward and backward, and the seconds that takes by formula:
    ours; all-gathered K and V, whose gradients are scattered; Ring Attention (Liu et al. 2023, arXiv 2310.01889), where
    blocks of K and V go round once forward and, with their gradients, once backward."""
    share, size = (ranks - 1) / ranks, model.keys_values_bytes(n)
    block = size / ranks
    return {
        "linformer": {"bytes": 2 * 2 * share * model.context_bytes(),
                      "seconds": 2 * all_reduce_seconds(network, ranks, model.context_bytes())},
        "all_gather": {"bytes": 2 * share * size, "seconds": 2 * all_gather_seconds(network, ranks, size)},
        "ring": {"bytes": 2 * share * size + size,
                 "seconds": ring_seconds(network, ranks, block, 2 * (ranks - 1)) +
                 ring_seconds(network, ranks, block, ranks)},
    }


def study(software, arguments):
    model = Model()
    networks = {f"{gbits} Gbit/s": Network(software.alpha + 1e-6 * latency,
                                           software.beta + 8e-9 / (gbits * arguments.usable))
                for gbits, latency in zip((10, 100, 400), arguments.latency)}
    flops = arguments.gflops * 1e9

    def seconds(tokens):
        return tokens * model.operations() / flops

    result = {"assumptions": {"gflops": arguments.gflops, "spread": arguments.spread, "usable": arguments.usable,
                              "wire_microseconds": arguments.latency, "software_alpha": software.alpha,
                              "software_beta": software.beta, "bucket_bytes": arguments.bucket,
                              "tokens_a_rank": arguments.tokens_a_rank, "batch_tokens": arguments.batch_tokens,
                              "sequence_tokens": arguments.sequence_tokens, "parameters": model.parameters(),
                              "operations_a_token": model.operations(), **dataclasses.asdict(model)},
              "weak": [], "strong": [], "sequence": [], "communication": []}
    for name, network in networks.items():
        for ranks in arguments.ranks:
            def row(both, alone):
                simulated, formula = both
                return {"network": name, "ranks": ranks, "seconds": simulated, "formula": formula, "one_rank": alone}
            compute = seconds(arguments.tokens_a_rank)
            result["weak"].append(row(
                data_parallel(network, ranks, model, compute, arguments.spread, arguments.bucket), compute))
            compute = seconds(arguments.batch_tokens)
            result["strong"].append(row(
                data_parallel(network, ranks, model, compute / ranks, arguments.spread, arguments.bucket), compute))
            compute = seconds(arguments.sequence_tokens)
            result["sequence"].append(row(
                sequence_parallel(network, ranks, model, compute / ranks, arguments.spread), compute))
            for n in (1 << bits for bits in range(10, 25)):
                result["communication"].append({"network": name, "ranks": ranks, "n": n,
                                                **communication(network, ranks, model, n)})
            print(f"{name}, {ranks} ranks", file=sys.stderr)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", nargs="?", type=pathlib.Path, metavar="MEASURED.json",
                        help="of two ranks; without it, the software costs nothing")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("scale.json"))
    parser.add_argument("--ranks", type=int, nargs="+", default=RANKS, help="powers of two")
    parser.add_argument("--gflops", type=float, default=1000, help="that a rank sustains in training")
    parser.add_argument("--spread", type=float, default=0.02, help="standard deviation of compute, as a share of it")
    parser.add_argument("--latency", type=float, nargs=3, default=(20, 5, 2), metavar="MICROSECONDS",
                        help="of a message on 10, 100 and 400 Gbit/s, beside the software's")
    parser.add_argument("--usable", type=float, default=0.9, help="share of the nominal bandwidth that data have")
    parser.add_argument("--bucket", type=float, default=4 << 20, help="bytes of gradients that are sent at a time")
    parser.add_argument("--tokens-a-rank", type=float, default=16 * 512, help="a step, where the batch grows with ranks")
    parser.add_argument("--batch-tokens", type=float, default=2048 * 512, help="a step, where it does not")
    parser.add_argument("--sequence-tokens", type=float, default=1 << 20, help="of the sequence that ranks share out")
    arguments = parser.parse_args()
    for ranks in arguments.ranks:
        if ranks < 2 or ranks & (ranks - 1):
            sys.exit(f"scale_model.py: --ranks: {ranks} is not a power of two")
    measured, software = None, Network(0.0, 0.0)
    if arguments.measured:
        try:
            measured = json.loads(arguments.measured.read_text(encoding="utf-8"))
            if measured["ranks"] != 2:
                sys.exit(f"scale_model.py: {arguments.measured}: of {measured['ranks']} ranks, not of two")
            # Of two ranks, one exchange of all values: log2(2) = 1 message, and as many bytes.
            points = [(1, entry["bytes"], entry["seconds"]) for entry in measured["all_reduce"]]
            software = fit(points)
        except (OSError, ValueError, KeyError, TypeError) as error:
            sys.exit(f"scale_model.py: {arguments.measured}: {error!r}")
        for entry in measured["all_reduce"]:
            entry["fitted"] = software.alpha + entry["bytes"] * software.beta
    result = {"measured": measured, **study(software, arguments)}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
