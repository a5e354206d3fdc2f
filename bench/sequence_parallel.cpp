// What processes that share a sequence send each other, and how fast they are: training steps of an encoder over
// growing lengths. `mpirun -n 2 sequence_parallel`

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header, gcc.gnu.org/PR105593
#endif

#include "flags.hpp"

#include <linformer/model/encoder.hpp>
#include <linformer/mpi.hpp>
#include <linformer/parallel/counted_world.hpp>
#include <linformer/train/sequence_gradients.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace linformer;

constexpr const char* help =
    R"(Forward and backward of an encoder whose sequence is shared out among the processes of mpirun, in float: bytes
sent, and time. Prints one JSON object a length, by the first process.

  --lengths=LIST     configured lengths n, which sequences have (1024,4096,16384,65536,262144,1048576)
  --sequences=B      sequences of a batch (1)
  --layers=L         (2)
  --width=D          (64)
  --heads=H          (2)
  --length=K         projected length k (64)
  --sharing=NAME     headwise, or key_value: E = F (key_value)
  --feed-forward=F   width of the inner layer (64)
  --steps=S          of which the fastest is told, after one to warm up (3)
  --threads=T        of each process (1)

Fields: ranks; n, sequences, layers, width, projected_length, sharing as given;
  forward_bytes, backward_bytes    what a process sends for one layer and step: measured values of all-reduces, each
                                   sent (N - 1)/N times twice, as bandwidth-optimal all-reduces do
  forward_calls, backward_calls    collectives of one layer and step
  weight_bytes                     what a process sends for the gradients of weights, once a step, whatever n
  all_gather_forward_bytes, all_gather_backward_bytes
                                   by formula, of attention that gathers K and V of all tokens, 2·n·D, and scatters the
                                   sums of their gradients: (N - 1)/N of them each
  ring_forward_bytes, ring_backward_bytes
                                   by formula, of Ring Attention (Liu et al. 2023, arXiv 2310.01889): a process hands on
                                   blocks of K and V, 2·n·D/N, N - 1 times; backward once more, and their gradients N
                                   times
  seconds, tokens_per_second       of forward and backward without the sum of weight gradients; the slowest process
)";

struct Options {
  std::vector<Index> lengths;
  Index sequences, layers, width, heads, projected_length, feed_forward, threads;
  std::pair<const char*, Sharing> sharing;
  int steps;
};

struct Measured {
  Traffic forward, backward, weights;
  double seconds = std::numeric_limits<double>::infinity();
};

Measured measure(const Options& options, Index n, MpiWorld processes) {
  Measured result;
  Traffic traffic;
  CountedWorld<MpiWorld> world(processes, traffic);
  Traffic within_one;  // columns of E have one owner, which asks nobody
  const RankGrid<MpiWorld> parts = make_rank_grid(processes, processes.size());
  RankGrid<CountedWorld<MpiWorld>> grid{world, {parts.sequence, traffic}, {parts.same_part, within_one}};
  const Part held = part_of_rank(n, world.rank(), world.size());
  const Encoder<float> encoder({.vocabulary_size = 256,
                                .sequence_length = n,
                                .layers = options.layers,
                                .model_width = options.width,
                                .heads = options.heads,
                                .feed_forward_width = options.feed_forward,
                                .projected_length = options.projected_length,
                                .sharing = options.sharing.second,
                                .positions = PositionKind::sinusoidal,
                                .dropout = 0,
                                .attention_dropout = 0},
                               /*seed=*/1, held);
  Encoder<float> gradient = zero_gradient(encoder);
  TokenBatch tokens;
  tokens.layout = BatchLayout::from_lengths(std::vector<Index>(static_cast<std::size_t>(options.sequences), n))
                      .part(held.begin, held.end);
  for (Index row = 0; row < tokens.layout.rows(); ++row) tokens.ids.push_back(static_cast<std::int32_t>(row % 256));
  ThreadPool pool(options.threads);
  Workspace workspace;
  const Execution execution{pool, workspace, default_isa()};
  EncoderCache<float> cache;
  Matrix<float> out(tokens.layout.rows(), options.width);
  const EncoderOptions call{.sequence = grid.sequence};
  for (int step = 0; step <= options.steps; ++step) {
    double started[] = {0};
    processes.sum(std::span<double>(started));  // all begin together
    const auto begin = std::chrono::steady_clock::now();
    traffic = {};
    encoder.forward(tokens, out, call, &cache, execution);
    result.forward = std::exchange(traffic, {});
    encoder.backward(tokens, call, cache, out, gradient, execution);
    result.backward = std::exchange(traffic, {});
    double seconds[] = {std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()};
    processes.maximum(std::span<double>(seconds));
    if (step > 0) result.seconds = std::min(result.seconds, seconds[0]);
  }
  traffic = {};
  sum_gradients<float>(gradient, grid);
  result.weights = traffic;
  return result;
}

