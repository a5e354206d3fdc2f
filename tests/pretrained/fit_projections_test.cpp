#include <linformer/pretrained/conversion.hpp>
#include <linformer/pretrained/conversion_cost.hpp>
#include <linformer/pretrained/fit_projections.hpp>

#include "attention_oracle.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/resources.hpp"

#include <Eigen/Cholesky>

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

const Matrix<double>& weight_of(const Encoder<double>& encoder, Index layer, Index head, Side side) {
  return std::get<LearnedProjection<double>>(encoder.projections().projection(layer, head, side).kind()).weight;
}

/// √(Σ ‖P̄·F·V − P·V‖² / Σ ‖P·V‖²) by plain loops, P by its own softmax.
double error_by_loops(const TiedHeads<double>& heads, const Matrix<double>& e, const Matrix<double>& f) {
  double error = 0, squares = 0;
  for (const auto& head : fit_oracle::heads_of(heads)) {
    const Matrix<double> goal = fit_oracle::weights(head.query, head.key) * head.value;
    error += (fit_oracle::attended(head, e, f) - goal).squaredNorm();
    squares += goal.squaredNorm();
  }
  return std::sqrt(error / squares);
}

/// Holds the errors that fits tell against those of their projections by plain loops.
void check_errors_by_loops(const Encoder<double>& original, const Encoder<double>& linformer, const TokenBatch& texts,
                           const std::vector<ProjectionFit>& fits, double ProjectionFit::*told) {
  Resources resources(1);
  EncoderCache<double> cache;
  Matrix<double> out(texts.layout.rows(), original.config().model_width);
  original.forward(texts, out, {.recompute = true}, &cache, resources.execution);
  std::vector<AttentionSample<double>> samples;
  for (std::size_t layer = 0; layer < cache.inputs.size(); ++layer) {
    samples.push_back(attention_sample<double>(original.layers()[layer], cache.inputs[layer].block(), texts.layout,
                                               resources.execution));
  }
  const Sharing sharing = linformer.config().sharing;
  for (const ProjectionFit& fit : fits) {
    const std::span<const AttentionSample<double>> all(samples);
    const TiedHeads<double> heads{
        sharing == Sharing::layerwise ? all : all.subspan(static_cast<std::size_t>(fit.layer), 1), texts.layout,
        fit.head, sharing == Sharing::none ? 1 : original.config().heads,
        original.config().model_width / original.config().heads};
    const double error = error_by_loops(heads, weight_of(linformer, fit.layer, fit.head, Side::key),
                                        weight_of(linformer, fit.layer, fit.head, Side::value));
    CHECK(fit.*told == Approx(error).epsilon(1e-11));
  }
}

/// Sets what heads give to softmax attention's P·V.
void attend_by_softmax(std::vector<AttentionSample<double>>& layers, const BatchLayout& texts, Index heads, Index d) {
  for (AttentionSample<double>& layer : layers) {
    for (Index b = 0; b < texts.sequences(); ++b) {
      for (Index head = 0; head < heads; ++head) {
        const auto of = [&](Matrix<double>& all) { return all.block(texts.offset(b), head * d, texts.length(b), d); };
        of(layer.attended) = fit_oracle::weights(of(layer.query), of(layer.key)) * of(layer.value);
      }
    }
  }
}

/// Where nothing need be lost, E = F falls superlinearly to rounding: half the digits, as the error is the root of what
/// is summed. E and F apart take turns, and come closer by a part in each: 300 of them leave less than a hundredth.
double nothing_lost(bool tied) { return tied ? std::sqrt(std::numeric_limits<double>::epsilon()) : 1e-3; }

constexpr auto unheard = [](const FitProgress&) {};

}  // namespace

