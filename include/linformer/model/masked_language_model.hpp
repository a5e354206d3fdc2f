#pragma once

#include <linformer/model/encoder.hpp>

namespace linformer::inline LINFORMER_ABI {

/// An encoder with RoBERTa's masked-language-model head: dense, GELU, layer norm, and a decoder tied to the word
/// embeddings with a bias of its own. Const calls with workspaces of their own may run at the same time.
/// @tparam Form `Trainable`; `Frozen` makes it a `FrozenMaskedLanguageModel`
template <Scalar T, class Form = Trainable>
class MaskedLanguageModel {
 public:
  /// Weights of the head are drawn as the encoder's. @param held as `Encoder`'s. @throws Error as `Encoder`
  MaskedLanguageModel(const EncoderConfig& config, std::uint64_t seed,
                      std::optional<Part> held = {}) requires(Form::trainable)
      : encoder_(config, seed, held),
        dense_(Linear<T>::zeros("lm_head.dense.weight", config.model_width, config.model_width, /*with_bias=*/true)),
        norm_(LayerNorm<T>::identity(config.model_width, config.layer_norm_epsilon)),
        decoder_(Vector<T>::Zero(config.vocabulary_size)) {
    const auto values = std::span(dense_.weight.data(), static_cast<std::size_t>(dense_.weight.size()));
    fill_normal(values, RandomStream(seed).derive("lm_head.dense.weight"), T{0.02F});
  }

  /// The same model for inference alone, as `Encoder::frozen`.
  [[nodiscard]] MaskedLanguageModel<T, Frozen> frozen(Precision precision = Precision::full) const
      requires(Form::trainable) {
    return MaskedLanguageModel<T, Frozen>(encoder_.frozen(precision), FrozenLinear<T>(dense_, precision), norm_,
                                          FrozenLinear<T>(encoder_.words().weight, decoder_, precision));
  }

  [[nodiscard]] const Encoder<T, Form>& encoder() const { return encoder_; }
  [[nodiscard]] Encoder<T>& encoder() requires(Form::trainable) { return encoder_; }
  /// As `Encoder`'s.
  [[nodiscard]] std::vector<std::string> partial_parameters() const { return encoder_.partial_parameters(); }

  /// Logits of the tokens that are read, in inference: the last layer and the head are computed for these alone.
  /// @return a row for each, × V
  [[nodiscard]] Matrix<T> operator()(const TokenBatch& tokens, const RowSelection& read,
                                     const Execution& execution) const {
    Matrix<T> result(read.size(), encoder_.config().vocabulary_size);
    forward(tokens, read, result, execution);
    return result;
  }

  /// The same, into caller's memory. @param logits a row for each, × V. @throws Error as `Encoder::forward`
  void forward(const TokenBatch& tokens, const RowSelection& read, MatrixRef<T> logits,
               const Execution& execution) const {
    const Workspace::Scope scope(execution.workspace);
    auto hidden = execution.workspace.template matrix<T>(read.size(), encoder_.config().model_width);
    encoder_.forward(tokens, hidden, {.read = &read}, nullptr, execution);
    logits_into(hidden, logits, execution);
  }

  /// Logits of some rows of the encoder's output. @param hidden m × D. @return m × V
  [[nodiscard]] Matrix<T> logits(const ConstMatrixRef<T>& hidden, const Execution& execution) const {
    Matrix<T> result(hidden.rows(), encoder_.config().vocabulary_size);
    logits_into(hidden, result, execution);
    return result;
  }

  /// The same, into caller's memory. @param logits m × V
  void logits_into(const ConstMatrixRef<T>& hidden, MatrixRef<T> logits, const Execution& execution) const {
    detail::require_shape("logits", logits.rows(), logits.cols(), hidden.rows(), encoder_.config().vocabulary_size);
    const Workspace::Scope scope(execution.workspace);
    Head head(*this, hidden.rows(), /*statistics=*/nullptr, execution);
    head.forward(hidden, logits);
  }

  /// The head's part of a training step: gradients of the loss with respect to rows of the encoder's output and to the
  /// weights. Logits exist for a tile of rows at a time.
  /// @param hidden m × D; @param hidden_gradient m × D, written
  /// @param loss called as loss(first, logits) for rows [first, first + logits.rows()), in order: replaces logits by
  ///   the gradient of the loss with respect to them
  template <class Loss>
  void head_backward(const ConstMatrixRef<T>& hidden, MatrixRef<T> hidden_gradient, MaskedLanguageModel& gradient,
                     const Loss& loss, const Execution& execution) const requires(Form::trainable) {
    constexpr Index tile = 2 * detail::linear_tile;
    const Workspace::Scope scope(execution.workspace);
    auto& statistics = execution.workspace.template kept<RowStatistics<T>>();
    Head head(*this, std::min(tile, hidden.rows()), &statistics, execution);
    auto all_logits =
        execution.workspace.template matrix<T>(std::min(tile, hidden.rows()), encoder_.config().vocabulary_size);
    for (Index first = 0; first < hidden.rows(); first += tile) {
      const Index count = std::min(tile, hidden.rows() - first);
      MatrixRef<T> logits = all_logits.topRows(count);
      head.forward(hidden.middleRows(first, count), logits);
      loss(first, logits);
      head.backward(hidden.middleRows(first, count), logits, hidden_gradient.middleRows(first, count), gradient);
    }
  }

