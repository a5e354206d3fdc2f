#include <linformer/attention/weights.hpp>

#include "support/attention_support.hpp"

namespace {

/// "name rows x columns" of every parameter, in order.
template <class Module>
std::vector<std::string> list(const Module& module) {
  std::vector<std::string> result;
  module.for_each_parameter([&](std::string name, Shape shape, auto values) {
    Index size = 1;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      name.append(i == 0 ? " " : " x ").append(std::to_string(shape[i]));
      size *= shape[i];
    }
    CHECK(static_cast<Index>(values.size()) == size);
    result.push_back(name);
  });
  return result;
}

using ParameterNames = std::vector<std::string>;

ParameterNames operator+(ParameterNames a, const ParameterNames& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("parameters have BERT's names and PyTorch's orientation, E and F k x n") {
  // h·d = 10, D = 6, context 5 wide, n = 8, k = 4.
  AttentionConfig config{.sequence_length = 8,
                         .model_width = 6,
                         .heads = 2,
                         .projected_length = 4,
                         .head_width = 5,
                         .context_width = 5,
                         .projected_bias = true};
  const ParameterNames block{"query.weight 10 x 6",   "query.bias 10",           "key.weight 10 x 5",
                             "key.bias 10",           "value.weight 10 x 5",     "value.bias 10",
                             "projected_key.bias 10", "projected_value.bias 10", "output.dense.weight 6 x 10",
                             "output.dense.bias 6"};
  const struct {
    Sharing sharing;
    ProjectionConfig projection;
    ParameterNames expected;
  } cases[] = {
      {Sharing::none,
       {},
       {"projections.0.0.key.weight 4 x 8", "projections.0.0.value.weight 4 x 8", "projections.0.1.key.weight 4 x 8",
        "projections.0.1.value.weight 4 x 8"}},
      {Sharing::headwise,
       {.bias = true},
       {"projections.0.key.weight 4 x 8", "projections.0.key.bias 4", "projections.0.value.weight 4 x 8",
        "projections.0.value.bias 4"}},
      {Sharing::key_value, {}, {"projections.0.weight 4 x 8"}},
      {Sharing::layerwise, {}, {"projections.weight 4 x 8"}},
      {Sharing::layerwise, {.kind = ProjectionKind::convolution}, {"projections.weight 2"}},
      {Sharing::key_value, {.kind = ProjectionKind::depthwise_convolution}, {"projections.0.weight 5 x 2"}},
      {Sharing::none, {.kind = ProjectionKind::gaussian, .stored = true}, {}},
  };
  for (const auto& test : cases) {
    CAPTURE(test.sharing, test.projection.kind);
    config.sharing = test.sharing;
    config.projection = test.projection;
    const LinformerAttention<float> attention(config, 1);
    CHECK(list(attention) == block + test.expected);
    Index count = 0;
    attention.for_each_parameter([&](const auto&, Shape, auto values) { count += static_cast<Index>(values.size()); });
    CHECK(parameter_count(attention) == count);
    CHECK(parameter_bytes(attention) == 4 * count);
    LinformerAttention<float> mutable_attention = attention;
    Index visited = 0;
    mutable_attention.for_each_parameter([&](const auto&, Shape, std::span<float>) { ++visited; });
    CHECK(visited == static_cast<Index>(list(attention).size()));
  }
  config.query_key_value_bias = config.output_bias = config.projected_bias = false;
  config.mechanism = Mechanism::softmax;
  CHECK(list(LinformerAttention<double>(config, 1)) == ParameterNames{"query.weight 10 x 6", "key.weight 10 x 5",
                                                                      "value.weight 10 x 5",
                                                                      "output.dense.weight 6 x 10"});
}

TEST_CASE("the seed decides the weights, to the bit, on every compiler") {
  const AttentionConfig config{.sequence_length = 10, .model_width = 6, .heads = 2, .projected_length = 4};
  const struct {
    const char* name;
    float first_float, last_float;
    double first_double, last_double;
  } golden[] = {
      {"query.weight", 0x1.fa67b2p-3F, -0x1.45e164p-1F, 0x1.fa67b81398c9ap-3, -0x1.45e163bc95148p-1},
      {"key.weight", 0x1.598e64p-3F, -0x1.9e0006p-2F, 0x1.598e6479ca5cbp-3, -0x1.9e0008a968b82p-2},
      {"value.weight", 0x1.5a2418p-2F, -0x1.71e69cp-3F, 0x1.5a2418ec4bd26p-2, -0x1.71e6a000af8fp-3},
      {"output.dense.weight", -0x1.c14e1ep-3F, -0x1.05024cp-3F, -0x1.c14e23f354cedp-3, -0x1.05024970b57bep-3},
      {"projections.0.key.weight", 0x1.cebd7p-2F, -0x1.34777cp-3F, 0x1.cebd70495c391p-2, -0x1.34777bcf6d602p-3},
      {"projections.0.value.weight", 0x1.47b004p-3F, 0x1.a37488p-4F, 0x1.47b0037c2ea2cp-3, 0x1.a37488ea21453p-4},
  };
  oracle::Parameters floats, doubles, again, other;
  oracle::collect(LinformerAttention<float>(config, 42), floats);
  oracle::collect(LinformerAttention<double>(config, 42), doubles);
  oracle::collect(LinformerAttention<double>(config, 42), again);
  oracle::collect(LinformerAttention<double>(config, 43), other);
  CHECK(doubles == again);
  for (const auto& test : golden) {
    CAPTURE(test.name);
    const oracle::Table& f = floats.at(test.name);
    const oracle::Table& d = doubles.at(test.name);
    CHECK(static_cast<float>(f.data()[0]) == test.first_float);
    CHECK(static_cast<float>(f.data()[f.size() - 1]) == test.last_float);
    CHECK(d.data()[0] == test.first_double);
    CHECK(d.data()[d.size() - 1] == test.last_double);
    CHECK_FALSE(d == other.at(test.name));
  }
}

TEST_CASE("weights start uniform in +-sqrt(6/(in + out)), biases at zero") {
  const LinformerAttention<double> attention({.sequence_length = 4,
                                              .model_width = 60,
                                              .heads = 2,
                                              .projected_length = 2,
                                              .head_width = 20,
                                              .context_width = 90,
                                              .projected_bias = true},
                                             7);
  oracle::Parameters parameters;
  oracle::collect(attention.block(), parameters);
  for (const auto& [name, values] : parameters) {
    CAPTURE(name);
    if (name.ends_with(".bias")) {
      CHECK(values.isZero(0));
      continue;
    }
    const double limit = std::sqrt(6.0 / static_cast<double>(values.rows() + values.cols()));
    const auto size = static_cast<double>(values.size());
    CHECK(values.cwiseAbs().maxCoeff() <= limit);
    // The variance of a uniform value is limit²/3, that of its square 4/45 limit⁴: six standard deviations.
    CHECK(std::abs(values.mean()) <= 6 * limit / std::sqrt(3 * size));
    CHECK(std::abs(values.squaredNorm() / size / (limit * limit) - 1.0 / 3) <= 6 * std::sqrt(4.0 / 45 / size));
  }
  CHECK_FALSE(parameters.at("key.weight") == parameters.at("value.weight"));
}

TEST_CASE("a copy of a layer is a value of its own") {
  auto attention = random_attention<float>({.sequence_length = 8, .model_width = 4, .heads = 2, .projected_length = 2});
  const Matrix<float> x = random_matrix<float>(8, 4, 1), before = attention(x);
  LinformerAttention<float> copy = attention, assigned;
  assigned = copy;
  CHECK(same_bits(copy(x), before));
  randomise(attention, 900);
  CHECK_FALSE(same_bits(attention(x), before));
  CHECK(same_bits(copy(x), before));
  CHECK(same_bits(assigned(x), before));
  const LinformerAttention<float> moved = std::move(copy);
  CHECK(same_bits(moved(x), before));
}