TEST_CASE("with k = n a fit finds what loses nothing, from beside it", "[fit]") {
  constexpr Index n = 6, d = 4, heads = 2;
  Resources resources(1);
  const std::vector<Index> lengths(8, n);
  const BatchLayout texts = BatchLayout::from_lengths(lengths);
  auto layers = fit_oracle::random_samples(1, n * texts.sequences(), heads * d, 51);
  attend_by_softmax(layers, texts, heads, d);
  const TiedHeads<double> all{layers, texts, 0, heads, d};
  const FitConfig config{.iterations = 6000, .rounds = 300, .solver_iterations = 100, .tolerance = 0, .ridge = 0};
  for (const bool tied : {true, false}) {
    CAPTURE(tied);
    const Matrix<double> identity = Matrix<double>::Identity(n, n);
    LearnedProjection<double> e{identity + fit_oracle::random_matrix(n, n, 61, 0.5)};
    LearnedProjection<double> f{identity + fit_oracle::random_matrix(n, n, 62, 0.5)};
    const double before = error_by_loops(all, e.weight, tied ? e.weight : f.weight);
    const ProjectionFit fit =
        detail::fit_tied_heads<double>(all, e, tied ? e : f, config, resources.execution, [](Index, double) {});
    CHECK(fit.before == Approx(before).epsilon(1e-12));
    CHECK(before > 0.05);
    CHECK(error_by_loops(all, e.weight, tied ? e.weight : f.weight) < nothing_lost(tied));
  }
}

TEST_CASE("keys of k kinds lose nothing, and a fit finds what keeps all", "[fit]") {
  // Token t has key t mod k, so that P has rank k; mean pooling, whose windows are neighbours, mixes the kinds.
  constexpr Index k = 3, n = 12, d = 4, heads = 2;
  Resources resources(1);
  const std::vector<Index> lengths(6, n);
  const BatchLayout texts = BatchLayout::from_lengths(lengths);
  auto layers = fit_oracle::random_samples(1, n * texts.sequences(), heads * d, 71);
  for (Index row = 0; row < layers[0].key.rows(); ++row) {
    layers[0].key.row(row) = layers[0].key.row(row / n * n + row % n % k).eval();
  }
  attend_by_softmax(layers, texts, heads, d);
  const TiedHeads<double> all{layers, texts, 0, heads, d};
  Matrix<double> by_kind = Matrix<double>::Zero(k, n), pooled = Matrix<double>::Zero(k, n);
  for (Index t = 0; t < n; ++t) {
    by_kind(t % k, t) = static_cast<double>(k) / n;
    pooled(t * k / n, t) = static_cast<double>(k) / n;
  }
  CHECK(error_by_loops(all, by_kind, by_kind) < 1e-13);
  CHECK(error_by_loops(all, pooled, pooled) > 0.1);
  const FitConfig config{.iterations = 6000, .rounds = 300, .solver_iterations = 100, .tolerance = 0, .ridge = 0};
  for (const bool tied : {true, false}) {
    CAPTURE(tied);
    LearnedProjection<double> e{by_kind + fit_oracle::random_matrix(k, n, 81, 0.2)};
    LearnedProjection<double> f{by_kind + fit_oracle::random_matrix(k, n, 82, 0.2)};
    const ProjectionFit fit =
        detail::fit_tied_heads<double>(all, e, tied ? e : f, config, resources.execution, [](Index, double) {});
    CHECK(fit.before > 0.05);
    CHECK(error_by_loops(all, e.weight, tied ? e.weight : f.weight) < nothing_lost(tied));
  }
}

