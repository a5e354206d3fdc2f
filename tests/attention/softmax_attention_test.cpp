#include <linformer/attention/softmax_attention.hpp>

#include "support/attention_support.hpp"

TEST_CASE("materialised and tiled attention, and Linformer's with E = F = I, agree") {
  // Several tiles of queries and of keys, a mask with holes; P̄ asked for and not.
  constexpr Index n = 700;
  AttentionConfig config{
      .sequence_length = n, .model_width = 12, .heads = 3, .projected_length = n, .sharing = Sharing::layerwise};
  auto linformer = random_attention<float>(config);
  linformer.projections().for_each_parameter([](const std::string&, Shape, std::span<float> values) {
    Eigen::Map<Matrix<float>>(values.data(), n, n).setIdentity();
  });
  config.mechanism = Mechanism::softmax;
  const auto materialised = random_attention<float>(config);
  config.mechanism = Mechanism::softmax_tiled;
  const auto tiled = random_attention<float>(config);
  CHECK(parameter_count(materialised) == parameter_count(linformer.block()));

  const Matrix<float> x = random_matrix<float>(n, 12, 1);
  const auto expected = oracle::forward(oracle::describe(materialised, 5), exact(x), exact(x));
  Matrix<float> y, z, w;
  Probabilities<float> p, q;
  for (const bool asked : {false, true}) {
    materialised.forward(x, y, {.probabilities = asked ? &p : nullptr});
    tiled.forward(x, z, {.probabilities = asked ? &q : nullptr});
    linformer.forward(x, w, {.order = Order::direct});
    CHECK(worst_ratio(y, expected.y, expected.y_error) <= 1);
    CHECK(worst_ratio(z, expected.y, expected.y_error) <= 1);
    CHECK(worst_ratio(w, expected.y, 2 * expected.y_error) <= 1);  // sums over n more, of zeros and one
    CHECK(worst_ratio(z, exact(y), 2 * expected.y_error) <= 1);
  }
  REQUIRE(p.size() == 3);
  REQUIRE(q.size() == 3);
  for (std::size_t head = 0; head < 3; ++head) {
    CHECK(worst_ratio(p[head], expected.p[head], expected.p_error[head]) <= 1);
    CHECK(worst_ratio(q[head], expected.p[head], expected.p_error[head]) <= 1);
  }
}

TEST_CASE("keys of tokens are scaled by 1/sqrt(d) and keep their positions") {
  const auto attention =
      random_attention<float>({.sequence_length = 300, .model_width = 6, .heads = 2, .mechanism = Mechanism::softmax});
  const auto& weights = attention.block().weights();
  const Matrix<float> x = random_matrix<float>(290, 6, 1);
  std::vector<Index> positions;
  for (Index t = 0; t < 290; ++t) positions.push_back(t + t / 100);
  KeysValues<float> kv;
  ThreadPool alone(1);
  Workspace workspace;
  const Execution execution{alone, workspace, default_isa()};
  keys_values_of_tokens<float>(weights.transposed(execution.here()), x, {0, 290, positions.data()}, 2, 96, kv,
                               execution);
  const auto layer = oracle::describe(attention, 5);
  const auto keys = oracle::apply(layer.key, exact(x), oracle::Table::Zero(290, 6));
  const auto values = oracle::apply(layer.value, exact(x), oracle::Table::Zero(290, 6));
  const double root = std::sqrt(3.0);
  CHECK(worst_ratio(keys_of(kv), keys.value / root, (keys.error + 3 * keys.magnitude) / root) <= 1);
  CHECK(worst_ratio(values_of(kv), values.value, values.error) <= 1);
  REQUIRE(kv.heads.size() == 2);
  for (const auto& head : kv.heads) {
    CHECK(head.rows == 290);
    CHECK(head.columns_of_p == 292);
    CHECK(head.columns == positions);
    CHECK(head.score_bias.size() == 0);
  }
}
