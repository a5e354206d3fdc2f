#pragma once

#include <linformer/model/encoder.hpp>
#include <linformer/model/pool_tokens.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A vector of length 1 for each text, whose products are cosines: the mean of an encoder's output over the text's
/// tokens, divided by its length (Reimers and Gurevych 2019, arXiv 1908.10084). Zero for a text without tokens.
/// @param sequence processes that hold the other tokens of the same texts, as `EncoderOptions::sequence`
/// @return sequences × D. @throws Error as `Encoder::forward`
template <Scalar T, class Form>
[[nodiscard]] Matrix<T> sentence_embeddings(const Encoder<T, Form>& encoder, const TokenBatch& tokens,
                                            const Execution& execution, const WorldView& sequence = {}) {
  const Workspace::Scope scope(execution.workspace);
  auto hidden = execution.workspace.template matrix<T>(tokens.layout.rows(), encoder.config().model_width);
  encoder.forward(tokens, hidden, {.sequence = sequence}, nullptr, execution);
  Matrix<T> result;
  Vector<T> counts;
  pool_tokens<T>(Pooling::mean, hidden, tokens.layout, sequence, result, counts, execution.workspace);
  for (Index b = 0; b < result.rows(); ++b) result.row(b).normalize();  // leaves zero as it is
  return result;
}

}  // namespace linformer::inline LINFORMER_ABI