TEST_CASE("F is what a dense solver makes of the E that was found", "[fit]") {
  constexpr Index k = 3, n = 10, d = 3, heads = 2, size = k * n;
  constexpr double rho = 0.1;
  Resources resources(2);
  const std::vector<Index> lengths{10, 4, 7, 10, 9};
  const BatchLayout texts = BatchLayout::from_lengths(lengths);
  auto layers = fit_oracle::random_samples(2, 40, heads * d, 91);
  attend_by_softmax(layers, texts, heads, d);
  const TiedHeads<double> all{layers, texts, 0, heads, d};
  LearnedProjection<double> e{fit_oracle::random_matrix(k, n, 101, 1)}, f{fit_oracle::random_matrix(k, n, 102, 1)};
  const Matrix<double> start = f.weight;
  const ProjectionFit fit =
      detail::fit_tied_heads<double>(all, e, f, {.iterations = 10, .rounds = 2, .solver_iterations = 100, .ridge = rho},
                                     resources.execution, [](Index, double) {});
  CHECK(fit.after == Approx(error_by_loops(all, e.weight, f.weight)).epsilon(1e-12));
  CHECK(fit.solver_stop == ConjugateGradientsStop::tolerance);

  // Rows of the least-squares problem in F, row by row the unknown: one for each text, head, query and feature.
  Matrix<double> normal = Matrix<double>::Zero(size, size);
  Vector<double> right = Vector<double>::Zero(size);
  double squares = 0;
  for (const auto& head : fit_oracle::heads_of(all)) {
    const Matrix<double> p = fit_oracle::weights(head.query, e.weight.leftCols(head.key.rows()) * head.key);
    squares += head.attended.squaredNorm();
    for (Index query = 0; query < p.rows(); ++query) {
      for (Index c = 0; c < d; ++c) {
        Matrix<double> equation = Matrix<double>::Zero(k, n);
        equation.leftCols(head.value.rows()) = p.row(query).transpose() * head.value.col(c).transpose();
        const auto row = Eigen::Map<const Vector<double>>(equation.data(), size);
        normal += row * row.transpose();
        right += row * head.attended(query, c);
      }
    }
  }
  const double ridge = rho * n / (k * k);
  normal = normal / squares + ridge * Matrix<double>::Identity(size, size);
  right = right / squares + ridge * Eigen::Map<const Vector<double>>(start.data(), size);
  const Vector<double> expected = Matrix<double>(normal).ldlt().solve(right);
  // The solver ends at a residual of 1e-4 of the right side, and no eigenvalue is below the ridge's.
  const auto found = Eigen::Map<const Vector<double>>(f.weight.data(), size);
  CHECK((found - expected).norm() < 1e-4 * right.norm() / ridge);
  CHECK((Eigen::Map<const Vector<double>>(start.data(), size) - expected).norm() > 1e-2 * right.norm() / ridge);
}

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
    const auto fits =
        fit_projections(original, fitted, texts, {}, resources.execution, [&, count = count](const FitProgress& at) {
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
      CHECK(fit.after < fit.before);
      CHECK(fit.iterations > 0);
    }
    check_errors_by_loops(original, pooled, texts, fits, &ProjectionFit::before);
    check_errors_by_loops(original, fitted, texts, fits, &ProjectionFit::after);
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
  for (const FitConfig& config :
       {FitConfig{.iterations = 0}, {.rounds = 0}, {.solver_iterations = -1}, {.ridge = -1}, {.ridge = NAN}}) {
    Encoder<double> linformer = to_linformer(original, {.projected_length = 4});
    CHECK(linformer_test::error_of([&] {
            static_cast<void>(fit_projections(original, linformer, texts, config, resources.execution, unheard));
          }).code() == ErrorCode::invalid_configuration);
  }
  Encoder<double> part(converted_config(original.config(), {.projected_length = 4}), 1, Part{0, 6});
  CHECK(linformer_test::error_of([&] {
          static_cast<void>(fit_projections(original, part, texts, {}, resources.execution, unheard));
        }).tensor() == "model");
  Encoder<double> softmax = original;
  CHECK(linformer_test::error_of([&] {
          static_cast<void>(fit_projections(original, softmax, texts, {}, resources.execution, unheard));
        }).code() == ErrorCode::unsupported);
}

TEST_CASE("attention that is not finite is told, and nothing is moved", "[fit]") {
  Resources resources(1);
  Encoder<double> original = fit_original();
  original.for_each_parameter([](const std::string& name, Shape, std::span<double> values) {
    if (name.ends_with("0.attention.self.value.weight")) values[0] = std::nan("");
  });
  const Encoder<double> pooled = to_linformer(original, {.projected_length = 4});
  Encoder<double> fitted = pooled;
  CHECK(linformer_test::error_of([&] {
          static_cast<void>(fit_projections(original, fitted, fit_texts(2, 5, 5), {}, resources.execution, unheard));
        }).code() == ErrorCode::not_finite);
  CHECK(weight_of(fitted, 0, 0, Side::key) == weight_of(pooled, 0, 0, Side::key));
}
