// The four ways to share projections (Section 4 of the paper), and what each costs in parameters, for a model of the
// size of RoBERTa-base reading 512 tokens.
#include <linformer/linformer.hpp>

#include <cstdio>
#include <utility>

int main() {
  using linformer::Sharing;
  constexpr std::pair<Sharing, const char*> modes[] = {{Sharing::none, "none"},
                                                       {Sharing::headwise, "headwise"},
                                                       {Sharing::key_value, "key-value"},
                                                       {Sharing::layerwise, "layerwise"}};
  std::printf("12 layers, 12 heads, n = 512, k = 128\n%-12s %12s %12s %12s\n", "sharing", "projections", "parameters",
              "MiB (fp32)");
  for (const auto& [sharing, name] : modes) {
    const linformer::ProjectionSet<float> set(
        {.layers = 12, .heads = 12, .sequence_length = 512, .projected_length = 128, .sharing = sharing},
        /*seed=*/42);
    std::printf("%-12s %12td %12td %12.2f\n", name, set.distinct(), linformer::parameter_count(set),
                static_cast<double>(linformer::parameter_bytes(set)) / (1 << 20));
  }
}
