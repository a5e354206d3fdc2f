"""The simulation of scripts/scale_model.py beside closed forms: scale_model_test.py [path of scripts/]"""

import math
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv.pop(1) if len(sys.argv) > 1 else "scripts")
import scale_model as scale  # noqa: E402

NETWORK = scale.Network(alpha=1e-5, beta=1e-9)


def run(ranks, steps, late=(), network=NETWORK):
    """End of each rank that is late by a time of its own and then does steps(rank)."""
    def program(rank):
        yield scale.Compute(late[rank] if late else 0.0)
        yield from steps(rank)
    return scale.simulate(network, ranks, program)


class Collectives(unittest.TestCase):
    def test_all_reduce_of_any_size(self):
        for ranks in (2, 8, 64):
            for size in (4.0, 1e3, 1e5, 1e8):
                with self.subTest(ranks=ranks, size=size):
                    expected = scale.all_reduce_seconds(NETWORK, ranks, size)
                    for seconds in run(ranks, lambda rank: scale.all_reduce(NETWORK, rank, ranks, size)):
                        self.assertAlmostEqual(seconds / expected, 1, 12)

    def test_all_reduce_takes_the_faster_way(self):
        for ranks, size in ((8, 4.0), (8, 1e8), (1024, 4.0), (1024, 1e8)):
            steps = math.log2(ranks)
            doubling = steps * (1e-5 + size * 1e-9)
            halving = 2 * steps * 1e-5 + 2 * (1 - 1 / ranks) * size * 1e-9
            self.assertAlmostEqual(scale.all_reduce_seconds(NETWORK, ranks, size) / min(doubling, halving), 1, 12)

    def test_ring(self):
        for seconds in run(5, lambda rank: scale.ring(rank, 5, 1e4, 8)):
            self.assertAlmostEqual(seconds / scale.ring_seconds(NETWORK, 5, 1e4, 8), 1, 12)

    def test_one_late_rank_holds_up_all(self):
        # Small messages: the others have log2(ranks) messages still to come when the last one begins.
        late = [0.0] * 8
        late[5] = 1.0
        ended = run(8, lambda rank: scale.all_reduce(NETWORK, rank, 8, 8.0), late)
        self.assertGreaterEqual(min(ended), 1.0)
        self.assertLessEqual(max(ended), 1.0 + scale.all_reduce_seconds(NETWORK, 8, 8.0) + 1e-12)

    def test_a_port_carries_one_message_at_a_time(self):
        def program(rank):  # three ranks send to the first at once
            if rank > 0:
                yield scale.Exchange(0, 0, 1e6)
            else:
                for source in (1, 2, 3):
                    yield scale.Exchange(source, source, 0.0)
        ended = scale.simulate(NETWORK, 4, program)
        self.assertAlmostEqual(ended[0], 1e-5 + 3e-3, 12)

    def test_ranks_that_wait_for_ever_are_an_error(self):
        with self.assertRaises(RuntimeError):
            run(2, lambda rank: scale.all_reduce(NETWORK, rank, 2, 8.0) if rank == 0 else iter(()))


class Steps(unittest.TestCase):
    def test_equally_fast_ranks_take_what_the_formulas_say(self):
        model = scale.Model(layers=2, width=64, projected_length=32, vocabulary=300)
        for ranks in (2, 16):
            for simulated, formula in (scale.data_parallel(NETWORK, ranks, model, 0.5, 0.0, 1e5),
                                       scale.sequence_parallel(NETWORK, ranks, model, 0.5, 0.0)):
                self.assertAlmostEqual(simulated / formula, 1, 12)

    def test_unequal_ranks_cost_at_least_the_slowest(self):
        model = scale.Model(layers=2, width=64, projected_length=32, vocabulary=300)
        slowest = max(scale.slowed(0.5, 0.1, rank, 0) for rank in range(16))
        simulated, formula = scale.data_parallel(NETWORK, 16, model, 0.5, 0.1, 1e5)
        self.assertGreater(slowest, 0.5)
        self.assertGreaterEqual(simulated, slowest)
        self.assertLessEqual(simulated, formula - 0.5 + slowest + 1e-12)

    def test_what_is_sent_for_the_context_does_not_grow_with_n(self):
        model = scale.Model()
        short, long = (scale.communication(NETWORK, 64, model, n) for n in (1 << 10, 1 << 20))
        self.assertEqual(short["linformer"], long["linformer"])
        self.assertEqual(short["linformer"]["bytes"], 2 * 2 * 63 / 64 * 256 * 768 * 4)
        for name in ("all_gather", "ring"):
            self.assertAlmostEqual(long[name]["bytes"] / short[name]["bytes"], 1024, 9)


class Fit(unittest.TestCase):
    def test_exact_points_give_their_network_back(self):
        points = [(a, float(b), a * 3e-6 + b * 2e-10) for a, b in ((1, 4), (1, 4096), (4, 1 << 20), (6, 1 << 26))]
        fitted = scale.fit(points)
        self.assertAlmostEqual(fitted.alpha / 3e-6, 1, 9)
        self.assertAlmostEqual(fitted.beta / 2e-10, 1, 9)


if __name__ == "__main__":
    unittest.main()
