#include <linformer/attention/projection_set.hpp>

#include "support/attention_support.hpp"

#include <set>

namespace {

constexpr Sharing sharings[] = {Sharing::none, Sharing::headwise, Sharing::key_value, Sharing::layerwise};

std::vector<std::string> names(const ProjectionSet<float>& set) {
  std::vector<std::string> result;
  set.for_each_parameter([&](const std::string& name, Shape, std::span<const float>) { result.push_back(name); });
  return result;
}

}  // namespace

TEST_CASE("288, 24, 12 and 1 projections for twelve layers of twelve heads") {
  const Index expected[] = {288, 24, 12, 1};
  for (int i = 0; i < 4; ++i) {
    const ProjectionSet<float> set({.layers = 12,
                                    .heads = 12,
                                    .head_width = 2,
                                    .sequence_length = 6,
                                    .projected_length = 2,
                                    .sharing = sharings[i]},
                                   1);
    CHECK(set.distinct() == expected[i]);
    CHECK(parameter_count(set) == expected[i] * 12);
    CHECK(parameter_bytes(set) == expected[i] * 48);
    // Which places are one projection, by brute force.
    std::set<const Projection<float>*> found;
    bool shared = true;
    for (Index layer = 0; layer < 12; ++layer) {
      const auto view = set.layer(layer);
      REQUIRE(view.key.size() == 12);
      for (Index head = 0; head < 12; ++head) {
        const auto at = static_cast<std::size_t>(head);
        const Projection<float>* e = &set.projection(layer, head, Side::key);
        const Projection<float>* f = &set.projection(layer, head, Side::value);
        found.insert({e, f});
        shared = shared && view.key[at] == e && view.value[at] == f;
        shared = shared && (e == f) == (sharings[i] == Sharing::key_value || sharings[i] == Sharing::layerwise);
        shared = shared && (e == view.key[0]) == (head == 0 || sharings[i] != Sharing::none);
        shared =
            shared && (e == &set.projection(0, head, Side::key)) == (layer == 0 || sharings[i] == Sharing::layerwise);
      }
    }
    CHECK(shared);
    CHECK(static_cast<Index>(found.size()) == expected[i]);
  }
}

TEST_CASE("projections are named by what they do not share") {
  const auto of = [](Sharing sharing) {
    return names(ProjectionSet<float>({.layers = 2,
                                       .heads = 2,
                                       .sequence_length = 6,
                                       .projected_length = 2,
                                       .sharing = sharing,
                                       .projection = {.bias = true}},
                                      1));
  };
  using Names = std::vector<std::string>;
  const Names none = of(Sharing::none);
  REQUIRE(none.size() == 16);
  CHECK(Names(none.begin(), none.begin() + 4) == Names{"projections.0.0.key.weight", "projections.0.0.key.bias",
                                                       "projections.0.0.value.weight", "projections.0.0.value.bias"});
  CHECK(none[4] == "projections.0.1.key.weight");
  CHECK(none[15] == "projections.1.1.value.bias");
  CHECK(of(Sharing::headwise) == Names{"projections.0.key.weight", "projections.0.key.bias",
                                       "projections.0.value.weight", "projections.0.value.bias",
                                       "projections.1.key.weight", "projections.1.key.bias",
                                       "projections.1.value.weight", "projections.1.value.bias"});
  CHECK(of(Sharing::key_value) ==
        Names{"projections.0.weight", "projections.0.bias", "projections.1.weight", "projections.1.bias"});
  CHECK(of(Sharing::layerwise) == Names{"projections.weight", "projections.bias"});
}

