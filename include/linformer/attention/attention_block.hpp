#pragma once

#include <linformer/attention/for_each_sequence.hpp>
#include <linformer/attention/frozen_weights.hpp>
#include <linformer/attention/project_context.hpp>
#include <linformer/attention/softmax_attention.hpp>

#include <array>

namespace linformer::inline LINFORMER_ABI {

/// One attention layer without its E and F, which it is handed at each call: they belong to the model's
/// `ProjectionSet`, so that layers may share them. Const calls with workspaces of their own may run at the same time.
/// @tparam Weights `AttentionWeights`, which train, or `FrozenWeights`, for inference alone
template <Scalar T, class Weights = AttentionWeights<T>>
class AttentionBlock {
 public:
  AttentionBlock() = default;

  /// The same layer for inference alone. @throws Error unsupported where a precision does not fit
  [[nodiscard]] AttentionBlock<T, FrozenWeights<T>> frozen(Precision precision) const requires(Weights::trainable) {
    detail::require(precision == Precision::full || config_.head_width % 2 == 0, ErrorCode::unsupported, "precision",
                    "full, as bf16 takes features in pairs and head_width is odd", "bf16");
    return AttentionBlock<T, FrozenWeights<T>>(config_, FrozenWeights<T>(weights_, precision));
  }

  /// W_Q, W_K, W_V, W_O are drawn by Glorot and Bengio (2010), uniform in ±√(6/(in + out)); biases are zero.
  /// @throws Error invalid_configuration, size_overflow or unsupported
  AttentionBlock(const AttentionConfig& config, std::uint64_t seed) requires(Weights::trainable)
      : config_(resolved(config)), weights_(Weights::zeros(config_)) {
    const RandomStream stream(seed);
    for_each_parameter([&](const std::string& name, Shape shape, std::span<T> values) {
      if (shape.size() != 2) return;
      fill_symmetric_uniform(values, stream.derive(name), std::sqrt(T{6} / static_cast<T>(shape[0] + shape[1])));
    });
  }

  /// The configuration with its defaults filled in.
  [[nodiscard]] const AttentionConfig& config() const { return config_; }
  [[nodiscard]] const Weights& weights() const { return weights_; }
  [[nodiscard]] Weights& weights() requires(Weights::trainable) { return weights_; }

  /// f(name, shape, values): `query.weight`, `query.bias`, `key.…`, `value.…`, `projected_key.bias`,
  /// `projected_value.bias`, `output.dense.weight`, `output.dense.bias`, those that exist.
  void for_each_parameter(const ParameterVisitor<T>& visitor) requires(Weights::trainable) {
    weights_.for_each_parameter(visitor);
  }
  void for_each_parameter(const ParameterVisitor<const T>& visitor) const requires(Weights::trainable) {
    weights_.for_each_parameter(visitor);
  }

  /// What a call on one sequence costs, and the order that it takes.
  [[nodiscard]] Plan plan(const LayerProjections<T>& projections, Index queries, Index context) const {
    require_configured();
    AttentionShape shape{.queries = queries,
                         .context = context,
                         .model_width = config_.model_width,
                         .context_width = config_.context_width,
                         .heads = config_.heads,
                         .head_width = config_.head_width};
    if (!projections.key.empty()) {
      for (const auto* projection : projections.key) shape.projected_length += static_cast<double>(projection->rows());
      shape.projected_length /= static_cast<double>(config_.heads);
      shape.commutes = commutes(projections);
      shape.dense = !projections.key.front()->local();
      shape.distinct_projections = distinct(projections);
    }
    return make_plan(shape);
  }

  /// A projected context without tokens, to be accumulated in the given order.
  /// @throws Error unsupported if a projection does not commute and the order is reassociated
  [[nodiscard]] ProjectedContext<T> empty_context(const LayerProjections<T>& projections, Order order) const {
    ProjectedContext<T> context;
    Workspace workspace;
    streams(projections, order, workspace).reset(context);
    return context;
  }