  /// f(name, shape, values): the encoder's, then `lm_head.dense.weight`, `lm_head.layer_norm.weight`, `lm_head.bias`, …
  void for_each_parameter(const ParameterVisitor<T>& visitor) requires(Form::trainable) { visit(*this, visitor); }
  void for_each_parameter(const ParameterVisitor<const T>& visitor) const requires(Form::trainable) {
    visit(*this, visitor);
  }

  /// As `Encoder`'s: the head's are complete before the encoder's, but for the decoder's weights, its table of words.
  template <class F>
  void for_each_completed_parameter(const F& f) const requires(Form::trainable) {
    const auto tell = [&](const std::string& name, Shape, auto) { f(encoder_.layers().size() - 1, name); };
    visit_head(*this, ParameterVisitor<const T>(tell));
    encoder_.for_each_completed_parameter(f);
  }

 private:
  friend class MaskedLanguageModel<T, Trainable>;
  using Dense = typename Form::template Dense<T>;
  using Decoder = typename Form::template TiedDecoder<T>;

  MaskedLanguageModel(Encoder<T, Form> encoder, Dense dense, LayerNorm<T> norm, Decoder decoder)
      : encoder_(std::move(encoder)), dense_(std::move(dense)), norm_(std::move(norm)), decoder_(std::move(decoder)) {}

  [[nodiscard]] TransposedLinear<T> decoder(const Compute& compute) const {
    if constexpr (Form::trainable) {
      return {transposed<T>(encoder_.words().weight, compute), decoder_.data()};
    } else {
      return decoder_.view();
    }
  }

  /// The head on up to `rows` rows at a time.
  class Head {
   public:
    /// @param statistics what backward needs; null for inference
    Head(const MaskedLanguageModel& model, Index rows, RowStatistics<T>* statistics, const Execution& execution)
        : model_(model),
          statistics_(statistics),
          execution_{execution.pool, execution.workspace, execution.isa, model.encoder_.precision()},
          decoder_(model.decoder(execution_.here())),
          inner_(matrix(rows)),
          active_(matrix(rows)),
          normal_(matrix(rows)),
          normal_gradient_(matrix(statistics != nullptr ? rows : 0)) {}

    void forward(const ConstMatrixRef<T>& hidden, MatrixRef<T> logits) {
      const Index m = hidden.rows();
      linear_forward<T>(model_.dense_, hidden, inner_.topRows(m), execution_);
      detail::gelu_rows<T>(activation(), inner_.topRows(m), active_.topRows(m), execution_);
      model_.norm_.forward(active_.topRows(m), normal_.topRows(m), statistics_, execution_);
      linear_forward<T>(decoder_, normal_.topRows(m), logits, execution_);
    }

    void backward(const ConstMatrixRef<T>& hidden, const ConstMatrixRef<T>& logits_gradient,
                  MatrixRef<T> hidden_gradient, MaskedLanguageModel& gradient) requires(Form::trainable) {
      const Index m = hidden.rows();
      MatrixRef<T> through = normal_gradient_.topRows(m);
      linear_input_backward<T>(model_.encoder_.words().weight, logits_gradient, through, execution_);
      linear_weight_backward<T>(normal_.topRows(m), logits_gradient, gradient.encoder_.words().weight,
                                gradient.decoder_.data(), execution_);
      model_.norm_.backward(active_.topRows(m), *statistics_, through, gradient.norm_, execution_);
      detail::gelu_gradient_rows<T>(activation(), inner_.topRows(m), through, execution_);
      linear_input_backward<T>(model_.dense_.weight, through, hidden_gradient, execution_);
      linear_weight_backward<T>(hidden, through, gradient.dense_, execution_);
    }

   private:
    [[nodiscard]] Gelu activation() const { return model_.encoder_.config().activation; }
    [[nodiscard]] ScratchMatrix<T> matrix(Index rows) const {
      return execution_.workspace.template matrix<T>(rows, model_.encoder_.config().model_width);
    }

    const MaskedLanguageModel& model_;
    RowStatistics<T>* statistics_;
    Execution execution_;
    TransposedLinear<T> decoder_;
    ScratchMatrix<T> inner_, active_, normal_, normal_gradient_;
  };

  template <class Self, class Value>
  static void visit(Self& self, const ParameterVisitor<Value>& visitor) {
    self.encoder_.for_each_parameter(visitor);
    visit_head(self, visitor);
  }
  template <class Self, class Value>
  static void visit_head(Self& self, const ParameterVisitor<Value>& visitor) {
    self.dense_.for_each_parameter("lm_head.dense", visitor);
    self.norm_.for_each_parameter("lm_head.layer_norm", visitor);
    detail::visit_vector("lm_head.bias", self.decoder_, visitor);
  }

  Encoder<T, Form> encoder_;
  Dense dense_;
  LayerNorm<T> norm_;
  Decoder decoder_;
};

/// A masked language model for inference alone, made by `MaskedLanguageModel::frozen`.
template <Scalar T>
using FrozenMaskedLanguageModel = MaskedLanguageModel<T, Frozen>;

}  // namespace linformer::inline LINFORMER_ABI
