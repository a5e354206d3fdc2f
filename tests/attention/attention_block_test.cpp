#include <linformer/attention/attention_block.hpp>

#include "support/attention_support.hpp"
#include "support/fixtures.hpp"

namespace {

/// Bounds the difference of two computations in double of which one was printed with 14 digits.
double worst_beside_print(const Matrix<double>& actual, const oracle::Table& printed, const oracle::Table& error) {
  constexpr double u = std::numeric_limits<double>::epsilon() / 2;
  return worst_ratio(actual, printed, error + 5e-14 / u * printed.cwiseAbs());
}

}  // namespace

TEST_CASE("two layers over one projection set equal PyTorch's, for each way of sharing") {
  const struct {
    const char* name;
    Sharing sharing;
    Index distinct;
  } cases[] = {{"none", Sharing::none, 8},
               {"headwise", Sharing::headwise, 4},
               {"key_value", Sharing::key_value, 2},
               {"layerwise", Sharing::layerwise, 1}};
  const auto fixtures = read_fixtures();
  REQUIRE(fixtures.size() == 4);
  for (const auto& test : cases) {
    CAPTURE(test.name);
    const oracle::Parameters& given = fixtures.at(test.name);
    const AttentionConfig config{
        .sequence_length = 10, .model_width = 6, .heads = 2, .projected_length = 4, .sharing = test.sharing};
    ProjectionSet<double> set(
        {.layers = 2, .heads = 2, .sequence_length = 10, .projected_length = 4, .sharing = test.sharing}, 1);
    REQUIRE(set.distinct() == test.distinct);
    const auto load = [&](const std::string& prefix) {
      return [&given, prefix](const std::string& name, Shape shape, std::span<double> values) {
        const oracle::Table& tensor = given.at(prefix + name);
        REQUIRE(tensor.rows() == shape[0]);
        REQUIRE(tensor.size() == static_cast<Index>(values.size()));
        std::copy_n(tensor.data(), values.size(), values.data());
      };
    };
    set.for_each_parameter(load(""));

    TokenMask mask(2, 10);
    for (Index i = 0; i < mask.size(); ++i) mask.data()[i] = given.at("mask").data()[i] != 0;
    Batch<double> x = to_ragged(given.at("x"), MaskView(mask));
    oracle::Table padded = given.at("x");
    for (Index layer = 0; layer < 2; ++layer) {
      std::string prefix = "layer.";
      prefix.append(std::to_string(layer)).append(".");
      AttentionBlock<double> block(config, 1);
      block.for_each_parameter(load(prefix));
      oracle::Parameters parameters;
      oracle::collect(block, parameters);
      oracle::collect(set, parameters);
      const oracle::Layer described = oracle::describe(config, parameters, 1, layer);

      std::string at = std::to_string(layer);
      const oracle::Table& y = given.at("y." + at);
      for (const Order order : {Order::direct, Order::reassociated, Order::absorbed}) {
        CAPTURE(layer, order);
        Batch<double> z{x.layout, Matrix<double>(x.rows.rows(), 6)};
        Probabilities<double> p;
        block.forward(set.layer(layer), x.rows, x.layout, x.rows, x.layout, z.rows,
                      {.probabilities = &p, .order = order});
        const Matrix<double> result = to_padded(z, 10);
        for (Index b = 0; b < 2; ++b) {
          oracle::Present present;
          for (Index t = 0; t < 10; ++t) present.push_back(mask(b, t));
          const oracle::Table rows = padded.middleRows(b * 10, 10), expected = y.middleRows(b * 10, 10);
          const auto bound = oracle::forward(
              described, rows, rows, {.queries = present, .tokens = present, .absorbed = order == Order::absorbed});
          CHECK(worst_beside_print(result.middleRows(b * 10, 10), expected, bound.y_error) <= 1);
          CHECK(worst_beside_print(bound.y, expected, bound.y_error) <= 1);  // the oracle too
          const Positions positions = z.layout.positions(b);
          for (Index head = 0; head < 2; ++head) {
            std::string name = "p.";
            name.append(at).append(".").append(std::to_string(b)).append(".").append(std::to_string(head));
            Matrix<double> all = Matrix<double>::Zero(10, 4);
            for (Index i = 0; i < positions.count; ++i) {
              all.row(positions[i]) = p[static_cast<std::size_t>(2 * b + head)].row(i);
            }
            CHECK(worst_beside_print(all, given.at(name), bound.p_error[static_cast<std::size_t>(head)]) <= 1);
          }
        }
      }
      padded = y;  // as printed: rounding of the first layer is not carried on
      x = to_ragged(padded, MaskView(mask));
    }
  }
}