  /// Adds a chunk of the context's tokens to what was seen of it.
  /// @param tokens positions of the chunk's rows; @param rows chunk × context width
  /// @throws Error shape_mismatch, sequence_too_long; unsupported if rows depend on the length of the whole sequence and
  ///   the positions do not say it
  void accumulate(const LayerProjections<T>& projections, const Positions& tokens, const ConstMatrixRef<T>& rows,
                  ProjectedContext<T>& context, const Execution& execution) const {
    detail::require_shape("context", rows.rows(), rows.cols(), tokens.count, config_.context_width);
    require_tokens(projections, tokens);
    require_whole(projections, tokens);
    detail::require(
        context.tokens() + tokens.count <= config_.sequence_length, ErrorCode::sequence_too_long, "context",
        [&] { return "at most sequence_length = " + std::to_string(config_.sequence_length) + " tokens in all"; },
        [&] { return std::to_string(context.tokens() + tokens.count); });
    const Execution mine = with_precision(execution);
    const Workspace::Scope scope(mine.workspace);
    const ContextStreams<T>& its_streams = streams(projections, context.order(), mine.workspace);
    its_streams.require_match(context);
    accumulate_context(weights_.transposed(mine.here()), its_streams, config_.sequence_length, tokens, rows, context,
                       mine);
  }

  /// K̄ and V̄ of a projected context.
  [[nodiscard]] KeysValues<T> keys_values(const LayerProjections<T>& projections, const ProjectedContext<T>& context,
                                          const Execution& execution) const {
    const Execution mine = with_precision(execution);
    const Workspace::Scope scope(mine.workspace);
    const ContextStreams<T>& its_streams = streams(projections, context.order(), mine.workspace);
    its_streams.require_match(context);
    KeysValues<T> result;
    finish_context(weights_.transposed(mine.here()), projections, its_streams, context, config_.head_width, result,
                   mine);
    return result;
  }

  /// Attention of the rows of one sequence to keys and values made before.
  /// @param positions of the queries, @param x queries × D, @param y queries × D
  /// @throws Error shape_mismatch, aliasing
  void attend(const KeysValues<T>& keys_values, const Positions& positions, const ConstMatrixRef<T>& x, MatrixRef<T> y,
              const WeightsRequest<T>& request, const Execution& execution) const {
    require_configured();
    detail::require_shape("x", x.rows(), x.cols(), positions.count, config_.model_width);
    detail::require_shape("y", y.rows(), y.cols(), x.rows(), config_.model_width);
    detail::require_shape("keys", keys_values.width(), keys_values.rows(),
                          keys_values.absorbed() ? config_.model_width : config_.heads * config_.head_width,
                          keys_values.rows());
    detail::require(keys_values.precision() == weights_.precision(), ErrorCode::shape_mismatch, "keys",
                    "those of a layer of the same precision", "those of another");
    detail::require(
        static_cast<Index>(keys_values.heads.size()) == config_.heads, ErrorCode::shape_mismatch, "keys",
        [&] { return "those of " + std::to_string(config_.heads) + " heads"; },
        [&] { return std::to_string(keys_values.heads.size()); });
    detail::require_apart<T>("x", x, "y", y);
    const Execution mine = with_precision(execution);
    const Workspace::Scope scope(mine.workspace);
    attend_queries(weights_.transposed(mine.here()), keys_values, positions, x, y, request, mine);
  }

  /// Attention of the rows of one sequence to those of a context.
  /// @param x queries × D, @param context tokens × context width, each with its positions; @param y queries × D
  /// @throws Error shape_mismatch, sequence_too_long, aliasing, unsupported
  void forward(const LayerProjections<T>& projections, const ConstMatrixRef<T>& x, const Positions& queries,
               const ConstMatrixRef<T>& context, const Positions& tokens, MatrixRef<T> y,
               const ForwardOptions<T>& options) const {
    check(x, queries.count, context, tokens.count, y);
    check(projections);
    require_tokens(projections, tokens);
    forward_sequences(
        projections, 1,
        [&](Index) -> Sequence {
          return {x, queries, context, tokens, y};
        },
        options);
  }

  /// The same of the rows of a ragged batch, sequence by sequence.
  void forward(const LayerProjections<T>& projections, const ConstMatrixRef<T>& x, const BatchLayout& x_layout,
               const ConstMatrixRef<T>& context, const BatchLayout& context_layout, MatrixRef<T> y,
               const ForwardOptions<T>& options) const {
    require_batches(projections, x, x_layout, context, context_layout);
    check(x, x_layout.rows(), context, context_layout.rows(), y);
    forward_sequences(
        projections, x_layout.sequences(),
        [&](Index b) -> Sequence {
          return {x.middleRows(x_layout.offset(b), x_layout.length(b)), x_layout.positions(b),
                  context.middleRows(context_layout.offset(b), context_layout.length(b)), context_layout.positions(b),
                  y.middleRows(x_layout.offset(b), x_layout.length(b))};
        },
        options);
  }

