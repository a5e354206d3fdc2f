#include <linformer/pretrained/conversion.hpp>
#include <linformer/pretrained/conversion_cost.hpp>
#include <linformer/pretrained/fit_projections.hpp>

#include "attention_oracle.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/resources.hpp"

using namespace linformer;

namespace {

constexpr Index fit_length = 12;

/// Of weights so large that attention tells tokens apart.
Encoder<double> fit_original() {
  Encoder<double> encoder({.vocabulary_size = 30,
                           .sequence_length = fit_length,
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

/// @param shortest, longest tokens of each text
TokenBatch fit_texts(Index texts, Index shortest, Index longest) {
  std::vector<std::vector<std::int32_t>> sequences;
  std::int32_t next = 1;
  for (Index b = 0; b < texts; ++b) {
    auto& sequence = sequences.emplace_back();
    const Index length = shortest + b % (longest - shortest + 1);
    for (Index i = 0; i < length; ++i) sequence.push_back((next = (next * 17 + 5) % 101) % 30);
  }
  return TokenBatch::from_sequences(sequences);
}

constexpr auto unheard = [](const FitProgress&) {};

const Matrix<double>& weight_of(const Encoder<double>& encoder, Index layer, Index head, Side side) {
  return std::get<LearnedProjection<double>>(encoder.projections().projection(layer, head, side).kind()).weight;
}

}  // namespace

TEST_CASE("with k = n nothing is left to fit", "[fit]") {
  Resources resources(1);
  const Encoder<double> original = fit_original();
  for (const Sharing sharing : {Sharing::headwise, Sharing::key_value}) {
    Encoder<double> linformer = to_linformer(original, {.projected_length = fit_length, .sharing = sharing});
    // Of texts of n tokens: a shorter one counts as padded with zeros.
    const auto fits = fit_projections(original, linformer, fit_texts(3, fit_length, fit_length), {.iterations = 4},
                                      resources.execution, unheard);
    REQUIRE(fits.size() == 2);
    for (const ProjectionFit& fit : fits) {
      CHECK(fit.before < 1e-13);
      CHECK(fit.after < 1e-13);
    }
  }
}

TEST_CASE("fitted E and F are closer than pooling, which is closer than a draw, in every sharing mode", "[fit]") {
  Resources resources(1);
  const Encoder<double> original = fit_original();
  const TokenBatch texts = fit_texts(24, 6, fit_length), others = fit_texts(11, 7, fit_length);
  struct Case {
    Sharing sharing;
    ProjectedLength lengths;
    std::size_t fits;
  };
  for (const auto& [sharing, lengths, count] :
       {Case{Sharing::none, {3, 4, 5, 6}, 4}, Case{Sharing::headwise, {4, 6}, 2}, Case{Sharing::key_value, 4, 2},
        Case{Sharing::layerwise, 4, 1}}) {
    CAPTURE(static_cast<int>(sharing));
    const ConversionConfig conversion{.projected_length = lengths, .sharing = sharing};
    const Encoder<double> pooled = to_linformer(original, conversion);
    Encoder<double> fitted = pooled;
    FitProgress last;
    const auto fits = fit_projections(original, fitted, texts, {}, resources.execution, [&](const FitProgress& at) {
      CHECK(at.fits == static_cast<Index>(count));
      if (at.fit == last.fit && last.iteration > 0) {
        CHECK(at.iteration == last.iteration + 1);
        CHECK(at.objective <= last.objective);
      } else {
        CHECK(at.iteration == 1);
      }
      last = at;
    });
    REQUIRE(fits.size() == count);
    for (const ProjectionFit& fit : fits) {
      CHECK(fit.after < 0.9 * fit.before);
      CHECK(fit.iterations > 0);
    }
    ConversionConfig gaussian = conversion;
    gaussian.start = ProjectionStart::gaussian;
    const auto error = [&](const Encoder<double>& linformer) {
      return layer_differences(original, linformer, others, resources.execution)[1].relative_error;
    };
    CHECK(error(fitted) < error(pooled));
    CHECK(error(pooled) < error(to_linformer(original, gaussian)));
  }
}

TEST_CASE("a fit moves E and F alone, and no column that no text reaches", "[fit]") {
  Resources resources(1);
  const Encoder<double> original = fit_original();
  const Encoder<double> pooled = to_linformer(original, {.projected_length = 4, .sharing = Sharing::headwise});
  Encoder<double> fitted = pooled;
  static_cast<void>(fit_projections(original, fitted, fit_texts(6, 5, 9), {.iterations = 3, .solver_iterations = 5},
                                    resources.execution, unheard));
  for (Index layer = 0; layer < 2; ++layer) {
    for (const Side side : {Side::key, Side::value}) {
      const Matrix<double>&before = weight_of(pooled, layer, 0, side), &after = weight_of(fitted, layer, 0, side);
      CHECK(before.leftCols(9) != after.leftCols(9));
      CHECK((before - after).rightCols(3).norm() < 1e-14);  // conjugate gradients round ρ'·F
    }
    CHECK(weight_of(fitted, layer, 0, Side::key) != weight_of(fitted, layer, 0, Side::value));
  }
  fitted.projections() = pooled.projections();
  std::vector<double> before, after;
  pooled.for_each_parameter([&](const std::string&, Shape, std::span<const double> values) {
    before.insert(before.end(), values.begin(), values.end());
  });
  std::as_const(fitted).for_each_parameter([&](const std::string&, Shape, std::span<const double> values) {
    after.insert(after.end(), values.begin(), values.end());
  });
  CHECK(before == after);
}

TEST_CASE("a planted E and F are found again", "[fit]") {
  constexpr Index k = 3, n = 8, d = 4, heads = 2, texts_count = 6;
  Resources resources(1);
  const std::vector<Index> lengths(texts_count, n);
  const BatchLayout texts = BatchLayout::from_lengths(lengths);
  for (const bool tied : {true, false}) {
    CAPTURE(tied);
    auto layers = fit_oracle::random_samples(1, n * texts_count, heads * d, 31);
    const Matrix<double> planted_e = fit_oracle::random_matrix(k, n, 41, 2);
    const Matrix<double> planted_f = tied ? planted_e : fit_oracle::random_matrix(k, n, 42, 2);
    const TiedHeads<double> all{layers, texts, 0, heads, d};
    Index place = 0;
    for (const auto& head : fit_oracle::heads_of(all)) {
      layers[0].attended.block(place / heads * n, place % heads * d, n, d) =
          fit_oracle::attended(head, planted_e, planted_f);
      ++place;
    }
    LearnedProjection<double> e{planted_e + fit_oracle::random_matrix(k, n, 43, 0.4)};
    LearnedProjection<double> f{planted_f + fit_oracle::random_matrix(k, n, 44, 0.4)};
    const FitConfig config{.iterations = 300, .rounds = 10, .solver_iterations = 100, .tolerance = 0, .ridge = 0};
    const ProjectionFit fit =
        detail::fit_tied_heads<double>(all, e, tied ? e : f, config, resources.execution, [](Index, double) {});
    CHECK(fit.before > 0.05);
    CHECK(fit.after < 1e-3);
    CHECK((tied ? e : f).weight.isApprox(planted_f, 1e-2));
    // A row added to all rows of E shifts all scores of a query alike, so that E apart from F is found up to it.
    const auto centred = [](const Matrix<double>& weight) -> Matrix<double> {
      return weight.rowwise() - weight.colwise().mean();
    };
    CHECK(centred(e.weight).isApprox(centred(planted_e), 1e-2));
  }
}

TEST_CASE("a fit has the same bits for any number of threads", "[fit]") {
  const Encoder<double> original = fit_original();
  const TokenBatch texts = fit_texts(10, 4, fit_length);
  const auto fitted = [&](Index threads) {
    Resources resources(threads);
    Encoder<double> linformer = to_linformer(original, {.projected_length = 4, .sharing = Sharing::headwise});
    static_cast<void>(fit_projections(original, linformer, texts, {.iterations = 4}, resources.execution, unheard));
    return linformer;
  };
  const Encoder<double> one = fitted(1), three = fitted(3);
  for (Index layer = 0; layer < 2; ++layer) {
    for (const Side side : {Side::key, Side::value}) {
      CHECK(weight_of(one, layer, 0, side) == weight_of(three, layer, 0, side));
    }
  }
}

TEST_CASE("what cannot be fitted is told", "[fit]") {
  Resources resources(1);
  const Encoder<double> original = fit_original();
  const TokenBatch texts = fit_texts(2, 5, 5);
  const auto code = [&](const ConversionConfig& conversion, const TokenBatch& its_texts) {
    Encoder<double> linformer = to_linformer(original, conversion);
    return linformer_test::error_of([&] {
             static_cast<void>(fit_projections(original, linformer, its_texts, {}, resources.execution, unheard));
           })
        .code();
  };
  CHECK(code({.projected_length = 4, .projection = {.kind = ProjectionKind::mean_pooling}}, texts) ==
        ErrorCode::unsupported);
  CHECK(code({.projected_length = 4, .projection = {.bias = true}}, texts) == ErrorCode::unsupported);
  CHECK(code({.projected_length = 4}, TokenBatch{}) == ErrorCode::shape_mismatch);
  CHECK(code({.sequence_length = 8, .projected_length = 4}, fit_texts(1, 9, 9)) == ErrorCode::sequence_too_long);
  Encoder<double> softmax = original;
  CHECK(linformer_test::error_of([&] {
          static_cast<void>(fit_projections(original, softmax, texts, {}, resources.execution, unheard));
        }).code() == ErrorCode::unsupported);
}