TEST_CASE("the block's plan counts the matrices that differ") {
  const auto plan = [](Sharing sharing, ProjectionKind kind, ProjectedLength k) {
    const AttentionConfig config{.sequence_length = 64,
                                 .model_width = 24,
                                 .heads = 4,
                                 .projected_length = k,
                                 .sharing = sharing,
                                 .context_width = 20};
    const ProjectionSet<float> set({.heads = 4,
                                    .head_width = 6,
                                    .sequence_length = 64,
                                    .projected_length = k,
                                    .sharing = sharing,
                                    .projection = {.kind = kind}},
                                   1);
    return AttentionBlock<float>(config, 1).plan(set.layer(0), 50, 60);
  };
  const auto shape = [](Index distinct, bool dense, double k) {
    return make_plan({.queries = 50,
                      .context = 60,
                      .model_width = 24,
                      .context_width = 20,
                      .heads = 4,
                      .head_width = 6,
                      .projected_length = k,
                      .distinct_projections = distinct,
                      .dense = dense});
  };
  const struct {
    Sharing sharing;
    ProjectionKind kind;
    ProjectedLength k;
    Plan expected;
  } cases[] = {
      {Sharing::none, ProjectionKind::learned, 8, shape(8, true, 8)},
      {Sharing::none, ProjectionKind::learned, {4, 8, 16, 20}, shape(8, true, 12)},
      {Sharing::headwise, ProjectionKind::learned, 8, shape(2, true, 8)},
      {Sharing::key_value, ProjectionKind::learned, 8, shape(1, true, 8)},
      {Sharing::headwise, ProjectionKind::gaussian, 8, shape(1, true, 8)},
      {Sharing::none, ProjectionKind::mean_pooling, 8, shape(1, false, 8)},
      {Sharing::headwise, ProjectionKind::convolution, 8, shape(2, false, 8)},
  };
  for (const auto& test : cases) {
    const Plan got = plan(test.sharing, test.kind, test.k);
    CAPTURE(test.sharing, test.kind);
    CHECK(got.direct == test.expected.direct);
    CHECK(got.reassociated == test.expected.reassociated);
    CHECK(got.softmax == test.expected.softmax);
    CHECK(got.order == test.expected.order);
  }
  CHECK(plan(Sharing::headwise, ProjectionKind::max_pooling, 8).order == Order::direct);
}

TEST_CASE("a block's blocks are values and its layers may share a set") {
  AttentionBlock<float> block({.sequence_length = 8, .model_width = 4, .heads = 2, .projected_length = 2}, 1);
  const AttentionBlock<float> copy = block;
  block.weights().query.weight.setZero();
  CHECK_FALSE(copy.weights().query.weight.isZero());
  CHECK(copy.config().head_width == 2);
}

TEST_CASE("projections of another shape than the block's are refused") {
  const AttentionConfig config{.sequence_length = 8, .model_width = 4, .heads = 2, .projected_length = 2};
  const AttentionBlock<float> block(config, 1);
  const Matrix<float> x = random_matrix<float>(8, 4, 1);
  const BatchLayout layout = BatchLayout::single(8);
  Matrix<float> y = Matrix<float>::Constant(8, 4, 3.0F);
  const Matrix<float> before = y;
  const ProjectionSetConfig others[] = {
      {.heads = 2, .sequence_length = 6, .projected_length = 2},  // another n
      {.heads = 3, .sequence_length = 8, .projected_length = 2},  // another h
      {.heads = 1, .sequence_length = 8, .projected_length = 2},
      {.heads = 2,
       .head_width = 3,
       .sequence_length = 8,
       .projected_length = 2,  // another d
       .projection = {.kind = ProjectionKind::depthwise_convolution}},
  };
  for (const ProjectionSetConfig& other : others) {
    CAPTURE(&other - others);
    const ProjectionSet<float> set(other, 1);
    check_error([&] { block.forward(set.layer(0), x, layout, x, layout, MatrixRef<float>(y), {}); },
                ErrorCode::shape_mismatch, "projections");
    CHECK(same_bits(y, before));
  }
}