  /// @throws Error shape_mismatch, sequence_too_long or out_of_range unless x and a context are batches that a call can
  ///   take
  void require_batches(const LayerProjections<T>& projections, const ConstMatrixRef<T>& x, const BatchLayout& x_layout,
                       const ConstMatrixRef<T>& context, const BatchLayout& context_layout) const {
    require_configured();
    detail::require_shape("x", x.rows(), x.cols(), x_layout.rows(), config_.model_width);
    detail::require_shape("context", context.rows(), context.cols(), context_layout.rows(), config_.context_width);
    detail::require(
        x_layout.sequences() == context_layout.sequences(), ErrorCode::shape_mismatch, "context",
        [&] { return std::to_string(x_layout.sequences()) + " sequences"; },
        [&] { return std::to_string(context_layout.sequences()); });
    check(projections);
    for (Index b = 0; b < context_layout.sequences(); ++b) require_tokens(projections, context_layout.positions(b));
  }

  /// The streams of a layer in an order, kept in the workspace. @throws Error unsupported if a projection does not
  ///   commute and the order needs it; shape_mismatch for projections of another layer
  [[nodiscard]] const ContextStreams<T>& streams(const LayerProjections<T>& projections, Order order,
                                                 Workspace& workspace) const {
    detail::require(config_.mechanism == Mechanism::linformer, ErrorCode::unsupported, "projected context",
                    "Mechanism::linformer", "softmax attention, which keeps every token");
    check(projections);
    detail::require(order == Order::direct || commutes(projections), ErrorCode::unsupported, "order",
                    "Order::direct, as this projection does not commute with features",
                    order == Order::absorbed ? "Order::absorbed" : "Order::reassociated");
    auto& result = workspace.template kept<ContextStreams<T>>();
    result.assign(order, projections, config_.context_width, config_.head_width);
    return result;
  }

 private:
  friend class AttentionBlock<T, AttentionWeights<T>>;
  AttentionBlock(AttentionConfig config, Weights weights) : config_(std::move(config)), weights_(std::move(weights)) {}

  struct Sequence {
    ConstMatrixRef<T> x;
    Positions queries;
    ConstMatrixRef<T> context;
    Positions tokens;
    MatrixRef<T> y;
  };

  /// @param sequence called as sequence(b) for each b below `sequences`
  template <class SequenceOf>
  void forward_sequences(const LayerProjections<T>& projections, Index sequences, const SequenceOf& sequence,
                         const ForwardOptions<T>& options) const {
    const bool is_linformer = config_.mechanism == Mechanism::linformer;
    detail::require(is_linformer || !options.sequence, ErrorCode::unsupported, "sequence",
                    "Mechanism::linformer, whose projected context adds up over processes",
                    "softmax attention, which needs the keys and values of every token");
    const CallResources resources(options);
    const Execution execution = with_precision(resources.execution());
    const Workspace::Scope scope(execution.workspace);
    const TransposedWeights<T> weights = weights_.transposed(execution.here());
    std::vector<Matrix<T>> probabilities;
    const auto heads = static_cast<std::size_t>(config_.heads);
    for (Index b = 0; options.probabilities != nullptr && b < sequences; ++b) {
      const Sequence its = sequence(b);
      for (std::size_t head = 0; head < heads; ++head) {
        const Index columns = projections.key.empty() ? its.tokens.extent() : projections.key[head]->rows();
        probabilities.push_back(Matrix<T>::Zero(its.queries.count, columns));
      }
    }
    // Contexts that other processes have a part in, or backward asks for, are projected before any is attended to.
    std::span<const ProjectedContext<T>> contexts;
    if (is_linformer && (options.sequence || options.contexts != nullptr)) {
      auto& kept = options.contexts != nullptr ? *options.contexts
                                               : execution.workspace.template kept<std::vector<ProjectedContext<T>>>();
      kept.resize(static_cast<std::size_t>(sequences));
      for (Index b = 0; options.sequence && b < sequences; ++b) require_whole(projections, sequence(b).tokens);
      project_sequences(weights, projections, sequence, options, kept, execution);
      contexts = kept;
    }
    detail::for_each_sequence(sequences, execution, [&](Index b, const Execution& its_execution) {
      const auto place = static_cast<std::size_t>(b);
      WeightsRequest<T> request{{}, options.dropout, config_.dropout, static_cast<std::uint64_t>(b)};
      if (!probabilities.empty()) request.probabilities = std::span(probabilities).subspan(place * heads, heads);
      forward_sequence(weights, projections, sequence(b), contexts.empty() ? nullptr : &contexts[place], request,
                       options.order, its_execution);
    });
    if (options.probabilities != nullptr) *options.probabilities = std::move(probabilities);
  }

