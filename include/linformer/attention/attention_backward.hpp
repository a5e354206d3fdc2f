#pragma once

#include <linformer/attention/attend_backward.hpp>
#include <linformer/attention/for_each_sequence.hpp>
#include <linformer/attention/linformer_attention.hpp>
#include <linformer/attention/project_backward.hpp>
#include <linformer/nn/rows.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What backward of one attention layer reads: the call whose gradients are wanted.
template <Scalar T>
struct AttentionCall {
  ConstMatrixRef<T> x;  ///< rows × D
  const BatchLayout& queries;
  ConstMatrixRef<T> context;  ///< rows × context width; x itself in self-attention
  const BatchLayout& tokens;
  std::optional<Order> order{};             ///< of forward; backward takes reassociated for absorbed
  std::optional<DropoutAddress> dropout{};  ///< as forward had it
  WorldView sequence{};                     ///< as forward had it
  /// What forward gave to `ForwardOptions::contexts`; null: accumulated anew, for one all-reduce more.
  const std::vector<ProjectedContext<T>>* contexts = nullptr;
};

namespace detail {

/// What backward keeps in a workspace between calls.
template <Scalar T>
struct BackwardScratch {
  std::vector<ProjectedContext<T>> contexts;
  std::vector<ContextGradient<T>> gradients;
  std::vector<std::vector<typename KeysValues<T>::Head>> heads;
  std::vector<AttendedSequence<T>> attended;
  std::vector<ProjectedSequence<T>> projected;
};

}  // namespace detail

