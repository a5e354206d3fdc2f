#pragma once

#include <linformer/model/config.hpp>
#include <linformer/model/sinusoidal_positions.hpp>
#include <linformer/model/token_batch.hpp>
#include <linformer/nn/embedding.hpp>
#include <linformer/parallel/part.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What an encoder makes of tokens before its first layer and its norm: the sum of a vector for the word, one for the
/// token's type where there are types (Devlin et al. 2019, arXiv 1810.04805, Figure 2), and one for the position.
template <Scalar T>
struct TokenEmbeddings {
  Embedding<T> words;      ///< V × D
  Embedding<T> types;      ///< token_types × D, empty for none
  Embedding<T> positions;  ///< of the positions held × D, empty unless they are learned
  Matrix<T> sinusoids;     ///< the same, empty unless positions are sinusoidal
  Index first = 0;         ///< of the positions held

  TokenEmbeddings() = default;
  /// Tables of zeros. @param config resolved; @param held positions that have a row
  TokenEmbeddings(const EncoderConfig& config, Part held)
      : words{Matrix<T>::Zero(config.vocabulary_size, config.model_width)},
        types{Matrix<T>::Zero(config.token_types, config.model_width)},
        positions{Matrix<T>::Zero(config.positions == PositionKind::learned ? held.size() : 0, config.model_width)},
        first(held.begin) {
    if (config.positions == PositionKind::sinusoidal) {
      sinusoids = sinusoidal_positions<T>(held, config.model_width);
    }
  }

  /// @param tokens valid; @param out rows × D
  void forward(const TokenBatch& tokens, MatrixRef<T> out, const Execution& execution) const {
    execution.run(tokens.layout.sequences(), [&](Index b, const Compute&) {
      const Positions its_positions = tokens.layout.positions(b);
      const Index offset = tokens.layout.offset(b);
      for (Index i = 0; i < its_positions.count; ++i) {
        auto row = out.row(offset + i);
        row = words.weight.row(tokens.ids[static_cast<std::size_t>(offset + i)]);
        if (types.weight.rows() > 0) row += types.weight.row(tokens.type(offset + i));
        if (positions.weight.rows() > 0) row += positions.weight.row(its_positions[i] - first);
        if (sinusoids.rows() > 0) row += sinusoids.row(its_positions[i] - first);
      }
    });
  }

  /// Adds to the gradients of the tables. @param out_gradient rows × D
  void backward(const TokenBatch& tokens, const ConstMatrixRef<T>& out_gradient, TokenEmbeddings& gradient,
                const Execution& execution) const {
    gradient.words.accumulate(
        out_gradient, [&](Index row) { return Index{tokens.ids[static_cast<std::size_t>(row)]}; }, execution);
    if (types.weight.rows() > 0) {
      gradient.types.accumulate(
          out_gradient, [&](Index row) { return tokens.type(row); }, execution);
    }
    if (positions.weight.rows() == 0) return;
    for (Index b = 0; b < tokens.layout.sequences(); ++b) {
      const Positions its_positions = tokens.layout.positions(b);
      gradient.positions.accumulate(
          out_gradient.middleRows(tokens.layout.offset(b), tokens.layout.length(b)),
          [&](Index row) { return its_positions[row] - first; }, execution);
    }
  }

  void for_each_parameter(const ParameterName& name, const ParameterVisitor<T>& visitor) {
    visit(*this, name, visitor);
  }
  void for_each_parameter(const ParameterName& name, const ParameterVisitor<const T>& visitor) const {
    visit(*this, name, visitor);
  }

 private:
  template <class Self, class Value>
  static void visit(Self& self, const ParameterName& name, const ParameterVisitor<Value>& visitor) {
    self.words.for_each_parameter(name + ".word_embeddings", visitor);
    self.positions.for_each_parameter(name + ".position_embeddings", visitor);
    self.types.for_each_parameter(name + ".token_type_embeddings", visitor);
  }
};

}  // namespace linformer::inline LINFORMER_ABI