  /// The contexts of whole sequences, in an order that is the same in every process.
  template <class SequenceOf>
  void project_sequences(const TransposedWeights<T>& weights, const LayerProjections<T>& projections,
                         const SequenceOf& sequence, const ForwardOptions<T>& options,
                         std::span<ProjectedContext<T>> contexts, const Execution& execution) const {
    const Order order =
        options.order.value_or(plan(projections, config_.sequence_length, config_.sequence_length).order);
    detail::for_each_sequence(
        static_cast<Index>(contexts.size()), execution, [&](Index b, const Execution& its_execution) {
          ProjectedContext<T>& context = contexts[static_cast<std::size_t>(b)];
          const ContextStreams<T>& its_streams = streams(projections, order, its_execution.workspace);
          const Sequence its = sequence(b);
          its_streams.reset(context);
          accumulate_context(weights, its_streams, config_.sequence_length, its.tokens, its.context, context,
                             its_execution);
        });
    if (options.sequence) merge_contexts(contexts, options.sequence, execution.workspace);
  }

  /// @param context of the whole sequence; null for one that is accumulated here
  void forward_sequence(const TransposedWeights<T>& weights, const LayerProjections<T>& projections,
                        const Sequence& its, const ProjectedContext<T>* context, const WeightsRequest<T>& request,
                        const std::optional<Order>& order, const Execution& execution) const {
    if (its.x.rows() == 0) return;
    auto& keys_values = execution.workspace.template kept<KeysValues<T>>();
    if (config_.mechanism == Mechanism::linformer) {
      const ContextStreams<T>& its_streams =
          streams(projections,
                  context != nullptr ? context->order()
                                     : order.value_or(plan(projections, its.x.rows(), its.context.rows()).order),
                  execution.workspace);
      if (context == nullptr) {
        // One for each order, as sequences of a batch may take another each and their sums differ in shape.
        auto& projected =
            execution.workspace
                .template kept<std::array<ProjectedContext<T>, 3>>()[static_cast<std::size_t>(its_streams.order())];
        its_streams.reset(projected);
        accumulate_context(weights, its_streams, config_.sequence_length, its.tokens, its.context, projected,
                           execution);
        context = &projected;
      }
      finish_context(weights, projections, its_streams, *context, config_.head_width, keys_values, execution);
    } else {
      // Asked for P, tiled softmax takes all keys of a query at once.
      const bool whole = config_.mechanism == Mechanism::softmax_tiled && !request.probabilities.empty();
      const Index key_tile = whole ? std::max(its.context.rows(), Index{1}) : detail::key_tile;
      keys_values_of_tokens(weights, its.context, its.tokens, config_.heads, key_tile, keys_values, execution);
    }
    if (config_.mechanism == Mechanism::softmax && its.context.rows() != 0) {
      attend_materialised(weights, keys_values, its.queries, its.x, its.y, request, execution);
    } else {
      attend_queries(weights, keys_values, its.queries, its.x, its.y, request, execution);
    }
  }

  /// What the weights are computed with.
  [[nodiscard]] Execution with_precision(const Execution& execution) const {
    return {execution.pool, execution.workspace, execution.isa, weights_.precision()};
  }

  /// Whether all of the layer's projections commute with features.
  [[nodiscard]] static bool commutes(const LayerProjections<T>& projections) {
    const auto one = [](const Projection<T>* projection) { return projection->commutes(); };
    return std::all_of(projections.key.begin(), projections.key.end(), one) &&
           std::all_of(projections.value.begin(), projections.value.end(), one);
  }

