#pragma once

#include <linformer/model/encoder.hpp>
#include <linformer/model/pool_tokens.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A vector of length 1 for each text, whose products are cosines: the mean of an encoder's output over the text's
/// tokens, divided by its length (Reimers and Gurevych 2019, arXiv 1908.10084). Zero for a text without tokens.
/// @param hidden the output, a row for each token of the layout × D
/// @param sequence processes that hold the other tokens of the same texts, as `EncoderOptions::sequence`
/// @return sequences × D
template <Scalar T>
[[nodiscard]] Matrix<T> sentence_embeddings(const ConstMatrixRef<T>& hidden, const BatchLayout& layout,
                                            Workspace& workspace, const WorldView& sequence = {}) {
  Matrix<T> result;
  Vector<T> counts;
  pool_tokens<T>(Pooling::mean, hidden, layout, sequence, result, counts, workspace);
  for (Index b = 0; b < result.rows(); ++b) result.row(b).normalize();  // leaves zero as it is
  return result;
}

/// The same of tokens. @throws Error as `Encoder::forward`
template <Scalar T, class Form>
[[nodiscard]] Matrix<T> sentence_embeddings(const Encoder<T, Form>& encoder, const TokenBatch& tokens,
                                            const Execution& execution, const WorldView& sequence = {}) {
  const Workspace::Scope scope(execution.workspace);
  auto hidden = execution.workspace.template matrix<T>(tokens.layout.rows(), encoder.config().model_width);
  encoder.forward(tokens, hidden, {.sequence = sequence}, nullptr, execution);
  return sentence_embeddings<T>(hidden, tokens.layout, execution.workspace, sequence);
}

}  // namespace linformer::inline LINFORMER_ABI