TEST_CASE("k by layer, by head, or by both") {
  const auto set = [](Index layers, ProjectedLength k, Sharing sharing) {
    return ProjectionSet<float>(
        {.layers = layers, .heads = 2, .sequence_length = 8, .projected_length = std::move(k), .sharing = sharing}, 1);
  };
  for (const Sharing sharing : {Sharing::none, Sharing::headwise, Sharing::key_value}) {
    const auto by_layer = set(3, {5, 4, 3}, sharing);
    for (Index layer = 0; layer < 3; ++layer) {
      for (Index head = 0; head < 2; ++head) CHECK(by_layer.projection(layer, head, Side::value).rows() == 5 - layer);
    }
  }
  const auto by_both = set(3, {1, 2, 3, 4, 5, 6}, Sharing::none);
  for (Index i = 0; i < 6; ++i) {
    CHECK(by_both.projection(i / 2, i % 2, Side::key).rows() == i + 1);
    CHECK(by_both.projection(i / 2, i % 2, Side::value).rows() == i + 1);
  }
  const auto of_all_layers = set(3, {7, 3}, Sharing::none);
  for (Index layer = 0; layer < 3; ++layer) {
    CHECK(of_all_layers.projection(layer, 0, Side::key).rows() == 7);
    CHECK(of_all_layers.projection(layer, 1, Side::value).rows() == 3);
  }
  const auto by_head = set(1, {7, 3}, Sharing::none);
  CHECK(by_head.projection(0, 0, Side::key).rows() == 7);
  CHECK(by_head.projection(0, 1, Side::value).rows() == 3);

  const struct {
    Index layers;
    ProjectedLength k;
    Sharing sharing;
  } wrong[] = {
      {3, {5, 4, 3}, Sharing::layerwise},           // by layer, but there is one for all
      {3, {1, 2, 3, 4, 5, 6}, Sharing::headwise},   // by head, but heads share
      {3, {1, 2, 3, 4, 5, 6}, Sharing::key_value},  //
      {1, {7, 3}, Sharing::headwise},               //
      {1, {7, 3}, Sharing::layerwise},              //
      {3, {1, 2}, Sharing::headwise},               //
      {3, {1, 2, 3, 4}, Sharing::none},             // neither by layer, nor by head, nor by both
      {3, {}, Sharing::none},                       //
      {3, {4, 9, 4}, Sharing::none},                // one of them longer than n
      {3, {4, 4, 0}, Sharing::headwise},            // or none
  };
  for (const auto& test : wrong) {
    CAPTURE(&test - wrong);
    check_error([&] { (void)set(test.layers, test.k, test.sharing); }, ErrorCode::invalid_configuration,
                "projected_length");
  }
  check_error([&] { (void)set(0, 2, Sharing::none); }, ErrorCode::invalid_configuration, "layers");
  check_error([&] { (void)by_head.projection(1, 0, Side::key); }, ErrorCode::invalid_configuration, "layer");
  check_error([&] { (void)by_head.projection(0, -1, Side::key); }, ErrorCode::invalid_configuration, "head");
  check_error([] { ProjectionSet<float>({.heads = 0, .sequence_length = 8, .projected_length = 2}, 1); },
              ErrorCode::invalid_configuration, "heads");
}

TEST_CASE("E and F of a fixed projection are one draw, other layers and heads another") {
  const ProjectionSet<float> set({.layers = 2,
                                  .heads = 2,
                                  .sequence_length = 8,
                                  .projected_length = 3,
                                  .sharing = Sharing::none,
                                  .projection = {.kind = ProjectionKind::gaussian}},
                                 1);
  const auto& e = set.projection(0, 0, Side::key);
  CHECK(e.same_rows(set.projection(0, 0, Side::value)));
  CHECK_FALSE(e.same_rows(set.projection(0, 1, Side::key)));
  CHECK_FALSE(e.same_rows(set.projection(1, 0, Side::key)));
  CHECK(parameter_count(set) == 0);
}

