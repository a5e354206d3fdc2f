#include <linformer/attention/projection.hpp>

#include "support/projection_support.hpp"

namespace {

Projection<float> make(const ProjectionConfig& config, Index k, Index n, std::uint64_t seed = 1) {
  return make_projection<float>(config, k, n, 3, RandomStream(seed));
}

}  // namespace

TEST_CASE("each kind says what it is") {
  const struct {
    ProjectionConfig config;
    bool commutes, local, averages, log_count;
    Reduction reduction;
    Index feature_width;
    std::vector<std::string> parameters;
  } cases[] = {
      {{.kind = ProjectionKind::learned}, true, false, false, false, Reduction::sum, 0, {"p.weight 4 12"}},
      {{.kind = ProjectionKind::gaussian}, true, false, false, false, Reduction::sum, 0, {}},
      {{.kind = ProjectionKind::rademacher, .stored = true, .bias = true},
       true,
       false,
       false,
       false,
       Reduction::sum,
       0,
       {"p.bias 4"}},
      {{.kind = ProjectionKind::mean_pooling}, true, true, true, false, Reduction::sum, 0, {}},
      {{.kind = ProjectionKind::mean_pooling, .log_count = true}, true, true, true, true, Reduction::sum, 0, {}},
      {{.kind = ProjectionKind::growing_pooling}, true, true, true, true, Reduction::sum, 0, {}},
      {{.kind = ProjectionKind::max_pooling}, false, true, false, false, Reduction::maximum, 0, {}},
      {{.kind = ProjectionKind::convolution, .bias = true},
       true,
       true,
       false,
       false,
       Reduction::sum,
       0,
       {"p.weight 3", "p.bias 4"}},
      {{.kind = ProjectionKind::depthwise_convolution}, false, true, false, false, Reduction::sum, 3, {"p.weight 3 3"}},
  };
  for (const auto& test : cases) {
    const Projection<float> projection = make(test.config, 4, 12);
    CAPTURE(test.config.kind);
    CHECK(projection.rows() == 4);
    CHECK(projection.columns() == 12);
    CHECK(projection.commutes() == test.commutes);
    CHECK(projection.local() == test.local);
    CHECK(projection.averages() == test.averages);
    CHECK(projection.log_count() == test.log_count);
    CHECK(projection.reduction() == test.reduction);
    CHECK(projection.feature_width() == test.feature_width);
    CHECK(projection.bias().size() == (test.config.bias ? 4 : 0));
    std::vector<std::string> parameters;
    projection.for_each_parameter("p", [&](std::string name, Shape shape, std::span<const float> values) {
      Index size = 1;
      for (const Index extent : shape) {
        name.append(" ").append(std::to_string(extent));
        size *= extent;
      }
      CHECK(static_cast<Index>(values.size()) == size);
      parameters.push_back(name);
    });
    CHECK(parameters == test.parameters);

    // Tokens 0, 1, 2 and 7 of windows of three; those of 8 tokens that grow begin at 0, 1, 2 and 4.
    const Index list[] = {0, 1, 2, 7};
    Eigen::Array<Index, Eigen::Dynamic, 1> counts = Eigen::Array<Index, Eigen::Dynamic, 1>::Ones(4), expected(4);
    projection.count({0, 4, list}, counts);
    if (projection.of_text()) {
      expected << 2, 2, 2, 2;
    } else if (test.local) {
      expected << 4, 1, 2, 1;
    } else {
      expected.setConstant(5);
    }
    CHECK((counts == expected).all());
  }
}

TEST_CASE("a projection of any kind accumulates as its kind does") {
  const Matrix<float> weight = random_matrix<float>(4, 12, 1), x = random_matrix<float>(12, 2, 2);
  const Projection<float> projection(LearnedProjection<float>{weight});
  Matrix<float> out = Matrix<float>::Zero(4, 2), expected = out;
  Vector<float> ones = Vector<float>::Zero(4);
  Workspace workspace;
  projection.accumulate({0, 12}, x, out, &ones, {workspace, default_isa()});
  LearnedProjection<float>{weight}.accumulate({0, 12}, x, expected, nullptr, {workspace, default_isa()});
  CHECK(same_bits(out, expected));
  CHECK_FALSE(ones.isZero(0));
}

TEST_CASE("projections have the same rows where they are one matrix") {
  const auto kind = [](ProjectionKind k) { return ProjectionConfig{.kind = k}; };
  const Projection<float> learned = make(kind(ProjectionKind::learned), 4, 12), copy = learned;
  CHECK(learned.same_rows(learned));
  CHECK_FALSE(learned.same_rows(copy));  // equal now, but weights of its own
  for (const ProjectionKind own : {ProjectionKind::convolution, ProjectionKind::depthwise_convolution}) {
    CHECK_FALSE(make(kind(own), 4, 12).same_rows(make(kind(own), 4, 12)));
  }
  for (const ProjectionKind weightless :
       {ProjectionKind::mean_pooling, ProjectionKind::growing_pooling, ProjectionKind::max_pooling}) {
    CHECK(make(kind(weightless), 4, 12).same_rows(make(kind(weightless), 4, 12)));
    CHECK_FALSE(make(kind(weightless), 4, 12).same_rows(make(kind(weightless), 3, 12)));
    CHECK_FALSE(make(kind(weightless), 4, 12).same_rows(make(kind(weightless), 4, 13)));
  }
  CHECK_FALSE(
      make(kind(ProjectionKind::mean_pooling), 4, 12).same_rows(make(kind(ProjectionKind::max_pooling), 4, 12)));
  const auto gaussian = kind(ProjectionKind::gaussian);
  CHECK(make(gaussian, 4, 12).same_rows(make(gaussian, 4, 12)));
  CHECK_FALSE(make(gaussian, 4, 12, 1).same_rows(make(gaussian, 4, 12, 2)));
}

TEST_CASE("projections that cannot be made") {
  constexpr Index huge = Index{1} << 40;
  const struct {
    ProjectionKind kind;
    Index k, n;
    ErrorCode code;
    const char* tensor;
  } cases[] = {
      {ProjectionKind::learned, 0, 12, ErrorCode::invalid_configuration, "projected_length"},
      {ProjectionKind::gaussian, -1, 12, ErrorCode::invalid_configuration, "projected_length"},
      {ProjectionKind::mean_pooling, 13, 12, ErrorCode::invalid_configuration, "projected_length"},
      {ProjectionKind::convolution, 5, 12, ErrorCode::invalid_configuration, "projected_length"},
      {ProjectionKind::depthwise_convolution, 5, 12, ErrorCode::invalid_configuration, "projected_length"},
      {ProjectionKind::learned, huge, huge, ErrorCode::size_overflow, "projection"},
      {static_cast<ProjectionKind>(99), 4, 12, ErrorCode::invalid_configuration, "projection.kind"},
  };
  for (const auto& test : cases) {
    CAPTURE(test.kind, test.k, test.n);
    check_error([&] { (void)make({.kind = test.kind}, test.k, test.n); }, test.code, test.tensor);
  }
  check_error([] { Projection<float>(MeanPooling<float>{Windows(2, 4)}, Vector<float>::Zero(3)); },
              ErrorCode::shape_mismatch, "projection bias");
}