  /// How many of the layer's matrices E and F differ.
  [[nodiscard]] static Index distinct(const LayerProjections<T>& projections) {
    Index count = 0;
    const std::size_t heads = projections.key.size();
    const auto at = [&](std::size_t i) { return i < heads ? projections.key[i] : projections.value[i - heads]; };
    for (std::size_t i = 0; i < 2 * heads; ++i) {
      bool is_new = true;
      for (std::size_t j = 0; is_new && j < i; ++j) is_new = !at(j)->same_rows(*at(i));
      count += is_new ? 1 : 0;
    }
    return count;
  }

  /// A layer made by default cannot be called.
  void require_configured() const {
    detail::require(config_.heads > 0, ErrorCode::invalid_configuration, "attention", "a configured layer",
                    "one made by default");
  }

  /// The tokens of a context lie below n, and where E and F are held.
  void require_tokens(const LayerProjections<T>& projections, const Positions& tokens) const {
    detail::require(
        tokens.extent() <= config_.sequence_length, ErrorCode::sequence_too_long, "context",
        [&] { return "at most sequence_length = " + std::to_string(config_.sequence_length) + " tokens"; },
        [&] { return std::to_string(tokens.extent()); });
    if (tokens.count == 0) return;
    for (const auto* side : {&projections.key, &projections.value}) {
      for (const Projection<T>* projection : *side) {
        const Part held = projection->held();
        detail::require(
            held.begin <= tokens[0] && tokens.extent() <= held.end, ErrorCode::out_of_range, "context",
            [&] { return "positions " + detail::range_text(held.begin, held.end) + ", whose columns of E are here"; },
            [&] { return detail::range_text(tokens[0], tokens.extent()); });
      }
    }
  }

  /// A part of a context says how long the whole is, where rows depend on that.
  void require_whole(const LayerProjections<T>& projections, const Positions& part) const {
    if (part.count == 0 || part.whole != 0) return;
    for (const auto* side : {&projections.key, &projections.value}) {
      for (const Projection<T>* projection : *side) {
        detail::require(!projection->of_text(), ErrorCode::unsupported, "context",
                        "a part of a sequence whose length is known, as made by BatchLayout::part: windows of growing "
                        "pooling depend on it",
                        "tokens of a sequence of unknown length");
      }
    }
  }

  void check(const ConstMatrixRef<T>& x, Index queries, const ConstMatrixRef<T>& context, Index tokens,
             const MatrixRef<T>& y) const {
    require_configured();
    detail::require_shape("x", x.rows(), x.cols(), queries, config_.model_width);
    detail::require_shape("context", context.rows(), context.cols(), tokens, config_.context_width);
    detail::require_shape("y", y.rows(), y.cols(), x.rows(), config_.model_width);
    detail::require_apart<T>("x", x, "y", y);
    detail::require_apart<T>("the context", context, "y", y);
  }

  void check(const LayerProjections<T>& projections) const {
    require_configured();
    const auto heads = static_cast<std::size_t>(config_.mechanism == Mechanism::linformer ? config_.heads : 0);
    detail::require(
        projections.key.size() == heads && projections.value.size() == heads, ErrorCode::shape_mismatch, "projections",
        [&] { return "a pair for each of " + std::to_string(heads) + " heads"; },
        [&] { return std::to_string(projections.key.size()); });
    for (std::size_t head = 0; head < heads; ++head) {
      for (const Projection<T>* projection : {projections.key[head], projections.value[head]}) {
        detail::require_shape("projections", projection->rows(), projection->columns(), projections.key[head]->rows(),
                              config_.sequence_length);
        detail::require(projection->local() == projections.key.front()->local(), ErrorCode::shape_mismatch,
                        "projections", "all dense, or all with windows", "both");
        const Index width = projection->feature_width();
        detail::require(
            width == 0 || width == config_.head_width, ErrorCode::shape_mismatch, "projections",
            [&] { return "kernels of " + std::to_string(config_.head_width) + " features"; },
            [&] { return std::to_string(width); });
      }
    }
  }

  AttentionConfig config_{};
  Weights weights_{};
};

}  // namespace linformer::inline LINFORMER_ABI
