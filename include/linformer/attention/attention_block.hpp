#pragma once

#include <linformer/attention/project_context.hpp>
#include <linformer/attention/softmax_attention.hpp>

namespace linformer::inline LINFORMER_ABI {

/// One attention layer without its E and F, which it is handed at each call: they belong to the model's
/// `ProjectionSet`, so that layers may share them. Const calls with workspaces of their own may run at the same time.
template <Scalar T>
class AttentionBlock {
 public:
  AttentionBlock() = default;

  /// W_Q, W_K, W_V, W_O are drawn by Glorot and Bengio (2010), uniform in ±√(6/(in + out)); biases are zero.
  /// @throws Error invalid_configuration, size_overflow or unsupported
  AttentionBlock(const AttentionConfig& config, std::uint64_t seed)
      : config_(resolved(config)), weights_(AttentionWeights<T>::zeros(config_)) {
    const RandomStream stream(seed);
    for_each_parameter([&](const std::string& name, Shape shape, std::span<T> values) {
      if (shape.size() != 2) return;
      fill_symmetric_uniform(values, stream.derive(name), std::sqrt(T{6} / static_cast<T>(shape[0] + shape[1])));
    });
  }

  /// The configuration with its defaults filled in.
  [[nodiscard]] const AttentionConfig& config() const { return config_; }
  [[nodiscard]] const AttentionWeights<T>& weights() const { return weights_; }
  [[nodiscard]] AttentionWeights<T>& weights() { return weights_; }

  /// f(name, shape, values): `query.weight`, `query.bias`, `key.…`, `value.…`, `projected_key.bias`,
  /// `projected_value.bias`, `output.dense.weight`, `output.dense.bias`, those that exist.
  template <class Visitor>
  void for_each_parameter(Visitor&& visitor) {
    weights_.for_each_parameter(visitor);
  }
  template <class Visitor>
  void for_each_parameter(Visitor&& visitor) const {
    weights_.for_each_parameter(visitor);
  }

  /// What a call on one sequence costs, and the order that it takes.
  [[nodiscard]] Plan plan(const LayerProjections<T>& projections, Index queries, Index context) const {
    AttentionShape shape{.queries = queries,
                         .context = context,
                         .model_width = config_.model_width,
                         .context_width = config_.context_width,
                         .heads = config_.heads,
                         .head_width = config_.head_width};
    if (!projections.key.empty()) {
      for (const auto* projection : projections.key) shape.projected_length += static_cast<double>(projection->rows());
      shape.projected_length /= static_cast<double>(config_.heads);
      shape.commutes = projections.key.front()->commutes();
      shape.dense = !projections.key.front()->local();
      const ContextStreams<T> streams(Order::reassociated, projections, config_.context_width, config_.head_width);
      shape.distinct_projections = static_cast<Index>(streams.streams().size());
    }
    return make_plan(shape);
  }

  /// A projected context without tokens, to be accumulated in the given order.
  /// @throws Error unsupported if a projection does not commute and the order is reassociated
  [[nodiscard]] ProjectedContext<T> empty_context(const LayerProjections<T>& projections, Order order) const {
    ProjectedContext<T> context;
    streams(projections, order).reset(context);
    return context;
  }

  /// Adds a chunk of the context's tokens to what was seen of it.
  /// @param tokens positions of the chunk's rows; @param rows chunk × context width
  /// @throws Error shape_mismatch, sequence_too_long
  void accumulate(const LayerProjections<T>& projections, const Positions& tokens, const ConstMatrixRef<T>& rows,
                  ProjectedContext<T>& context, const Execution& execution) const {
    detail::require_shape("context", rows.rows(), rows.cols(), tokens.count, config_.context_width);
    require_length(tokens);
    const ContextStreams<T> its_streams = streams(projections, context.order());
    its_streams.require_match(context);
    const Workspace::Scope scope(execution.workspace);
    accumulate_context(TransposedWeights<T>(weights_, execution.here()), its_streams, config_.sequence_length, tokens,
                       rows, context, execution);
  }

