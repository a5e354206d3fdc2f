// How much faster several processes train than one, beside how much more their processors could compute:
// `mpirun -n 2 data_parallel`

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header, gcc.gnu.org/PR105593
#endif

#include "flags.hpp"
#include "multiply_add_peak.hpp"

#include <linformer/mpi.hpp>
#include <linformer/train/masked_language_loss.hpp>
#include <linformer/train/trainer.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace linformer;
using Model = MaskedLanguageModel<float>;
using Clock = std::chrono::steady_clock;

constexpr const char* help =
    R"(Steps of masked-language-model training (15 % of the tokens masked, dropout 0.1; backward, sums of gradients,
clipping and AdamW among it) by the first process alone and by all processes of mpirun, in turns. Every process has the
same number of sequences. Prints one JSON object, by the first process.

  --preset=NAME      tiny (2 layers, D = 64), small (default: 4, 256), base (12, 768)
  --n=N              tokens of a sequence (512)
  --length=K         projected length k (128)
  --vocabulary=V     (8192)
  --sequences=B      of each process and step (8)
  --threads=T        of each process (1)
  --shard=yes|no     the optimizer's state shared out (no)
  --rounds=R         (9)

Fields: ranks; preset, n, projected_length, vocabulary, sequences, threads, shard as given; parameters;
  one_seconds, all_seconds          of a step, the slowest process's: the median of the rounds
  one_fastest, all_fastest          the least of them
  one_peak, all_peak                multiply-adds in float a second, each counted as two operations: of the first
                                    process alone, and of all at the same time, the most of the rounds
  speedup                           all processes' sequences a second, divided by the first one's alone: medians
  efficiency                        speedup ÷ (all_peak ÷ one_peak)
)";

constexpr std::pair<const char*, EncoderConfig (*)()> presets_by_name[] = {
    {"tiny", presets::tiny}, {"small", presets::small}, {"base", presets::base}};
