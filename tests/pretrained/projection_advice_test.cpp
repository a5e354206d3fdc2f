#include <linformer/pretrained/conversion.hpp>
#include <linformer/pretrained/projection_advice.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/resources.hpp"

using namespace linformer;
using linformer_test::error_of;

namespace {

Encoder<double> advised_encoder() {
  Encoder<double> encoder({.vocabulary_size = 30,
                           .sequence_length = 16,
                           .layers = 2,
                           .model_width = 8,
                           .heads = 2,
                           .mechanism = Mechanism::softmax_tiled},
                          3);
  encoder.for_each_parameter([](const std::string&, Shape shape, std::span<double> values) {
    if (shape.size() == 2) {
      for (double& value : values) value *= 25;
    }
  });
  return encoder;
}

std::vector<ProjectionError> errors_of(const Encoder<double>& encoder, const ProjectionSet<double>& projections) {
  Resources resources(1);
  const AttentionHeads<double> heads(encoder);
  std::vector<ProjectionError> errors(4);
  heads.for_each(
      TokenBatch::from_sequences(
          std::vector<std::vector<std::int32_t>>{{5, 3, 9, 1, 22, 8, 17, 2, 29, 11, 4, 6, 0, 13, 7, 19}, {1, 2, 28}}),
      [&](const LayerAttention<double>& attention) {
        add_projection_errors<double>(heads, attention, projections,
                                      std::span(errors).subspan(static_cast<std::size_t>(2 * attention.layer), 2),
                                      resources.execution);
      },
      resources.execution);
  return errors;
}

}  // namespace

TEST_CASE("errors of projections are 0 where nothing is lost, and 1 where all is", "[projection_advice]") {
  const Encoder<double> encoder = advised_encoder();
  const auto pooled = [&](Index k) {
    return errors_of(
        encoder, to_linformer(encoder, {.projected_length = k, .projection = {.kind = ProjectionKind::mean_pooling}})
                     .projections());
  };
  for (const ProjectionError& each : pooled(16)) CHECK(each.relative() < 1e-12);  // windows of one token
  for (const ProjectionError& each : pooled(4)) {
    CHECK(each.relative() > 1e-3);
    CHECK(each.kept() == Approx(1 - each.relative() * each.relative()));
  }
  ProjectionSet<double> zeros = to_linformer(encoder, {.projected_length = 4}).projections();
  zeros.for_each_parameter(
      [](const std::string&, Shape, std::span<double> values) { std::fill(values.begin(), values.end(), 0.0); });
  for (const ProjectionError& each : errors_of(encoder, zeros)) {
    CHECK(each.relative() == Approx(1).epsilon(1e-12));
    CHECK(std::abs(each.kept()) < 1e-12);
  }
  CHECK(ProjectionError{}.relative() == 0);
  CHECK(ProjectionError{}.kept() == 1);
}

TEST_CASE("sums are those of the heads that have one k", "[projection_advice]") {
  const std::vector<ProjectionError> heads{{1, 10}, {2, 20}, {3, 30}, {4, 40}, {5, 50}, {6, 60}};
  const auto errors = [&](Sharing sharing) {
    std::vector<double> result;
    for (const ProjectionError& each : sums_by_length<ProjectionError>(heads, 3, sharing)) result.push_back(each.error);
    return result;
  };
  CHECK(errors(Sharing::none) == std::vector<double>{1, 2, 3, 4, 5, 6});
  CHECK(errors(Sharing::headwise) == std::vector<double>{6, 15});
  CHECK(errors(Sharing::key_value) == std::vector<double>{6, 15});
  CHECK(errors(Sharing::layerwise) == std::vector<double>{21});
  CHECK(error_of([&] { static_cast<void>(sums_by_length<ProjectionError>(heads, 4, Sharing::none)); }).code() ==
        ErrorCode::shape_mismatch);
}

TEST_CASE("the smallest length that keeps a share rises with the share", "[projection_advice]") {
  // What is kept need not rise with k: 0.5, 0.8, 0.7, 0.95.
  const std::vector<Index> lengths{4, 8, 16, 32};
  const std::vector<ProjectionError> errors{{5, 10}, {2, 10}, {3, 10}, {0.5, 10}};
  const auto advised = [&](double share) { return smallest_length(lengths, errors, share); };
  CHECK(advised(0.4) == 4);
  CHECK(advised(0.6) == 8);
  CHECK(advised(0.8) == 8);
  CHECK(advised(0.9) == 32);
  CHECK_FALSE(advised(0.96));
  Index last = 0;
  for (double share = 0; share <= 1; share += 1.0 / 64) {
    const Index length = advised(share).value_or(64);
    CHECK(length >= last);
    last = length;
  }
  CHECK(error_of([&] { static_cast<void>(advised(-0.1)); }).code() == ErrorCode::out_of_range);
  CHECK(error_of([&] { static_cast<void>(smallest_length(lengths, std::span(errors).first(2), 0.5)); }).code() ==
        ErrorCode::shape_mismatch);
}
