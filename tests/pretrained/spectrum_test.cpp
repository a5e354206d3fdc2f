#include <linformer/pretrained/spectrum.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/resources.hpp"

using namespace linformer;
using linformer_test::error_of;

namespace {

/// I − 2·v·vᵀ/vᵀv, orthogonal.
Matrix<double> reflection(Index size, double slope) {
  const Vector<double> v = Vector<double>::LinSpaced(size, 1, 1 + slope * static_cast<double>(size));
  return Matrix<double>::Identity(size, size) - 2 / v.squaredNorm() * v * v.transpose();
}

/// A matrix of these singular values, and of no other but 0.
Matrix<double> with_singular_values(Index rows, Index cols, std::initializer_list<double> values) {
  Matrix<double> diagonal = Matrix<double>::Zero(rows, cols);
  Index i = 0;
  for (const double value : values) {
    diagonal(i, i) = value;
    ++i;
  }
  return reflection(rows, 0.3) * diagonal * reflection(cols, -0.2);
}

// Sums of at most 8 terms in each of a dozen steps; eigenvalues are as exact as the largest, their roots hence to
// √ε·σ₁.
constexpr double epsilon = 100 * std::numeric_limits<double>::epsilon();

}  // namespace

TEST_CASE("singular values are those that a matrix was made of", "[spectrum]") {
  const std::vector<std::pair<Index, Index>> shapes{{6, 6}, {4, 8}, {8, 4}};
  for (const auto& [rows, cols] : shapes) {
    CAPTURE(rows, cols);
    const Vector<double> found = singular_values(with_singular_values(rows, cols, {0.5, 3, 0, 2}));
    REQUIRE(found.size() == std::min(rows, cols));
    const double expected[] = {3, 2, 0.5, 0, 0, 0};
    for (Index i = 0; i < found.size(); ++i) {
      CHECK(std::abs(found(i) * found(i) - expected[i] * expected[i]) < epsilon * 9);
    }
  }
  CHECK(singular_values(Matrix<double>(0, 3)).size() == 0);
}

TEST_CASE("P of known rank has the spectrum that it must have", "[spectrum]") {
  const Matrix<double> output = with_singular_values(8, 3, {3, 2, 1});
  // Every query weighs the keys alike: rank 1. Each attends to itself alone: all ranks alike.
  AttentionSpectrum alike(8, 3), apart(8, 3);
  Matrix<double> equal_rows(8, 8);
  for (Index i = 0; i < 8; ++i) equal_rows.row(i) = Vector<double>::LinSpaced(8, 1, 8) / 36;
  alike.add(equal_rows, output);
  apart.add(Matrix<double>::Identity(8, 8), output);
  CHECK(alike.cumulative(0) == 0);
  CHECK(alike.cumulative(1) > 1 - 8 * std::sqrt(epsilon));
  CHECK(alike.probability_rank(0.999) == 1);
  for (Index rank = 1; rank <= 8; ++rank) {
    CHECK(std::abs(apart.cumulative(rank) - static_cast<double>(rank) / 8) < epsilon);
  }
  CHECK(apart.probability_rank(0.9) == 8);
  CHECK(apart.probability_rank(0.7) == 6);
  CHECK(apart.cumulative(8) == 1);
  CHECK(apart.probability_rank(1) == 8);
  CHECK(apart.probability_rank(0) == 0);

  // Eckart and Young: what is left of 9 + 4 + 1.
  const double left[] = {14, 5, 1, 0};
  for (Index rank = 0; rank <= 3; ++rank) {
    const double squared = apart.output_error(rank) * apart.output_error(rank);
    CHECK(std::abs(squared - left[rank] / 14) < epsilon);
  }
  CHECK(apart.output_rank(0.6) == 1);
  CHECK(apart.output_rank(0.9) == 2);
  CHECK(apart.output_rank(1) == 3);
}

TEST_CASE("spectra of texts of any lengths add up", "[spectrum]") {
  // Shares of 1/2 and 1 for the short text, which has no third singular value, and of 1/3, 2/3 and 1.
  const auto identity = [](Index size) { return Matrix<double>(Matrix<double>::Identity(size, size)); };
  AttentionSpectrum first(4, 2), second(4, 2);
  first.add(identity(2), with_singular_values(2, 2, {2, 1}));
  second.add(identity(3), with_singular_values(3, 2, {4, 0}));
  first += second;
  const double shares[] = {0, (1.0 / 2 + 1.0 / 3) / 2, (1 + 2.0 / 3) / 2, 1, 1};
  for (Index rank = 0; rank <= 4; ++rank) CHECK(std::abs(first.cumulative(rank) - shares[rank]) < epsilon);
  CHECK(std::abs(first.output_error(1) - std::sqrt(1.0 / 21)) < epsilon);

  // Fewer tokens than features: a rank of at most 1.
  AttentionSpectrum one_token(4, 2);
  one_token.add(identity(1), Matrix<double>::Constant(1, 2, 3));
  CHECK(one_token.cumulative(1) == 1);
  CHECK(one_token.output_error(1) == 0);
  CHECK(AttentionSpectrum(4, 2).cumulative(4) == 0);
  CHECK(AttentionSpectrum(4, 2).output_error(0) == 0);
}

