// How long an all-reduce takes, by its size: `mpirun -n 2 collectives >collectives.json`. scripts/scale_model.py fits
// latency and bandwidth to it.
#include "flags.hpp"

#include <linformer/core/version.hpp>
#include <linformer/mpi.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace {

using namespace linformer;

constexpr const char* help =
    R"(All-reduces of float over the processes of mpirun. Prints one JSON object, by the first process.

  --bytes=LIST       sizes (4,16,…,67108864: every power of 4)
  --seconds=S        that each size is repeated for, at least (0.5)

Fields: ranks, version; all_reduce: a list of
  bytes              of the values that each process hands over
  repetitions
  seconds            of one, by the slowest process: median over the repetitions; fastest: the least of them
)";

struct Measured {
  std::size_t repetitions = 0;
  double median = 0, fastest = 0;
};

Measured measure(MpiWorld& world, Index bytes, double least_seconds) {
  using Clock = std::chrono::steady_clock;
  std::vector<float> values(static_cast<std::size_t>(bytes) / sizeof(float));
  std::vector<double> seconds;
  double total = 0;
  while (seconds.size() < 5 || total < least_seconds) {
    double nothing[] = {0};
    world.sum(std::span<double>(nothing));  // all begin together
    const auto begin = Clock::now();
    world.sum(std::span<float>(values));
    double slowest[] = {std::chrono::duration<double>(Clock::now() - begin).count()};
    world.maximum(std::span<double>(slowest));
    total += slowest[0];
    seconds.push_back(slowest[0]);
  }
  seconds.erase(seconds.begin());  // warms up
  std::sort(seconds.begin(), seconds.end());
  return {seconds.size(), seconds[seconds.size() / 2], seconds.front()};
}

void run(const bench::Flags& flags, MpiWorld world) {
  std::vector<Index> sizes;
  for (Index bytes = 4; bytes <= Index{1} << 26; bytes *= 4) sizes.push_back(bytes);
  sizes = flags.numbers("bytes", sizes);
  const double seconds = flags.number("seconds", 0.5);
  const bool first = world.rank() == 0;
  if (first) {
    std::printf("{\"ranks\": %td, \"version\": \"%d.%d.%d\", \"all_reduce\": [", world.size(), version_major,
                version_minor, version_patch);
  }
  const char* separator = "";
  for (const Index bytes : sizes) {
    const Measured measured = measure(world, bytes, seconds);
    if (first) {
      std::printf("%s\n  {\"bytes\": %td, \"repetitions\": %zu, \"seconds\": %.4g, \"fastest\": %.4g}", separator,
                  bytes, measured.repetitions, measured.median, measured.fastest);
    }
    separator = ",";
  }
  if (first) std::printf("\n]}\n");
}

}  // namespace

int main(int argc, char** argv) {
  const MpiEnvironment environment(argc, argv);
  return environment.run([&] {
    if (argc > 1 && std::string_view(argv[1]) == "--help") {
      std::fputs(help, stdout);
      return 0;
    }
    const bench::Flags flags(argc, argv, {"bytes", "seconds"});
    if (argc > 1) throw std::runtime_error(std::string("unknown argument ") + argv[1]);
    run(flags, MpiWorld(MPI_COMM_WORLD));
    return 0;
  });
}