void print(const Options& options, Index n, Index ranks, const Measured& measured) {
  const double of_others = static_cast<double>(ranks - 1) / static_cast<double>(ranks);
  const auto layers = static_cast<double>(options.layers);
  const auto keys_and_values =
      static_cast<double>(2 * n * options.sequences * options.width) * static_cast<double>(sizeof(float));
  const auto calls = [&](const Traffic& traffic) {
    return (traffic.sum.calls + traffic.maximum.calls) / options.layers;
  };
  std::printf(
      "{\"ranks\": %td, \"n\": %td, \"sequences\": %td, \"layers\": %td, \"width\": %td, "
      "\"projected_length\": %td, \"sharing\": \"%s\", ",
      ranks, n, options.sequences, options.layers, options.width, options.projected_length, options.sharing.first);
  std::printf(
      "\"forward_bytes\": %.0f, \"backward_bytes\": %.0f, \"forward_calls\": %td, \"backward_calls\": %td, "
      "\"weight_bytes\": %.0f, ",
      measured.forward.bytes_sent(ranks) / layers, measured.backward.bytes_sent(ranks) / layers,
      calls(measured.forward), calls(measured.backward), measured.weights.bytes_sent(ranks));
  std::printf(
      "\"all_gather_forward_bytes\": %.0f, \"all_gather_backward_bytes\": %.0f, \"ring_forward_bytes\": %.0f, "
      "\"ring_backward_bytes\": %.0f, ",
      of_others * keys_and_values, of_others * keys_and_values, of_others * keys_and_values,
      ranks == 1 ? 0 : (of_others + 1) * keys_and_values);
  std::printf("\"seconds\": %.6f, \"tokens_per_second\": %.0f}\n", measured.seconds,
              static_cast<double>(n * options.sequences) / measured.seconds);
  std::fflush(stdout);
}

int run_all(int argc, char** argv) {
  MpiWorld processes(MPI_COMM_WORLD);
  const bench::Flags flags(
      argc, argv,
      {"lengths", "sequences", "layers", "width", "heads", "length", "sharing", "feed-forward", "steps", "threads"});
  if (argc > 1) {
    if (std::string_view(argv[1]) != "--help") throw std::invalid_argument("no such option: " + std::string(argv[1]));
    if (processes.rank() == 0) std::fputs(help, stdout);
    return 0;
  }
  constexpr std::pair<const char*, Sharing> sharings[] = {{"headwise", Sharing::headwise},
                                                          {"key_value", Sharing::key_value}};
  const Options options{.lengths = flags.numbers("lengths", {1024, 4096, 16384, 65536, 262144, 1048576}),
                        .sequences = flags.number("sequences", Index{1}),
                        .layers = flags.number("layers", Index{2}),
                        .width = flags.number("width", Index{64}),
                        .heads = flags.number("heads", Index{2}),
                        .projected_length = flags.number("length", Index{64}),
                        .feed_forward = flags.number("feed-forward", Index{64}),
                        .threads = flags.number("threads", Index{1}),
                        .sharing = flags.choice("sharing", "key_value", sharings),
                        .steps = flags.number("steps", 3)};
  for (const Index n : options.lengths) {
    const Measured measured = measure(options, n, processes);
    if (processes.rank() == 0) print(options, n, processes.size(), measured);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const MpiEnvironment environment(argc, argv);
  return environment.run([&] { return run_all(argc, argv); });
}