  /// K̄ and V̄ of a projected context.
  [[nodiscard]] KeysValues<T> keys_values(const LayerProjections<T>& projections, const ProjectedContext<T>& context,
                                          const Execution& execution) const {
    const ContextStreams<T> its_streams = streams(projections, context.order());
    its_streams.require_match(context);
    const Workspace::Scope scope(execution.workspace);
    KeysValues<T> result;
    finish_context(TransposedWeights<T>(weights_, execution.here()), projections, its_streams, context,
                   config_.head_width, result, execution);
    return result;
  }

  /// Attention of the rows of one sequence to keys and values made before.
  /// @param positions of the queries, @param x queries × D, @param y queries × D
  /// @throws Error shape_mismatch, aliasing
  void attend(const KeysValues<T>& keys_values, const Positions& positions, const ConstMatrixRef<T>& x, MatrixRef<T> y,
              const WeightsRequest<T>& request, const Execution& execution) const {
    detail::require_shape("x", x.rows(), x.cols(), positions.count, config_.model_width);
    detail::require_shape("y", y.rows(), y.cols(), x.rows(), config_.model_width);
    detail::require_shape("keys", keys_values.width(), keys_values.rows(), config_.heads * config_.head_width,
                          keys_values.rows());
    detail::require_apart<T>("x", x, "y", y);
    const Workspace::Scope scope(execution.workspace);
    attend_queries(TransposedWeights<T>(weights_, execution.here()), keys_values, positions, x, y, request, execution);
  }

  /// Attention of the rows of x, sequence by sequence, to those of the context.
  /// @param x rows × D, @param context rows × context width, each with its layout; @param y rows × D
  /// @throws Error shape_mismatch, sequence_too_long, aliasing, unsupported
  void forward(const LayerProjections<T>& projections, const ConstMatrixRef<T>& x, const BatchLayout& x_layout,
               const ConstMatrixRef<T>& context, const BatchLayout& context_layout, MatrixRef<T> y,
               const ForwardOptions<T>& options) const {
    check(projections);
    check(x, x_layout, context, context_layout, y);
    const Index sequences = x_layout.sequences();
    const CallResources resources(options);
    const Execution& execution = resources.execution();
    const Workspace::Scope scope(execution.workspace);
    const TransposedWeights<T> weights(weights_, execution.here());
    std::vector<Matrix<T>> probabilities;
    const auto heads = static_cast<std::size_t>(config_.heads);
    if (options.probabilities != nullptr) {
      for (Index b = 0; b < sequences; ++b) {
        for (std::size_t head = 0; head < heads; ++head) {
          const Index columns =
              projections.key.empty() ? context_layout.positions(b).extent() : projections.key[head]->rows();
          probabilities.push_back(Matrix<T>::Zero(x_layout.length(b), columns));
        }
      }
    }
    const auto one_sequence = [&](Index b, const Execution& its_execution) {
      WeightsRequest<T> request{{}, options.dropout, config_.dropout, static_cast<std::uint64_t>(b)};
      if (!probabilities.empty()) {
        request.probabilities = std::span(probabilities).subspan(static_cast<std::size_t>(b) * heads, heads);
      }
      forward_sequence(weights, projections, x.middleRows(x_layout.offset(b), x_layout.length(b)),
                       x_layout.positions(b), context.middleRows(context_layout.offset(b), context_layout.length(b)),
                       context_layout.positions(b), y.middleRows(x_layout.offset(b), x_layout.length(b)), request,
                       options.order, its_execution);
    };
    if (execution.pool.threads() > 1 && sequences >= execution.pool.threads()) {
      execution.run(sequences, [&](Index b, const Compute& compute) {
        ThreadPool alone(1);
        one_sequence(b, {alone, compute.workspace, compute.isa});
      });
    } else {
      for (Index b = 0; b < sequences; ++b) one_sequence(b, execution);
    }
    if (options.probabilities != nullptr) *options.probabilities = std::move(probabilities);
  }

