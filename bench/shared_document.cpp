// A document too long for one process's memory, or not: classified by as many as there are.
// `mpirun -n 2 shared_document --tokens=10000000`

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header, gcc.gnu.org/PR105593
#endif

#include "flags.hpp"

#include <linformer/core/uniform_below.hpp>
#include <linformer/model/sequence_classifier.hpp>
#include <linformer/mpi.hpp>
#include <linformer/parallel/part.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace linformer;

constexpr const char* help =
    R"(One document through a classifier (mean over tokens, two classes), shared out among the processes of mpirun: each
holds its part of the tokens, of the columns of E and of the table of positions, which are sinusoidal. Linux.

  --tokens=N         of the document, and the configured length n (10000000)
  --layers=L         (2)
  --width=D          (64)
  --heads=H          (2)
  --length=K         projected length k (64)
  --projection=NAME  mean_pooling, learned (E = F), or gaussian (mean_pooling)
  --threads=T        of each process (1)

Prints one JSON object, by the first process: ranks; tokens, layers, width, projected_length, projection as given;
seconds of the forward call, of the slowest process; peak_bytes, the most memory that each process had resident, its
libraries included; logits, which do not depend on the number of processes beyond rounding.
)";

/// The most memory that this process has had resident.
double peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return 1024.0 * std::stod(line.substr(line.find(':') + 1));
  }
  return 0;
}

/// The text's tokens, each by its position alone.
TokenBatch tokens_at(Index total, Part positions, std::int32_t vocabulary) {
  TokenBatch tokens;
  tokens.layout = BatchLayout::single(total).part(positions.begin, positions.end);
  tokens.ids.reserve(static_cast<std::size_t>(positions.size()));
  const RandomStream draws = RandomStream(0).derive("document");
  for (Index t = positions.begin; t < positions.end; ++t) {
    const auto words = draws.words(static_cast<std::uint64_t>(t));
    tokens.ids.push_back(
        static_cast<std::int32_t>(uniform_below(words[0], words[1], static_cast<std::uint64_t>(vocabulary))));
  }
  return tokens;
}

int run_all(int argc, char** argv) {
  MpiWorld world(MPI_COMM_WORLD);
  const bench::Flags flags(argc, argv, {"tokens", "layers", "width", "heads", "length", "projection", "threads"});
  if (argc > 1) {
    if (std::string_view(argv[1]) != "--help") throw std::invalid_argument("no such option: " + std::string(argv[1]));
    if (world.rank() == 0) std::fputs(help, stdout);
    return 0;
  }
  constexpr std::pair<const char*, ProjectionKind> projections[] = {{"mean_pooling", ProjectionKind::mean_pooling},
                                                                    {"learned", ProjectionKind::learned},
                                                                    {"gaussian", ProjectionKind::gaussian}};
  const auto [projection_name, projection] = flags.choice("projection", "mean_pooling", projections);
  const EncoderConfig config{.vocabulary_size = 256,
                             .sequence_length = flags.number("tokens", Index{10'000'000}),
                             .layers = flags.number("layers", Index{2}),
                             .model_width = flags.number("width", Index{64}),
                             .heads = flags.number("heads", Index{2}),
                             .projected_length = flags.number("length", Index{64}),
                             .sharing = Sharing::key_value,
                             .projection = {.kind = projection},
                             .positions = PositionKind::sinusoidal,
                             .dropout = 0,
                             .attention_dropout = 0};
  const Part held = part_of_rank(config.sequence_length, world.rank(), world.size());
  const SequenceClassifier<float> model(config, /*classes=*/2, Pooling::mean, /*seed=*/1, held);
  const TokenBatch tokens = tokens_at(config.sequence_length, held, 256);
  ThreadPool pool(flags.number("threads", Index{1}));
  Workspace workspace;

  const auto begin = std::chrono::steady_clock::now();
  const Matrix<float> logits = model.forward(tokens, {.sequence = world}, nullptr, {pool, workspace, default_isa()});
  double seconds[] = {std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()};
  world.maximum(std::span<double>(seconds));
  std::vector<double> peaks(static_cast<std::size_t>(world.size()));
  peaks[static_cast<std::size_t>(world.rank())] = peak_bytes();
  world.sum(std::span<double>(peaks));
  if (world.rank() != 0) return 0;
  std::printf(
      "{\"ranks\": %td, \"tokens\": %td, \"layers\": %td, \"width\": %td, \"projected_length\": %td, "
      "\"projection\": \"%s\", \"seconds\": %.3f, \"peak_bytes\": [",
      world.size(), config.sequence_length, config.layers, config.model_width, config.projected_length.list().front(),
      projection_name, seconds[0]);
  for (std::size_t rank = 0; rank < peaks.size(); ++rank) std::printf("%s%.0f", rank == 0 ? "" : ", ", peaks[rank]);
  std::printf("], \"logits\": [%.9g, %.9g]}\n", static_cast<double>(logits(0, 0)), static_cast<double>(logits(0, 1)));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const MpiEnvironment environment(argc, argv);
  return environment.run([&] { return run_all(argc, argv); });
}
