#pragma once

#include <linformer/model/encoder.hpp>
#include <linformer/model/pool_tokens.hpp>

namespace linformer::inline LINFORMER_ABI {

/// An encoder with RoBERTa's classification head: pooled vector, dropout, dense, tanh, dropout, linear. Const calls
/// with workspaces of their own may run at the same time. Where several processes hold parts of the sequences
/// (`EncoderOptions::sequence`) pooled vectors are summed over them, and each gets the same logits.
/// @tparam Form `Trainable`; `Frozen` makes it a `FrozenSequenceClassifier`
template <Scalar T, class Form = Trainable>
class SequenceClassifier {
 public:
  /// What forward keeps of the head, sequences × D: after dropout, after tanh, after dropout.
  struct HeadCache {
    Matrix<T> pooled, dense, dropped;
    Vector<T> tokens;  ///< as `pool_tokens` tells them
  };
  /// What forward keeps for backward.
  struct Cache {
    EncoderCache<T> encoder;
    HeadCache head;
  };

  /// Weights of the head are drawn as the encoder's. @param held as `Encoder`'s. @throws Error as `Encoder`
  SequenceClassifier(const EncoderConfig& config, Index classes, Pooling pooling, std::uint64_t seed,
                     std::optional<Part> held = {}) requires(Form::trainable)
      : encoder_(config, seed, held),
        pooling_(pooling),
        classes_(classes),
        dense_(Linear<T>::zeros("classifier.dense.weight", config.model_width, config.model_width, /*with_bias=*/true)),
        output_(Linear<T>::zeros("classifier.out_proj.weight", classes, config.model_width, /*with_bias=*/true)) {
    detail::require_config(classes >= 1, "classes", "at least 1", classes);
    for (auto* linear : {&dense_, &output_}) {
      fill_normal(
          std::span(linear->weight.data(), static_cast<std::size_t>(linear->weight.size())),
          RandomStream(seed).derive(linear == &dense_ ? "classifier.dense.weight" : "classifier.out_proj.weight"),
          T{0.02F});
    }
  }

  /// The same classifier for inference alone, as `Encoder::frozen`.
  [[nodiscard]] SequenceClassifier<T, Frozen> frozen(Precision precision = Precision::full) const
      requires(Form::trainable) {
    return SequenceClassifier<T, Frozen>(encoder_.frozen(precision), pooling_, classes(),
                                         FrozenLinear<T>(dense_, precision), FrozenLinear<T>(output_, precision));
  }

  [[nodiscard]] const Encoder<T, Form>& encoder() const { return encoder_; }
  [[nodiscard]] Encoder<T>& encoder() requires(Form::trainable) { return encoder_; }
  /// As `Encoder`'s.
  [[nodiscard]] std::vector<std::string> partial_parameters() const { return encoder_.partial_parameters(); }
  [[nodiscard]] Index classes() const { return classes_; }
  [[nodiscard]] Pooling pooling() const { return pooling_; }

  /// Logits of each sequence, in inference. @return sequences × classes
  [[nodiscard]] Matrix<T> operator()(const TokenBatch& tokens, const Execution& execution) const {
    return forward(tokens, {}, nullptr, execution);
  }

  /// Logits of each sequence. @param cache what backward needs; null for inference. @return sequences × classes
  [[nodiscard]] Matrix<T> forward(const TokenBatch& tokens, const EncoderOptions& options, Cache* cache,
                                  const Execution& execution) const {
    Matrix<T> logits(tokens.layout.sequences(), classes_);
    forward(tokens, logits, options, cache, execution);
    return logits;
  }

  /// The same, into caller's memory. In inference of a classifier that reads the first token, the last layer is
  /// computed for first tokens alone. @param options rows to be read aside. @param logits sequences × classes
  void forward(const TokenBatch& tokens, MatrixRef<T> logits, EncoderOptions options, Cache* cache,
               const Execution& given) const {
    const Workspace::Scope scope(given.workspace);
    const Execution execution{given.pool, given.workspace, given.isa, encoder_.precision()};
    const Index sequences = tokens.layout.sequences(), width = encoder_.config().model_width;
    detail::require_shape("logits", logits.rows(), logits.cols(), sequences, classes_);
    auto& first_tokens = execution.workspace.template kept<RowSelection>();
    options.read = nullptr;
    if (cache == nullptr && pooling_ == Pooling::first_token) {
      first_tokens.assign_first_tokens(tokens.layout);
      options.read = &first_tokens;
    }
    const BatchLayout& layout = options.read != nullptr ? first_tokens.layout() : tokens.layout;
    auto hidden = execution.workspace.template matrix<T>(layout.rows(), width);
    encoder_.forward(tokens, hidden, options, cache != nullptr ? &cache->encoder : nullptr, execution);
    auto& [pooled, dense, dropped, count] =
        cache != nullptr ? cache->head : execution.workspace.template kept<HeadCache>();
    for (Matrix<T>* matrix : {&dense, &dropped}) detail::resize(*matrix, sequences, width);
    pool_tokens<T>(pooling_, hidden, layout, options.sequence, pooled, count, execution.workspace);
    drop(options, 0, pooled);
    linear_forward<T>(dense_, pooled, dense, execution);
    dense = dense.array().tanh().matrix();
    dropped = dense;
    drop(options, 1, dropped);
    linear_forward<T>(output_, dropped, logits, execution);
  }