TEST_CASE("spectra rise with the rank, and ranks with the share", "[spectrum]") {
  AttentionSpectrum spectrum(8, 4);
  for (const Index size : {3, 8, 5}) {
    Matrix<double> probabilities(size, size);
    for (Index i = 0; i < size; ++i) {
      for (Index j = 0; j < size; ++j) probabilities(i, j) = std::exp(std::sin(static_cast<double>(3 * i * j + i)));
      probabilities.row(i) /= probabilities.row(i).sum();
    }
    spectrum.add(probabilities, probabilities * Matrix<double>::Random(size, 4));
  }
  for (Index rank = 1; rank <= 8; ++rank) CHECK(spectrum.cumulative(rank) >= spectrum.cumulative(rank - 1));
  for (Index rank = 1; rank <= 4; ++rank) CHECK(spectrum.output_error(rank) <= spectrum.output_error(rank - 1));
  CHECK(spectrum.cumulative(8) == 1);
  CHECK(spectrum.output_error(0) == 1);
  CHECK(spectrum.output_error(4) == 0);
  Index probability_rank = 0, output_rank = 0;
  for (double share = 0; share <= 1; share += 1.0 / 64) {
    const Index of_probabilities = spectrum.probability_rank(share), of_output = spectrum.output_rank(share);
    CHECK(of_probabilities >= probability_rank);
    CHECK(of_output >= output_rank);
    CHECK(spectrum.cumulative(of_probabilities) >= share);
    if (of_probabilities > 0) CHECK(spectrum.cumulative(of_probabilities - 1) < share);
    probability_rank = of_probabilities;
    output_rank = of_output;
  }
}

TEST_CASE("an encoder whose queries are zero attends to all tokens alike: rank 1", "[spectrum]") {
  Resources resources(2);
  Encoder<float> encoder({.vocabulary_size = 30,
                          .sequence_length = 12,
                          .layers = 2,
                          .model_width = 8,
                          .heads = 2,
                          .mechanism = Mechanism::softmax_tiled},
                         3);
  encoder.for_each_parameter([](const std::string& name, Shape, std::span<float> values) {
    if (name.ends_with("query.weight")) std::fill(values.begin(), values.end(), 0.0F);
  });
  const AttentionHeads<float> heads(encoder);
  const std::vector<std::vector<std::int32_t>> texts{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {20, 7, 3}};
  std::vector<AttentionSpectrum> spectra(4, AttentionSpectrum(12, 4));
  heads.for_each(
      TokenBatch::from_sequences(texts),
      [&](const LayerAttention<float>& attention) {
        add_spectra<float>(attention, std::span(spectra).subspan(static_cast<std::size_t>(2 * attention.layer), 2),
                           resources.execution);
      },
      resources.execution);
  for (const AttentionSpectrum& spectrum : spectra) {
    // P is uniform to `float`'s rounding of 1/m, which is the same in every entry.
    CHECK(spectrum.cumulative(1) > 1 - 12 * std::sqrt(epsilon));
    CHECK(spectrum.probability_rank(0.999) == 1);
    CHECK(spectrum.output_rank(0.999) == 1);
  }
}

TEST_CASE("what no spectrum can be is refused", "[spectrum]") {
  AttentionSpectrum spectrum(4, 2);
  const Matrix<double> p = Matrix<double>::Identity(4, 4), output = Matrix<double>::Ones(4, 2);
  CHECK(error_of([&] { spectrum.add(Matrix<double>::Identity(5, 5), Matrix<double>::Ones(5, 2)); }).code() ==
        ErrorCode::shape_mismatch);
  CHECK(error_of([&] { spectrum.add(Matrix<double>(0, 0), Matrix<double>(0, 2)); }).code() ==
        ErrorCode::shape_mismatch);
  CHECK(error_of([&] { spectrum.add(p, Matrix<double>::Ones(4, 3)); }).tensor() == "output");
  CHECK(error_of([&] { spectrum.add(p, output * std::nan("")); }).code() == ErrorCode::not_finite);
  CHECK(error_of([&] { spectrum.add(p / 0.0, output); }).code() == ErrorCode::not_finite);
  CHECK(error_of([&] { spectrum += AttentionSpectrum(5, 2); }).code() == ErrorCode::shape_mismatch);
  CHECK(error_of([&] { static_cast<void>(spectrum.cumulative(5)); }).code() == ErrorCode::out_of_range);
  CHECK(error_of([&] { static_cast<void>(spectrum.output_error(-1)); }).code() == ErrorCode::out_of_range);
  CHECK(error_of([&] { static_cast<void>(spectrum.probability_rank(1.5)); }).tensor() == "share");
  CHECK(spectrum.cumulative(4) == 0);  // nothing was added
}