TEST_CASE("weights start as N(0, 1/n), convolutions as the mean of their window, biases at zero") {
  constexpr Index n = 256, k = 64;
  const auto make = [](ProjectionKind kind, std::uint64_t seed) {
    return ProjectionSet<double>({.layers = 2,
                                  .heads = 2,
                                  .head_width = 3,
                                  .sequence_length = n,
                                  .projected_length = k,
                                  .sharing = Sharing::headwise,
                                  .projection = {.kind = kind, .bias = true}},
                                 seed);
  };
  oracle::Parameters learned, again, other, depthwise, convolution;
  oracle::collect(make(ProjectionKind::learned, 1), learned);
  oracle::collect(make(ProjectionKind::learned, 1), again);
  oracle::collect(make(ProjectionKind::learned, 2), other);
  oracle::collect(make(ProjectionKind::convolution, 1), convolution);
  oracle::collect(make(ProjectionKind::depthwise_convolution, 1), depthwise);
  std::set<double> firsts;
  for (const auto& [name, values] : learned) {
    CAPTURE(name);
    CHECK(values == again.at(name));
    if (name.ends_with(".bias")) {
      CHECK(values.isZero(0));
      continue;
    }
    CHECK_FALSE(values == other.at(name));
    firsts.insert(values(0, 0));
    // Of 16,384 normal values the mean square has a relative deviation of √(2/16384), the mean one of 1/√16384: six
    // each.
    CHECK(values.squaredNorm() * n / static_cast<double>(k * n) == Approx(1).margin(6 * std::sqrt(2.0 / (k * n))));
    CHECK(std::abs(values.mean()) * std::sqrt(double{n}) <= 6 / std::sqrt(double{k * n}));
    CHECK((convolution.at(name).array() == 0.25).all());
    CHECK((depthwise.at(name).array() == 0.25).all());
  }
  CHECK(firsts.size() == 4);  // each weight has draws of its own
  CHECK(convolution.at("projections.1.value.weight").rows() == n / k);
  CHECK(depthwise.at("projections.1.value.weight").rows() == 3);
  CHECK(depthwise.at("projections.1.value.weight").cols() == n / k);
}

TEST_CASE("copies of a projection set are deep") {
  ProjectionSet<float> set({.heads = 2, .sequence_length = 6, .projected_length = 2}, 1);
  const ProjectionSet<float> copy = set;
  oracle::Parameters before, after;
  oracle::collect(copy, before);
  randomise(set, 3);
  oracle::collect(copy, after);
  CHECK(before == after);
  CHECK(copy.layer(0).key[0] != set.layer(0).key[0]);
  CHECK(copy.layer(0).key[0] == &copy.projection(0, 1, Side::key));
}

TEST_CASE("a set for some positions holds the same columns, frozen too") {
  constexpr Index n = 23, k = 5, features = 3;
  const std::vector<Index> odd{7, 9, 11, 13};
  for (const ProjectionKind kind : {ProjectionKind::learned, ProjectionKind::gaussian, ProjectionKind::mean_pooling}) {
    const ProjectionSetConfig config{.layers = 2,
                                     .heads = 1,
                                     .sequence_length = n,
                                     .projected_length = k,
                                     .projection = {.kind = kind, .stored = true, .bias = true}};
    ProjectionSetConfig of_part = config;
    of_part.held = Part{6, 15};
    const ProjectionSet<float> whole(config, 1), part(of_part, 1);
    const bool learned = kind == ProjectionKind::learned;
    CHECK(whole.partial_parameters().empty());
    CHECK(part.partial_parameters() ==
          (learned ? std::vector<std::string>{"projections.0.key.weight", "projections.0.value.weight",
                                              "projections.1.key.weight", "projections.1.value.weight"}
                   : std::vector<std::string>{}));
    const ProjectionSet<float> frozen = part.frozen(Precision::full);
    Workspace workspace;
    for (const Positions& tokens : {Positions{6, 9}, Positions{8, 4}, Positions{0, 4, odd.data()}}) {
      const Matrix<float> x = random_matrix<float>(tokens.count, features, 1);
      const auto projected = [&](const ProjectionSet<float>& set) {
        const Projection<float>& projection = set.projection(1, 0, Side::value);
        CHECK(projection.columns() == n);
        Matrix<float> out = Matrix<float>::Zero(k, features);
        projection.accumulate(tokens, x, out, nullptr, {workspace, default_isa()});
        return out;
      };
      CHECK(same_bits(projected(part), projected(whole)));
      CHECK((projected(frozen) - projected(whole)).cwiseAbs().maxCoeff() < 1e-6F);
    }
    CHECK(part.projection(0, 0, Side::key).held() == (kind == ProjectionKind::mean_pooling ? Part{0, n} : Part{6, 15}));
  }
  check_error(
      [] {
        ProjectionSet<float>({.heads = 1, .sequence_length = 9, .projected_length = 3, .held = Part{4, 3}}, 1);
      },
      ErrorCode::invalid_configuration, "held");
}
