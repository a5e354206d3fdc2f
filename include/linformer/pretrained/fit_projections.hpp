#pragma once

#include <linformer/model/encoder.hpp>
#include <linformer/pretrained/value_projection_system.hpp>
#include <linformer/train/lbfgs.hpp>

namespace linformer::inline LINFORMER_ABI {

/// How E and F are fitted.
struct FitConfig {
  Index iterations = 40;  ///< of L-BFGS, at most, for each E
  Index rounds = 2;       ///< where F is apart from E: F is solved for, then E moves, so many times; then F again
  Index solver_iterations = 30;  ///< of conjugate gradients, at most, for each solution
  double tolerance = 1e-3;       ///< L-BFGS ends once an iteration lowers J by less than this part of it
  double ridge = 1e-3;           ///< ρ of `Ridge`; 0 for none
};

/// Where a fit is, told after each iteration of L-BFGS.
struct FitProgress {
  Index fit = 0, fits = 0;  ///< which of the pairs E, F that are fitted apart, and how many these are
  Index iteration = 0;      ///< taken so far
  double objective = 0;     ///< J, which only falls
};

/// What fitting one pair E, F gave.
struct ProjectionFit {
  Index layer = 0, head = 0;  ///< the first that read it
  double before = 0;          ///< √(Σ ‖P̄·F·V − P·V‖² / Σ ‖P·V‖²) over its texts, layers and heads
  double after = 0;           ///< the same, fitted
  Index iterations = 0;       ///< of L-BFGS
  LbfgsStop stop = LbfgsStop::iterations;  ///< why L-BFGS ended, the last time that E moved
  /// Why conjugate gradients ended, the last time that F was solved for, where it is apart from E.
  ConjugateGradientsStop solver_stop = ConjugateGradientsStop::tolerance;
};

namespace detail {

template <Scalar T>
[[nodiscard]] Eigen::Map<const Vector<T>> as_vector(const Matrix<T>& matrix) {
  return {matrix.data(), matrix.size()};
}
template <Scalar T>
void assign(Matrix<T>& matrix, const Vector<T>& values) {
  matrix = Eigen::Map<const Matrix<T>>(values.data(), matrix.rows(), matrix.cols());
}

/// Moves E, and F with it where both are one, to where J is low, by L-BFGS.
/// @param progress called as progress(value) after each iteration
template <Scalar T, class Progress>
Minimum fit_keys(const ProjectionObjective<T>& objective, LearnedProjection<T>& e, const LearnedProjection<T>& f,
                 Index iterations, double tolerance, const Progress& progress) {
  const bool tied = &e == &f;
  LearnedProjection<T> at = e;
  Matrix<T> slope(e.rows(), e.columns());
  const auto function = [&](const Vector<T>& values, Vector<T>& gradient) {
    assign(at.weight, values);
    const double value = tied ? objective(at, slope) : objective(at, f, slope);
    gradient = as_vector(slope);
    return value;
  };
  Vector<T> values = as_vector(e.weight);
  // A tenth of mean pooling's norm, k/√n.
  const double first_step = 0.1 * static_cast<double>(e.rows()) / std::sqrt(static_cast<double>(e.columns()));
  const Minimum minimum =
      minimise_lbfgs<T>(function, values, {.iterations = iterations, .tolerance = tolerance, .first_step = first_step},
                        [&](Index, double value) { progress(value); });
  assign(e.weight, values);
  return minimum;
}

/// Sets F to what minimises J for this E, by conjugate gradients from where it is.
template <Scalar T>
LinearSolution fit_values(const ValueProjectionSystem<T>& system, LearnedProjection<T>& f, Index iterations) {
  LearnedProjection<T> at = f;
  Matrix<T> product(f.rows(), f.columns());
  const auto apply = [&](const Vector<T>& values, Vector<T>& out) {
    assign(at.weight, values);
    system.apply(at, product);
    out = as_vector(product);
  };
  Vector<T> values = as_vector(f.weight);
  const LinearSolution solution =
      conjugate_gradients<T>(apply, as_vector(system.right_hand_side()), values, {.iterations = iterations});
  assign(f.weight, values);
  return solution;
}

/// Fits one E and one F, which may be the same object.
template <Scalar T, class Progress>
ProjectionFit fit_tied_heads(const TiedHeads<T>& heads, LearnedProjection<T>& e, LearnedProjection<T>& f,
                             const FitConfig& config, const Execution& execution, const Progress& progress) {
  const bool tied = &e == &f;
  const Ridge<T> ridge{config.ridge, e.weight, tied ? Matrix<T>() : f.weight};
  const ProjectionObjective<T> objective(heads, ridge, execution);
  ProjectionFit fit;
  fit.before = objective.relative_error(e, f);
  require(std::isfinite(fit.before), ErrorCode::not_finite, "attention", "finite values on these texts",
          "NaN or infinity");
  const auto move_keys = [&](Index iterations) {
    fit.stop = fit_keys<T>(objective, e, f, iterations, config.tolerance, [&](double value) {
                 progress(++fit.iterations, value);
               }).stop;
  };
  const auto solve_values = [&] {
    const ValueProjectionSystem<T> system(heads, ridge, objective.squares(), e, execution);
    fit.solver_stop = fit_values<T>(system, f, config.solver_iterations).stop;
  };
  if (tied) {
    move_keys(config.iterations);
  } else {
    for (Index round = 0; round < config.rounds; ++round) {
      solve_values();
      move_keys((round + 1) * config.iterations / config.rounds - round * config.iterations / config.rounds);
    }
    solve_values();
  }
  fit.after = objective.relative_error(e, f);
  return fit;
}

/// The learned projection of a head. @throws Error unsupported for another kind, or one with an additive vector r
template <Scalar T>
[[nodiscard]] LearnedProjection<T>& learned_projection(ProjectionSet<T>& projections, Index layer, Index head,
                                                       Side side) {
  Projection<T>& projection = projections.projection(layer, head, side);
  auto* const learned = std::get_if<LearnedProjection<T>>(&projection.kind());
  require(learned != nullptr && projection.bias().size() == 0, ErrorCode::unsupported, "projections",
          "learned E and F without biases", "another kind");
  return *learned;
}

}  // namespace detail

/// Moves the learned E and F of a converted encoder, from where they are, to where its attention is close to the
/// original's on some texts: minimises ½·Σ ‖P̄·F·V − P·V‖² / Σ ‖P·V‖² + ½·ρ·(‖E − E₀‖² + ‖F − F₀‖²)·n/k² over texts and
/// over the layers and heads that read the same E and F (docs/fitting.md). F apart from E is a linear least-squares
/// problem, solved by conjugate gradients; E sits inside the softmax and moves by L-BFGS, with F where both are one. J
/// never rises. Q, K and V are those of the original: what enters each layer is what enters it there, so that layers
/// are fitted independently of each other, in any sharing mode. Any number of threads gives the same bits.
///
/// Memory, beside both encoders: layers · rows · D for what enters the layers, 4·rows·h·d of a layer (layerwise
/// sharing: of all layers), 30 k × n matrices, and where E and F are apart k² values for each text and head that read
/// them.
/// @param original of softmax attention
/// @param linformer as `to_linformer` made it of the original
/// @param texts at least one token; columns of E beyond the longest text stay as they are
/// @param progress called as progress(FitProgress) after each iteration of L-BFGS
/// @return a fit for each pair of E and F, in the order of layers and heads
/// @throws Error invalid_configuration; unsupported for projections that are not learned; shape_mismatch; not_finite
///   where attention is, with the layers below fitted; as `Encoder::forward`
template <Scalar T, class Progress>
std::vector<ProjectionFit> fit_projections(const Encoder<T>& original, Encoder<T>& linformer, const TokenBatch& texts,
                                           const FitConfig& config, const Execution& execution,
                                           const Progress& progress) {
  detail::require(config.ridge >= 0, ErrorCode::invalid_configuration, "ridge", "at least 0",
                  std::to_string(config.ridge));
  for (const auto& [name, count] : {std::pair("iterations", config.iterations), std::pair("rounds", config.rounds),
                                    std::pair("solver_iterations", config.solver_iterations)}) {
    detail::require_config(count >= 1, name, "at least 1", count);
  }
  const EncoderConfig& shape = linformer.config();
  const auto layers = static_cast<std::size_t>(shape.layers);
  detail::require_shape("encoder", shape.layers, shape.model_width, original.config().layers,
                        original.config().model_width);
  detail::require_config(shape.heads == original.config().heads, "heads",
                         std::to_string(original.config().heads) + ", the original's", shape.heads);
  detail::require(shape.mechanism == Mechanism::linformer && original.config().mechanism != Mechanism::linformer,
                  ErrorCode::unsupported, "encoder", "softmax attention and a Linformer made of it", "others");
  detail::require_whole(original);
  detail::require_whole(linformer);
  detail::require_config(config.rounds >= 1, "rounds", "at least 1", config.rounds);
  texts.require_valid(shape.vocabulary_size, shape.sequence_length, shape.token_types);
  detail::require(texts.layout.rows() > 0, ErrorCode::shape_mismatch, "texts", "at least one token", "none");

  EncoderCache<T> cache;
  {
    Matrix<T> out(texts.layout.rows(), shape.model_width);
    original.forward(texts, out, {.recompute = true}, &cache, execution);  // which keeps what enters each layer
  }
  const auto sample = [&](std::size_t layer) {
    return attention_sample<T>(original.layers()[layer], cache.inputs[layer].block(), texts.layout, execution);
  };
  ProjectionSet<T>& projections = linformer.projections();
  const Index head_width = original.layers().front().attention().config().head_width;
  const Index heads_tied = shape.sharing == Sharing::none ? 1 : shape.heads;
  std::vector<ProjectionFit> fits;
  FitProgress at;
  at.fits = shape.sharing == Sharing::layerwise ? 1 : shape.layers * (shape.heads / heads_tied);
  const auto fit = [&](std::span<const AttentionSample<T>> samples, Index layer) {
    for (Index head = 0; head < shape.heads; head += heads_tied, ++at.fit) {
      fits.push_back(detail::fit_tied_heads<T>({samples, texts.layout, head, heads_tied, head_width},
                                               detail::learned_projection(projections, layer, head, Side::key),
                                               detail::learned_projection(projections, layer, head, Side::value),
                                               config, execution, [&](Index iteration, double objective) {
                                                 at.iteration = iteration;
                                                 at.objective = objective;
                                                 progress(std::as_const(at));
                                               }));
      fits.back().layer = layer;
      fits.back().head = head;
    }
  };
  if (shape.sharing == Sharing::layerwise) {
    std::vector<AttentionSample<T>> samples;
    for (std::size_t layer = 0; layer < layers; ++layer) samples.push_back(sample(layer));
    fit(samples, 0);
  } else {
    for (std::size_t layer = 0; layer < layers; ++layer) {
      const AttentionSample<T> its = sample(layer);
      fit(std::span(&its, 1), static_cast<Index>(layer));
    }
  }
  return fits;
}

}  // namespace linformer::inline LINFORMER_ABI
