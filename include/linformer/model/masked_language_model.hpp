#pragma once

#include <linformer/model/encoder.hpp>

namespace linformer::inline LINFORMER_ABI {

/// An encoder with RoBERTa's masked-language-model head: dense, GELU, layer norm, and a decoder tied to the word
/// embeddings with a bias of its own.
template <Scalar T>
class MaskedLanguageModel {
 public:
  /// Weights of the head are drawn as the encoder's. @throws Error as `Encoder`
  MaskedLanguageModel(const EncoderConfig& config, std::uint64_t seed)
      : encoder_(config, seed),
        dense_(Linear<T>::zeros("lm_head.dense.weight", config.model_width, config.model_width, /*with_bias=*/true)),
        norm_(LayerNorm<T>::identity(config.model_width, config.layer_norm_epsilon)),
        bias_(Vector<T>::Zero(config.vocabulary_size)) {
    const auto values = std::span(dense_.weight.data(), static_cast<std::size_t>(dense_.weight.size()));
    fill_normal(values, RandomStream(seed).derive("lm_head.dense.weight"), T{0.02F});
  }

  [[nodiscard]] const Encoder<T>& encoder() const { return encoder_; }
  [[nodiscard]] Encoder<T>& encoder() { return encoder_; }

  /// Logits of some rows of the encoder's output. @param hidden m × D. @return m × V
  [[nodiscard]] Matrix<T> logits(const ConstMatrixRef<T>& hidden, const Execution& execution) const {
    const Workspace::Scope scope(execution.workspace);
    Head head(*this, hidden.rows(), execution);
    Matrix<T> result(hidden.rows(), bias_.size());
    head.forward(hidden, result);
    return result;
  }

  /// The head's part of a training step: gradients of the loss with respect to rows of the encoder's output and to the
  /// weights. Logits exist for a tile of rows at a time.
  /// @param hidden m × D; @param hidden_gradient m × D, written
  /// @param loss called as loss(first, logits) for rows [first, first + logits.rows()), in order: replaces logits by
  ///   the gradient of the loss with respect to them
  template <class Loss>
  void head_backward(const ConstMatrixRef<T>& hidden, MatrixRef<T> hidden_gradient, MaskedLanguageModel& gradient,
                     const Loss& loss, const Execution& execution) const {
    constexpr Index tile = 2 * detail::linear_tile;
    const Workspace::Scope scope(execution.workspace);
    Head head(*this, std::min(tile, hidden.rows()), execution);
    auto all_logits = execution.workspace.template matrix<T>(std::min(tile, hidden.rows()), bias_.size());
    for (Index first = 0; first < hidden.rows(); first += tile) {
      const Index count = std::min(tile, hidden.rows() - first);
      MatrixRef<T> logits = all_logits.topRows(count);
      head.forward(hidden.middleRows(first, count), logits);
      loss(first, logits);
      head.backward(hidden.middleRows(first, count), logits, hidden_gradient.middleRows(first, count), gradient);
    }
  }

  /// f(name, shape, values): the encoder's, then `lm_head.dense.weight`, `lm_head.layer_norm.weight`, `lm_head.bias`, …
  template <class Visitor>
  void for_each_parameter(Visitor&& visitor) {
    visit(*this, visitor);
  }
  template <class Visitor>
  void for_each_parameter(Visitor&& visitor) const {
    visit(*this, visitor);
  }

 private:
  /// The head on up to `rows` rows at a time.
  class Head {
   public:
    Head(const MaskedLanguageModel& model, Index rows, const Execution& execution)
        : model_(model),
          execution_(execution),
          decoder_(transposed<T>(model.encoder_.words().weight, execution.here())),
          inner_(matrix(rows)),
          active_(matrix(rows)),
          normal_(matrix(rows)),
          normal_gradient_(matrix(rows)),
          statistics_(execution.workspace.template kept<RowStatistics<T>>()) {}

    void forward(const ConstMatrixRef<T>& hidden, MatrixRef<T> logits) {
      const Index m = hidden.rows();
      linear_forward<T>(model_.dense_, hidden, inner_.topRows(m), execution_);
      detail::gelu_rows<T>(activation(), inner_.topRows(m), active_.topRows(m), execution_);
      model_.norm_.forward(active_.topRows(m), normal_.topRows(m), &statistics_, execution_);
      linear_forward<T>(decoder_, model_.bias_.data(), normal_.topRows(m), logits, execution_);
    }

    void backward(const ConstMatrixRef<T>& hidden, const ConstMatrixRef<T>& logits_gradient,
                  MatrixRef<T> hidden_gradient, MaskedLanguageModel& gradient) {
      const Index m = hidden.rows();
      MatrixRef<T> through = normal_gradient_.topRows(m);
      detail::zero_rows<T>(through, execution_);
      linear_input_backward<T>(model_.encoder_.words().weight, logits_gradient, through, execution_);
      linear_weight_backward<T>(normal_.topRows(m), logits_gradient, gradient.encoder_.words().weight,
                                gradient.bias_.data(), execution_);
      model_.norm_.backward(active_.topRows(m), statistics_, through, gradient.norm_, execution_);
      detail::gelu_gradient_rows<T>(activation(), inner_.topRows(m), through, execution_);
      detail::zero_rows<T>(hidden_gradient, execution_);
      linear_backward<T>(model_.dense_, hidden, through, hidden_gradient, gradient.dense_, execution_);
    }

   private:
    [[nodiscard]] Gelu activation() const { return model_.encoder_.config().activation; }
    [[nodiscard]] ScratchMatrix<T> matrix(Index rows) const {
      return execution_.workspace.template matrix<T>(rows, model_.dense_.weight.rows());
    }

    const MaskedLanguageModel& model_;
    const Execution& execution_;
    ScratchMatrix<T> decoder_, inner_, active_, normal_, normal_gradient_;
    RowStatistics<T>& statistics_;
  };

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& visitor) {
    self.encoder_.for_each_parameter(visitor);
    self.dense_.for_each_parameter("lm_head.dense", visitor);
    self.norm_.for_each_parameter("lm_head.layer_norm", visitor);
    detail::visit_vector("lm_head.bias", self.bias_, visitor);
  }

  Encoder<T> encoder_;
  Linear<T> dense_;
  LayerNorm<T> norm_;
  Vector<T> bias_;
};

}  // namespace linformer::inline LINFORMER_ABI