constexpr std::pair<const char*, bool> answers[] = {{"no", false}, {"yes", true}};

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// Waits for all processes and leaves the processor to others meanwhile, as MPI's own barrier does not.
void wait_asleep() {
  MPI_Request barrier = MPI_REQUEST_NULL;
  MPI_Ibarrier(MPI_COMM_WORLD, &barrier);
  for (int done = 0;;) {
    MPI_Test(&barrier, &done, MPI_STATUS_IGNORE);
    if (done != 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

/// A model and what trains it, over some processes.
class Subject {
 public:
  Subject(const EncoderConfig& config, Index sequences, Index threads, bool shard, MpiWorld world)
      : model_(config, /*seed=*/1),
        trainer_(model_, {.schedule = {.kind = ScheduleKind::constant, .peak = 1e-5}, .shard_optimizer = shard}, world),
        pool_(threads) {
    std::vector<std::vector<std::int32_t>> ids(static_cast<std::size_t>(sequences));
    std::int32_t next = static_cast<std::int32_t>(world.rank());
    for (auto& sequence : ids) {
      sequence.resize(static_cast<std::size_t>(config.sequence_length));
      for (std::int32_t& id : sequence) id = 5 + (next += 31) % 250;
    }
    const TokenBatch tokens = TokenBatch::from_sequences(ids);
    layout_ = tokens.layout;
    std::vector<Index> samples(ids.size());
    std::iota(samples.begin(), samples.end(), Index{0});
    masked_ = TokenMasking({.vocabulary = static_cast<std::int32_t>(config.vocabulary_size),
                            .mask_id = 4,
                            .special_ids = {0, 1, 2, 3}})
                  .apply(tokens.ids, layout_, samples, 1, 0);
  }

  [[nodiscard]] Index parameters() const { return parameter_count(model_); }

  void step() {
    const Execution execution{pool_, workspace_, default_isa()};
    const std::uint64_t step = trainer_.steps();
    trainer_.step(
        model_, 1,
        [&](Index, Model& gradient, const std::function<void(std::size_t)>& on_layer_done) {
          return masked_language_gradient(
              model_, layout_, masked_,
              {.dropout = DropoutAddress{.seed = 1, .step = step}, .on_layer_done = on_layer_done}, 1.0, cache_,
              gradient, execution);
        },
        pool_);
  }

 private:
  Model model_;
  Trainer<float, Model, MpiWorld> trainer_;
  ThreadPool pool_;
  Workspace workspace_;
  BatchLayout layout_;
  MaskedTokens masked_;
  EncoderCache<float> cache_;
};

/// What the rounds gave, of the first process alone or of all.
struct Measured {
  std::vector<double> seconds;
  double peak = 0;

  [[nodiscard]] double median() {
    std::ranges::sort(seconds);
    return seconds[seconds.size() / 2];
  }
  [[nodiscard]] double fastest() const { return *std::ranges::min_element(seconds); }
};

/// A step, and multiply-adds, of the world's processes at the same time.
void measure(Subject& subject, int threads, MpiWorld& world, Measured& to) {
  double rate[] = {0};
  world.sum(std::span<double>(rate));  // all begin together
  rate[0] = bench::multiply_add_peak<float>(threads, /*repetitions=*/4);
  world.sum(std::span<double>(rate));
  to.peak = std::max(to.peak, rate[0]);
  const auto begin = Clock::now();
  subject.step();
  double slowest[] = {seconds_since(begin)};
  world.maximum(std::span<double>(slowest));
  to.seconds.push_back(slowest[0]);
}

int run_all(int argc, char** argv) {
  MpiWorld world(MPI_COMM_WORLD), alone;
  const bool first = world.rank() == 0;
  const bench::Flags flags(argc, argv,
                           {"preset", "n", "length", "vocabulary", "sequences", "threads", "shard", "rounds"});
  if (argc > 1) {
    if (std::string_view(argv[1]) != "--help") throw std::invalid_argument("no such option: " + std::string(argv[1]));
    if (first) std::fputs(help, stdout);
    return 0;
  }
  const auto [preset_name, preset] = flags.choice("preset", "small", presets_by_name);
  const auto [shard_name, shard] = flags.choice("shard", "no", answers);
  const Index sequences = flags.number("sequences", Index{8}), threads = flags.number("threads", Index{1});
  EncoderConfig config = preset();
  config.vocabulary_size = flags.number("vocabulary", Index{8192});
  config.sequence_length = flags.number("n", Index{512});
  config.projected_length = flags.number("length", Index{128});

  Subject together(config, sequences, threads, shard, world);
  Measured one, all;
  std::optional<Subject> single;
  if (first) single.emplace(config, sequences, threads, false, alone);
  const Index rounds = flags.number("rounds", Index{9});
  for (Index round = -1; round < rounds; ++round) {
    if (round == 0) one.seconds.clear(), all.seconds.clear();  // the first warms up
    if (first) measure(*single, static_cast<int>(threads), alone, one);
    wait_asleep();
    measure(together, static_cast<int>(threads), world, all);
  }
  if (!first) return 0;
  const double speedup = static_cast<double>(world.size()) * one.median() / all.median();
  std::printf(
      "{\"ranks\": %td, \"preset\": \"%s\", \"n\": %td, \"projected_length\": %td, \"vocabulary\": %td, "
      "\"sequences\": %td, \"threads\": %td, \"shard\": \"%s\", \"parameters\": %td,\n"
      " \"one_seconds\": %.4f, \"all_seconds\": %.4f, \"one_fastest\": %.4f, \"all_fastest\": %.4f, "
      "\"one_peak\": %.4g, \"all_peak\": %.4g, \"speedup\": %.3f, \"efficiency\": %.3f}\n",
      world.size(), preset_name, config.sequence_length, config.projected_length.list().front(), config.vocabulary_size,
      sequences, threads, shard_name, together.parameters(), one.median(), all.median(), one.fastest(), all.fastest(),
      one.peak, all.peak, speedup, speedup / (all.peak / one.peak));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const MpiEnvironment environment(argc, argv);
  return environment.run([&] { return run_all(argc, argv); });
}
