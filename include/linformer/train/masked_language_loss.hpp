#pragma once

#include <linformer/model/masked_language_model.hpp>
#include <linformer/train/cross_entropy.hpp>
#include <linformer/train/token_masking.hpp>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// Calls loss(first, count) → LossSum for parts of the rows on all threads, and adds the sums in order.
template <class Loss>
[[nodiscard]] LossSum sum_of_parts(Index rows, const Execution& execution, const Loss& loss) {
  constexpr Index part = 16;
  auto& sums = execution.workspace.template kept<std::vector<LossSum>>();
  sums.resize(static_cast<std::size_t>((rows + part - 1) / part));
  execution.run(static_cast<Index>(sums.size()), [&](Index task, const Compute&) {
    sums[static_cast<std::size_t>(task)] = loss(task * part, std::min(part, rows - task * part));
  });
  LossSum sum;
  for (const LossSum& each : sums) sum += each;
  return sum;
}

/// The head's part of a training step where it reads some rows of the encoder's output.
/// @param hidden rows × D; @param read rows of it; @param hidden_gradient rows × D, to which theirs is added
/// @param loss as `MaskedLanguageModel::head_backward`'s, of these rows
template <Scalar T, class Loss>
void head_gradient_of_rows(const MaskedLanguageModel<T>& model, const ConstMatrixRef<T>& hidden,
                           std::span<const Index> read, MatrixRef<T> hidden_gradient, MaskedLanguageModel<T>& gradient,
                           const Loss& loss, const Execution& execution) {
  const Workspace::Scope scope(execution.workspace);
  const auto count = static_cast<Index>(read.size());
  auto chosen = execution.workspace.template matrix<T>(count, hidden.cols());
  auto chosen_gradient = execution.workspace.template matrix<T>(count, hidden.cols());
  gather_rows<T>(hidden, read, chosen);
  model.head_backward(chosen, chosen_gradient, gradient, loss, execution);
  for (Index i = 0; i < count; ++i) hidden_gradient.row(read[static_cast<std::size_t>(i)]) += chosen_gradient.row(i);
}

}  // namespace detail

/// Cross-entropy of a masked language model at the masked positions, the only ones for which logits are computed.
/// @param model trainable or frozen
/// @param layout of the batch; @param masked its tokens, of type 0, which are hidden and what they were
/// @param sequence processes that hold the other tokens of the same sequences, as `EncoderOptions::sequence`
/// @return sums over the masked positions of this batch; zero where nothing was masked
template <Scalar T, class Form>
[[nodiscard]] LossSum masked_language_loss(const MaskedLanguageModel<T, Form>& model, const BatchLayout& layout,
                                           const MaskedTokens& masked, const Execution& execution,
                                           const WorldView& sequence = {}) {
  const Workspace::Scope scope(execution.workspace);
  const TokenBatch tokens{layout, masked.ids};
  const Index width = model.encoder().config().model_width, count = static_cast<Index>(masked.rows.size());
  const RowSelection read(layout, masked.rows);
  auto chosen = execution.workspace.template matrix<T>(count, width);
  model.encoder().forward(tokens, chosen, {.read = &read, .sequence = sequence}, nullptr, execution);
  LossSum sum;
  constexpr Index tile = 192;  // rows of logits at a time
  for (Index first = 0; first < count; first += tile) {
    const Index rows = std::min(tile, count - first);
    sum += cross_entropy<T>(
        model.logits(chosen.middleRows(first, rows), execution),
        std::span(masked.labels).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(rows)));
  }
  return sum;
}

/// The same in training, and adds its gradient, times `scale`, to that of the model's weights.
/// @param options dropout and recomputation; @param cache memory used again by the next call
template <Scalar T>
LossSum masked_language_gradient(const MaskedLanguageModel<T>& model, const BatchLayout& layout,
                                 const MaskedTokens& masked, const EncoderOptions& options, double scale,
                                 EncoderCache<T>& cache, MaskedLanguageModel<T>& gradient, const Execution& execution) {
  const Workspace::Scope scope(execution.workspace);
  auto& tokens = execution.workspace.template kept<TokenBatch>();
  tokens.layout = layout;
  tokens.ids = masked.ids;
  const Index width = model.encoder().config().model_width;
  auto hidden = execution.workspace.template matrix<T>(layout.rows(), width);
  auto hidden_gradient = execution.workspace.template matrix<T>(layout.rows(), width);
  model.encoder().forward(tokens, hidden, options, &cache, execution);
  detail::zero_rows<T>(hidden_gradient, execution);
  LossSum sum;
  detail::head_gradient_of_rows<T>(
      model, hidden, masked.rows, hidden_gradient, gradient,
      [&](Index first, MatrixRef<T> logits) {
        sum += detail::sum_of_parts(logits.rows(), execution, [&](Index begin, Index rows) {
          const auto labels =
              std::span(masked.labels).subspan(static_cast<std::size_t>(first + begin), static_cast<std::size_t>(rows));
          return cross_entropy_gradient<T>(logits.middleRows(begin, rows), labels, scale);
        });
      },
      execution);
  model.encoder().backward(tokens, options, cache, hidden_gradient, gradient.encoder(), execution);
  return sum;
}

}  // namespace linformer::inline LINFORMER_ABI