  /// Adds to the gradients of all weights. @param options as forward had them
  /// @param logits_gradient sequences × classes; the same in every process of `options.sequence`
  void backward(const TokenBatch& tokens, const EncoderOptions& options, Cache& cache,
                const ConstMatrixRef<T>& logits_gradient, SequenceClassifier& gradient,
                const Execution& execution) const requires(Form::trainable) {
    const Workspace::Scope scope(execution.workspace);
    const Index sequences = tokens.layout.sequences(), width = encoder_.config().model_width;
    auto through = execution.workspace.template matrix<T>(sequences, width);
    auto pooled = execution.workspace.template matrix<T>(sequences, width);
    // Every process computes the head; the first adds to its gradients, so that they add up over processes.
    const bool adds = options.sequence.rank() == 0;
    const auto backward = [&](const Linear<T>& linear, const Matrix<T>& x, const ConstMatrixRef<T>& y_gradient,
                              MatrixRef<T> x_gradient, Linear<T>& to_linear) {
      linear_input_backward<T>(linear.weight, y_gradient, x_gradient, execution);
      if (adds) linear_weight_backward<T>(x, y_gradient, to_linear, execution);
    };
    backward(output_, cache.head.dropped, logits_gradient, through, gradient.output_);
    drop(options, 1, through);
    through.array() *= 1 - cache.head.dense.array().square();
    backward(dense_, cache.head.pooled, through, pooled, gradient.dense_);
    drop(options, 0, pooled);
    auto hidden = execution.workspace.template matrix<T>(tokens.layout.rows(), width);
    detail::zero_rows<T>(hidden, execution);
    for (Index b = 0; b < sequences; ++b) {
      auto rows = hidden.middleRows(tokens.layout.offset(b), tokens.layout.length(b));
      const T count = cache.head.tokens(b);
      if (rows.rows() == 0 || count == 0) continue;
      if (pooling_ == Pooling::first_token) {
        rows.row(0) = pooled.row(b);
      } else {
        pooled.row(b) /= count;
        rows.rowwise() = pooled.row(b);
      }
    }
    encoder_.backward(tokens, options, cache.encoder, hidden, gradient.encoder_, execution);
  }

  /// f(name, shape, values): the encoder's, then `classifier.dense.weight`, …, `classifier.out_proj.bias`.
  void for_each_parameter(const ParameterVisitor<T>& visitor) requires(Form::trainable) { visit(*this, visitor); }
  void for_each_parameter(const ParameterVisitor<const T>& visitor) const requires(Form::trainable) {
    visit(*this, visitor);
  }

  /// As `Encoder`'s: the head's are complete before the encoder's.
  template <class F>
  void for_each_completed_parameter(const F& f) const requires(Form::trainable) {
    const auto tell = [&](const std::string& name, Shape, auto) { f(encoder_.layers().size() - 1, name); };
    visit_head(*this, ParameterVisitor<const T>(tell));
    encoder_.for_each_completed_parameter(f);
  }

 private:
  friend class SequenceClassifier<T, Trainable>;
  using Dense = typename Form::template Dense<T>;

  SequenceClassifier(Encoder<T, Form> encoder, Pooling pooling, Index classes, Dense dense, Dense output)
      : encoder_(std::move(encoder)),
        pooling_(pooling),
        classes_(classes),
        dense_(std::move(dense)),
        output_(std::move(output)) {}

  /// One row a sequence; the sites of these draws follow the encoder's.
  void drop(const EncoderOptions& options, std::uint64_t which, MatrixRef<T> rows) const {
    const double rate = encoder_.config().dropout;
    if (!options.dropout || rate == 0) return;
    DropoutAddress address = *options.dropout;
    address.site += encoder_.dropout_sites() + which;
    for (Index b = 0; b < rows.rows(); ++b) {
      HeadDropout<T>(address, static_cast<std::uint64_t>(b), 0, rate)
          .apply(
              {0, 1, nullptr}, [](Index j) { return j; }, rows.row(b));
    }
  }

  template <class Self, class Value>
  static void visit(Self& self, const ParameterVisitor<Value>& visitor) {
    self.encoder_.for_each_parameter(visitor);
    visit_head(self, visitor);
  }
  template <class Self, class Value>
  static void visit_head(Self& self, const ParameterVisitor<Value>& visitor) {
    self.dense_.for_each_parameter("classifier.dense", visitor);
    self.output_.for_each_parameter("classifier.out_proj", visitor);
  }

  Encoder<T, Form> encoder_;
  Pooling pooling_;
  Index classes_;
  Dense dense_, output_;
};

/// A classifier for inference alone, made by `SequenceClassifier::frozen`.
template <Scalar T>
using FrozenSequenceClassifier = SequenceClassifier<T, Frozen>;

}  // namespace linformer::inline LINFORMER_ABI