/// Backward of one attention layer over a ragged batch: adds to the gradients of its input, of its weights and of its
/// projections. Scores, P̄ and K̄ are computed anew from x, so that nothing but x need be kept, and memory is O(n·D).
/// Where no order is given the planner chooses one for the whole batch, by its longest sequence. Where other processes
/// hold tokens of the same sequences, each is left with its part of the gradients of weights: their sum over processes
/// is the whole one. Of columns of E and F, and of the inputs, each has those of its tokens, complete.
/// @param y_gradient rows of x × D
/// @param x_gradient rows of x × D, @param context_gradient rows of the context × context width: in self-attention the
///   same memory
/// @throws Error shape_mismatch, sequence_too_long, unsupported
template <Scalar T>
void attention_backward(const AttentionBlock<T>& block, const LayerProjections<T>& projections,
                        const AttentionCall<T>& call, const ConstMatrixRef<T>& y_gradient, MatrixRef<T> x_gradient,
                        MatrixRef<T> context_gradient, AttentionBlock<T>& gradient,
                        const LayerProjectionGradients<T>& projection_gradients, const Execution& resources) {
  const Execution execution{resources.pool, resources.workspace, resources.isa};  // weights that train are not rounded
  const AttentionConfig& config = block.config();
  block.require_batches(projections, call.x, call.queries, call.context, call.tokens);
  const AttentionWeights<T>& weights = block.weights();
  AttentionWeights<T>& to_weights = gradient.weights();
  const Index width = config.heads * config.head_width;
  const Index rows = call.x.rows(), batch = call.tokens.sequences();
  detail::require_shape("y gradient", y_gradient.rows(), y_gradient.cols(), rows, config.model_width);
  detail::require_shape("x gradient", x_gradient.rows(), x_gradient.cols(), rows, config.model_width);
  detail::require_shape("context gradient", context_gradient.rows(), context_gradient.cols(), call.context.rows(),
                        config.context_width);
  if (rows == 0 && !call.sequence) return;
  const bool is_linformer = config.mechanism == Mechanism::linformer;
  detail::require(is_linformer || !call.sequence, ErrorCode::unsupported, "sequence", "Mechanism::linformer",
                  "softmax attention");
  const T scale = T{1} / std::sqrt(static_cast<T>(config.head_width));
  const Workspace::Scope scope(execution.workspace);
  const auto matrix = [&](Index count, Index columns) {
    return execution.workspace.template matrix<T>(count, columns);
  };
  auto& scratch = execution.workspace.template kept<detail::BackwardScratch<T>>();
  const auto of_batch = static_cast<std::size_t>(batch);
  scratch.contexts.resize(std::max(scratch.contexts.size(), of_batch));
  scratch.gradients.resize(std::max(scratch.gradients.size(), of_batch));
  scratch.heads.resize(std::max(scratch.heads.size(), of_batch));

  // What queries attended to: keys scaled, values; rows of tokens, or k rows of each sequence.
  Index longest = 0, most_rows = 0;
  for (Index b = 0; b < batch; ++b) longest = std::max(longest, call.tokens.length(b));
  for (const auto* projection : projections.key) most_rows = std::max(most_rows, projection->rows());
  Order order = Order::direct;
  const ContextStreams<T> no_streams;
  const ContextStreams<T>* its_streams = &no_streams;
  if (is_linformer) {
    const auto heads = static_cast<std::size_t>(config.heads);
    detail::require(projection_gradients.key.size() == heads && projection_gradients.value.size() == heads,
                    ErrorCode::shape_mismatch, "projection gradients", "a pair for each head", "other numbers");
    // The same in every process: of contexts that forward kept theirs, else that of the configured length.
    if (call.sequence) longest = config.sequence_length;
    order = call.order.value_or(block.plan(projections, longest, longest).order);
    if (call.contexts != nullptr && !call.contexts->empty()) order = call.contexts->front().order();
    if (order == Order::absorbed) order = Order::reassociated;
    its_streams = &block.streams(projections, order, execution.workspace);
  }
  const ContextStreams<T>& streams = *its_streams;
  const std::vector<ProjectedContext<T>>& contexts = call.contexts != nullptr ? *call.contexts : scratch.contexts;
  if (call.contexts != nullptr) {
    detail::require_shape("contexts", static_cast<Index>(contexts.size()), 1, batch, 1);
    for (const ProjectedContext<T>& context : contexts) streams.require_match(context);
  }
  const bool has_token_keys = order == Order::direct;
  const Index token_rows = has_token_keys ? call.context.rows() : 0;
  auto token_keys = matrix(token_rows, width), token_values = matrix(token_rows, width);
  if (has_token_keys) {
    linear_forward<T>(weights.key, call.context, token_keys, execution);
    linear_forward<T>(weights.value, call.context, token_values, execution);
  }
  const Index key_rows = is_linformer ? batch * most_rows : token_rows;
  auto keys = matrix(key_rows, width), values = matrix(is_linformer ? key_rows : 0, width);
  if (is_linformer) {
    const TransposedWeights<T> transposed_weights = weights.transposed(execution.here());
    if (call.contexts == nullptr) {
      detail::for_each_sequence(batch, execution, [&](Index b, const Execution& its_execution) {
        auto& context = scratch.contexts[static_cast<std::size_t>(b)];
        streams.reset(context);
        accumulate_context<T>(transposed_weights, streams, config.sequence_length, call.tokens.positions(b),
                              call.context.middleRows(call.tokens.offset(b), call.tokens.length(b)), context,
                              its_execution);
      });
      if (call.sequence)
        merge_contexts(std::span(scratch.contexts).first(of_batch), call.sequence, execution.workspace);
    }
    detail::for_each_sequence(batch, execution, [&](Index b, const Execution& its_execution) {
      const auto place = static_cast<std::size_t>(b);
      auto& keys_values = its_execution.workspace.template kept<KeysValues<T>>();
      finish_context<T>(transposed_weights, projections, streams, contexts[place], config.head_width, keys_values,
                        its_execution);
      scratch.heads[place] = keys_values.heads;
      const Index count = keys_values.rows();
      transpose<T>(execution.isa, keys_values.keys(0, count), keys.middleRows(b * most_rows, count));
      values.middleRows(b * most_rows, count) = keys_values.values();
    });
  } else {
    detail::scale_rows<T>(token_keys, scale, keys, execution);
    for (Index b = 0; b < batch; ++b) {
      auto& heads = scratch.heads[static_cast<std::size_t>(b)];
      heads.resize(static_cast<std::size_t>(config.heads));
      const Positions tokens = call.tokens.positions(b);
      for (auto& head : heads) {
        head.rows = tokens.count;
        head.columns.resize(static_cast<std::size_t>(tokens.count));
        for (Index i = 0; i < tokens.count; ++i) head.columns[static_cast<std::size_t>(i)] = tokens[i];
        head.score_bias.clear();
      }
    }
  }
  const ConstMatrixRef<T> all_values = is_linformer ? ConstMatrixRef<T>(values) : ConstMatrixRef<T>(token_values);

  // Queries: from y to Q and to keys and values.
  auto q = matrix(rows, width), attended = matrix(rows, width);
  auto q_gradient = matrix(rows, width), attended_gradient = matrix(rows, width);
  auto keys_gradient = matrix(key_rows, width), values_gradient = matrix(key_rows, width);
  linear_forward<T>(weights.query, call.x, q, execution);
  linear_input_backward<T>(weights.output.weight, y_gradient, attended_gradient, execution);
  scratch.attended.clear();
  for (Index b = 0; b < batch; ++b) {
    scratch.attended.push_back({call.queries.offset(b), call.queries.positions(b),
                                is_linformer ? b * most_rows : call.tokens.offset(b),
                                scratch.heads[static_cast<std::size_t>(b)]});
  }
  attend_backward<T>(scratch.attended, q, attended_gradient, keys, all_values, {{}, call.dropout, config.dropout, 0},
                     attended, q_gradient, keys_gradient, values_gradient, execution);
  linear_weight_backward<T>(attended, y_gradient, to_weights.output, execution);
  linear_backward<T>(weights.query, call.x, q_gradient, x_gradient, to_weights.query, execution);
  detail::scale_rows<T>(keys_gradient, scale, keys_gradient, execution);

  // Keys and values: to the tokens of the context.
  auto token_keys_gradient = matrix(is_linformer ? token_rows : 0, width);
  auto token_values_gradient = matrix(is_linformer ? token_rows : 0, width);
  if (is_linformer) {
    detail::zero_rows<T>(token_keys_gradient, execution);
    detail::zero_rows<T>(token_values_gradient, execution);
    scratch.projected.clear();
    for (Index b = 0; b < batch; ++b) {
      const auto place = static_cast<std::size_t>(b);
      keys_values_backward<T>(weights, streams, contexts[place], scratch.heads[place],
                              keys_gradient.middleRows(b * most_rows, most_rows),
                              values_gradient.middleRows(b * most_rows, most_rows), scratch.gradients[place],
                              to_weights, projection_gradients, execution);
      scratch.projected.push_back(
          {call.tokens.offset(b), call.tokens.positions(b), &contexts[place], &scratch.gradients[place]});
    }
    if (call.sequence)
      merge_gradients(std::span(scratch.gradients).first(of_batch), call.sequence, execution.workspace);
    project_backward<T>(scratch.projected, streams, projections, config.sequence_length, call.context, token_keys,
                        token_values, context_gradient, token_keys_gradient, token_values_gradient,
                        projection_gradients, call.sequence, execution);
  }
  if (!has_token_keys) return;
  const auto backward = [&](const Linear<T>& linear, const ConstMatrixRef<T>& its_gradient, Linear<T>& to_linear) {
    linear_backward<T>(linear, call.context, its_gradient, context_gradient, to_linear, execution);
  };
  backward(weights.key, is_linformer ? ConstMatrixRef<T>(token_keys_gradient) : ConstMatrixRef<T>(keys_gradient),
           to_weights.key);
  backward(weights.value, is_linformer ? ConstMatrixRef<T>(token_values_gradient) : ConstMatrixRef<T>(values_gradient),
           to_weights.value);
}

/// The same of a layer with projections of its own.
/// @param context x itself in self-attention, and its gradient then that of x
/// @param gradient of the layer's type, see `zero_gradient`
/// @param options threads, pool, workspace, isa, order, dropout, sequence and contexts, as forward had them
template <Scalar T>
void attention_backward(const LinformerAttention<T>& attention, const Batch<T>& x, const Batch<T>& context,
                        const ConstMatrixRef<T>& y_gradient, MatrixRef<T> x_gradient, MatrixRef<T> context_gradient,
                        LinformerAttention<T>& gradient, const ForwardOptions<T>& options = {}) {
  const CallResources resources(options);
  LayerProjections<T> projections;
  LayerProjectionGradients<T> gradients;
  if (attention.config().mechanism == Mechanism::linformer) {
    projections = attention.projections().layer(0);
    gradients = layer_gradients(gradient.projections(), 0);
  }
  attention_backward<T>(attention.block(), projections,
                        {x.rows, x.layout, context.rows, context.layout, options.order, options.dropout,
                         options.sequence, options.contexts},
                        y_gradient, x_gradient, context_gradient, gradient.block(), gradients, resources.execution());
}

}  // namespace linformer::inline LINFORMER_ABI