 private:
  void forward_sequence(const TransposedWeights<T>& weights, const LayerProjections<T>& projections,
                        const ConstMatrixRef<T>& x, const Positions& queries, const ConstMatrixRef<T>& context,
                        const Positions& tokens, MatrixRef<T> y, const WeightsRequest<T>& request,
                        const std::optional<Order>& order, const Execution& execution) const {
    if (x.rows() == 0) return;
    auto& keys_values = execution.workspace.kept<KeysValues<T>>();
    if (config_.mechanism == Mechanism::linformer) {
      const ContextStreams<T> its_streams =
          streams(projections, order.value_or(plan(projections, x.rows(), context.rows()).order));
      auto& projected = execution.workspace.kept<ProjectedContext<T>>();
      its_streams.reset(projected);
      accumulate_context(weights, its_streams, config_.sequence_length, tokens, context, projected, execution);
      finish_context(weights, projections, its_streams, projected, config_.head_width, keys_values, execution);
    } else {
      keys_values_of_tokens(weights, context, tokens, config_.heads, keys_values, execution);
    }
    if (config_.mechanism == Mechanism::softmax && context.rows() != 0) {
      attend_materialised(weights, keys_values, queries, x, y, request, execution);
    } else {
      attend_queries(weights, keys_values, queries, x, y, request, execution);
    }
  }

  [[nodiscard]] ContextStreams<T> streams(const LayerProjections<T>& projections, Order order) const {
    detail::require(config_.mechanism == Mechanism::linformer, ErrorCode::unsupported, "projected context",
                    "Mechanism::linformer", "softmax attention, which keeps every token");
    check(projections);
    detail::require(order == Order::direct || projections.key.front()->commutes(), ErrorCode::unsupported, "order",
                    "Order::direct, as this projection does not commute with features", "Order::reassociated");
    return ContextStreams<T>(order, projections, config_.context_width, config_.head_width);
  }

  void require_length(const Positions& tokens) const {
    detail::require(tokens.extent() <= config_.sequence_length, ErrorCode::sequence_too_long, "context",
                    "at most sequence_length = " + std::to_string(config_.sequence_length) + " tokens",
                    std::to_string(tokens.extent()));
  }

  void check(const ConstMatrixRef<T>& x, const BatchLayout& x_layout, const ConstMatrixRef<T>& context,
             const BatchLayout& context_layout, const MatrixRef<T>& y) const {
    detail::require_shape("x", x.rows(), x.cols(), x_layout.rows(), config_.model_width);
    detail::require_shape("context", context.rows(), context.cols(), context_layout.rows(), config_.context_width);
    detail::require_shape("y", y.rows(), y.cols(), x.rows(), config_.model_width);
    detail::require(x_layout.sequences() == context_layout.sequences(), ErrorCode::shape_mismatch, "context",
                    std::to_string(x_layout.sequences()) + " sequences", std::to_string(context_layout.sequences()));
    for (Index b = 0; b < context_layout.sequences(); ++b) require_length(context_layout.positions(b));
    detail::require_apart<T>("x", x, "y", y);
    detail::require_apart<T>("the context", context, "y", y);
  }

  void check(const LayerProjections<T>& projections) const {
    const auto heads = static_cast<std::size_t>(config_.mechanism == Mechanism::linformer ? config_.heads : 0);
    detail::require(projections.key.size() == heads && projections.value.size() == heads, ErrorCode::shape_mismatch,
                    "projections", "a pair for each of " + std::to_string(heads) + " heads",
                    std::to_string(projections.key.size()));
    for (std::size_t head = 0; head < heads; ++head) {
      for (const Projection<T>* projection : {projections.key[head], projections.value[head]}) {
        detail::require_shape("projections", projection->rows(), projection->columns(), projections.key[head]->rows(),
                              config_.sequence_length);
        const Index width = projection->feature_width();
        detail::require(width == 0 || width == config_.head_width, ErrorCode::shape_mismatch, "projections",
                        "kernels of " + std::to_string(config_.head_width) + " features", std::to_string(width));
      }
    }
  }

  AttentionConfig config_{};
  AttentionWeights<T> weights_{};
};

}  // namespace linformer::inline LINFORMER_ABI
