#pragma once

#include <linformer/model/encoder.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A vector of length 1 for each text, whose products are cosines: the mean of an encoder's output over the text's
/// tokens, divided by its length (Reimers and Gurevych 2019, arXiv 1908.10084). Zero for a text without tokens.
/// @param hidden the output, a row for each token of the layout × D. @return sequences × D
template <Scalar T>
[[nodiscard]] Matrix<T> sentence_embeddings(const ConstMatrixRef<T>& hidden, const BatchLayout& layout) {
  Matrix<T> result = Matrix<T>::Zero(layout.sequences(), hidden.cols());
  for (Index b = 0; b < result.rows(); ++b) {
    result.row(b) = hidden.middleRows(layout.offset(b), layout.length(b)).colwise().sum();
    result.row(b) /= static_cast<T>(std::max(layout.length(b), Index{1}));
    result.row(b).normalize();  // leaves zero as it is
  }
  return result;
}

/// The same of tokens. @throws Error as `Encoder::forward`
template <Scalar T, class Form>
[[nodiscard]] Matrix<T> sentence_embeddings(const Encoder<T, Form>& encoder, const TokenBatch& tokens,
                                            const Execution& execution) {
  const Workspace::Scope scope(execution.workspace);
  auto hidden = execution.workspace.template matrix<T>(tokens.layout.rows(), encoder.config().model_width);
  encoder.forward(tokens, hidden, {}, nullptr, execution);
  return sentence_embeddings<T>(hidden, tokens.layout);
}

}  // namespace linformer::inline LINFORMER_ABI
