#pragma once

#include <linformer/model/embeddings.hpp>
#include <linformer/model/encoder_layer.hpp>

#include <functional>

namespace linformer::inline LINFORMER_ABI {

/// A RoBERTa-style encoder over ragged batches of tokens. Its E and F belong to one `ProjectionSet`. Const calls with
/// workspaces of their own may run at the same time.
/// @tparam Form `Trainable`; `Frozen` makes it a `FrozenEncoder`
template <Scalar T, class Form = Trainable>
class Encoder {
 public:
  /// Weights are drawn N(0, 0.02²) as RoBERTa's, biases are zero; E and F as `ProjectionSet` draws them.
  /// @param held positions of the tokens that calls may have, none for all: of a process that holds a part of each
  ///   sequence. It keeps no other column of E and F, nor other rows of a table of positions; what it keeps is the
  ///   same.
  /// @throws Error invalid_configuration, size_overflow or unsupported
  Encoder(const EncoderConfig& config, std::uint64_t seed, std::optional<Part> held = {}) requires(Form::trainable)
      : config_(resolved(config)),
        held_(detail::part_or_all("held", held, config_.sequence_length)),
        embeddings_(config_, held_),
        embedding_norm_(LayerNorm<T>::identity(config_.model_width, config_.layer_norm_epsilon)),
        final_norm_(embedding_norm_) {
    const RandomStream stream(seed);
    for (Index layer = 0; layer < config_.layers; ++layer) layers_.emplace_back(config_, seed);
    if (config_.mechanism == Mechanism::linformer) {
      ProjectionSetConfig set = projection_set_config(config_);
      set.held = held_;
      projections_ = ProjectionSet<T>(set, seed);
    }
    const auto draw = [&](const std::string& name, Shape shape, std::span<T> values) {
      if (shape.size() != 2) return;
      fill_normal(values, stream.derive(name), T{0.02F}, name == position_table ? held_.begin * shape[1] : 0);
    };
    visit_own(*this, ParameterVisitor<T>(draw));
  }

  /// The same encoder for inference alone: weights of products lie as products read them, in full precision or rounded
  /// to bfloat16, and never change, so that any number of threads may share it. Later changes of this one do not reach
  /// it. In full precision it gives the same bits on the vector paths.
  /// @throws Error unsupported for bf16 of another scalar than `float` or an odd head width
  [[nodiscard]] Encoder<T, Frozen> frozen(Precision precision = Precision::full) const requires(Form::trainable) {
    Encoder<T, Frozen> result;
    result.config_ = config_;
    result.held_ = held_;
    result.embeddings_ = embeddings_;
    result.embedding_norm_ = embedding_norm_;
    result.final_norm_ = final_norm_;
    for (const EncoderLayer<T>& layer : layers_) result.layers_.push_back(layer.frozen(precision));
    result.projections_ = projections_.frozen(precision);
    return result;
  }

  /// The configuration with its defaults filled in.
  [[nodiscard]] const EncoderConfig& config() const { return config_; }
  /// Positions of the tokens that calls may have.
  [[nodiscard]] Part held() const { return held_; }
  /// Names of the parameters of which a part is held, if any: their gradients are complete where other processes hold
  /// the other tokens of the same sequences.
  [[nodiscard]] std::vector<std::string> partial_parameters() const {
    std::vector<std::string> names = projections_.partial_parameters();
    if (config_.positions == PositionKind::learned && held_.size() != config_.sequence_length) {
      names.emplace_back(position_table);
    }
    return names;
  }
  /// What products are computed in.
  [[nodiscard]] Precision precision() const { return layers_.front().attention().weights().precision(); }
  [[nodiscard]] const ProjectionSet<T>& projections() const { return projections_; }
  [[nodiscard]] ProjectionSet<T>& projections() requires(Form::trainable) { return projections_; }
  [[nodiscard]] const std::vector<EncoderLayer<T, Form>>& layers() const { return layers_; }
  /// The table of word embeddings, V × D, for heads that tie their decoder to it.
  [[nodiscard]] const Embedding<T>& words() const { return embeddings_.words; }
  [[nodiscard]] Embedding<T>& words() requires(Form::trainable) { return embeddings_.words; }

  /// Addresses of draws that the encoder takes: a head's begin here.
  [[nodiscard]] std::uint64_t dropout_sites() const { return layer_site(layers_.size()); }

  /// The last layer's output for each token, in inference. @return rows × D
  [[nodiscard]] Matrix<T> operator()(const TokenBatch& tokens, const Execution& execution) const {
    Matrix<T> out(tokens.layout.rows(), config_.model_width);
    forward(tokens, out, {}, nullptr, execution);
    return out;
  }

  /// The same for the rows that are read. @return a row for each, × D
  [[nodiscard]] Matrix<T> operator()(const TokenBatch& tokens, const RowSelection& read,
                                     const Execution& execution) const {
    Matrix<T> out(read.size(), config_.model_width);
    forward(tokens, out, {.read = &read}, nullptr, execution);
    return out;
  }

  /// @param out a row for each token, or for each that is read, × D
  /// @param cache what backward needs; null for inference
  /// @throws Error shape_mismatch, sequence_too_long; out_of_range for an id beyond the vocabulary or a type beyond
  ///   theirs, or a position that is not held; unsupported for a cache beside rows to be read, training of a frozen
  ///   encoder, or softmax attention over several processes
  void forward(const TokenBatch& tokens, MatrixRef<T> out, const EncoderOptions& options, EncoderCache<T>* cache,
               const Execution& execution) const {
    check(tokens, options, cache != nullptr);
    const RowSelection* const read = options.read;
    detail::require_shape("output", out.rows(), out.cols(), read != nullptr ? read->size() : tokens.layout.rows(),
                          config_.model_width);
    const Workspace::Scope scope(execution.workspace);
    const EncoderCall call{tokens.layout, options.dropout, options.sequence};
    // All rows go through every layer but the last, whose output has those that are read.
    auto all = execution.workspace.template matrix<T>(read != nullptr ? tokens.layout.rows() : 0, config_.model_width);
    MatrixRef<T> x = read != nullptr ? MatrixRef<T>(all) : out;
    embeddings_.forward(tokens, x, execution);
    if (cache != nullptr) copy(x, cache->embedding_sum, execution);
    embedding_norm_.forward(x, x, cache != nullptr ? &cache->embedding_statistics : nullptr, execution);
    detail::apply_dropout<T>(call, embedding_site(), config_.dropout, x, execution);
    if (cache != nullptr) {
      const std::size_t kept = options.recompute ? 1 : layers_.size();
      cache->layers.resize(kept);
      cache->inputs.resize(options.recompute ? layers_.size() : 0);
    }
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      if (cache != nullptr && options.recompute) copy(x, cache->inputs[layer], execution);
      const bool last = layer + 1 == layers_.size();
      layers_[layer].forward(layer_projections(layer, execution), call, layer_site(layer), x, last ? read : nullptr,
                             last ? out : x, cache != nullptr && !options.recompute ? &cache->layers[layer] : nullptr,
                             execution);
    }
    if (!config_.pre_norm) return;
    if (cache != nullptr) copy(out, cache->final_input, execution);
    final_norm_.forward(out, out, cache != nullptr ? &cache->final_statistics : nullptr, execution);
  }

  /// Adds to the gradients of all weights. @param options as forward had them
  /// @param out_gradient rows × D: the gradient of forward's output; used up
  /// @param on_layer_input where there is one, called as on_layer_input(l, gradient) for each layer from the last to
  ///   the first with the gradient of its input, to which it may add what a loss asks of that besides
  void backward(const TokenBatch& tokens, const EncoderOptions& options, EncoderCache<T>& cache,
                MatrixRef<T> out_gradient, Encoder& gradient, const Execution& execution,
                const std::function<void(std::size_t layer, MatrixRef<T>)>& on_layer_input = {}) const
      requires(Form::trainable) {
    check(tokens, options, /*training=*/true);
    detail::require_shape("output gradient", out_gradient.rows(), out_gradient.cols(), tokens.layout.rows(),
                          config_.model_width);
    const Workspace::Scope scope(execution.workspace);
    const EncoderCall call{tokens.layout, options.dropout, options.sequence};
    if (config_.pre_norm) {
      final_norm_.backward(cache.final_input.block(), cache.final_statistics, out_gradient, gradient.final_norm_,
                           execution);
    }
    for (std::size_t layer = layers_.size(); layer-- > 0;) {
      const LayerProjections<T>& projections = layer_projections(layer, execution);
      EncoderLayerCache<T>& its = cache.layers[options.recompute ? 0 : layer];
      if (options.recompute) {
        const Workspace::Scope again(execution.workspace);
        auto x = execution.workspace.template matrix<T>(out_gradient.rows(), out_gradient.cols());
        detail::copy_rows<T>(cache.inputs[layer].block(), x, execution);
        layers_[layer].forward(projections, call, layer_site(layer), x, nullptr, x, &its, execution);
      }
      auto& projection_gradients = execution.workspace.template kept<detail::EncoderScratch<T>>().projection_gradients;
      if (config_.mechanism == Mechanism::linformer) {
        read_layer_gradients(gradient.projections_, static_cast<Index>(layer), projection_gradients);
      }
      layers_[layer].backward(projections, call, layer_site(layer), its, out_gradient, gradient.layers_[layer],
                              projection_gradients, execution);
      if (on_layer_input) on_layer_input(layer, out_gradient);
      if (options.on_layer_done) options.on_layer_done(layer);
    }
    detail::apply_dropout<T>(call, embedding_site(), config_.dropout, out_gradient, execution);
    embedding_norm_.backward(cache.embedding_sum.block(), cache.embedding_statistics, out_gradient,
                             gradient.embedding_norm_, execution);
    embeddings_.backward(tokens, out_gradient, gradient.embeddings_, execution);
  }

  /// f(name, shape, values), named as in Hugging Face's BERT: `embeddings.word_embeddings.weight`, …,
  /// `encoder.layer.0.…`, and `projections.…`.
  void for_each_parameter(const ParameterVisitor<T>& visitor) requires(Form::trainable) {
    visit_own(*this, visitor);
    projections_.for_each_parameter(visitor);
  }
  void for_each_parameter(const ParameterVisitor<const T>& visitor) const requires(Form::trainable) {
    visit_own(*this, visitor);
    projections_.for_each_parameter(visitor);
  }

  /// f(l, name) of each parameter whose gradient is complete before the end of backward: once that has gone through
  /// layer l (`EncoderOptions::on_layer_done`). From the last layer to the first.
  template <class F>
  void for_each_completed_parameter(const F& f) const requires(Form::trainable) {
    for (std::size_t layer = layers_.size(); layer-- > 0;) {
      const auto visit = [&](const std::string& name, Shape, auto) { f(layer, name); };
      if (config_.pre_norm && layer + 1 == layers_.size()) final_norm_.for_each_parameter(final_norm_name, visit);
      layers_[layer].for_each_parameter(layer_name(layer), visit);
      projections_.for_each_parameter_first_read_by(layer, visit);
    }
  }

 private:
  friend class Encoder<T, Trainable>;
  Encoder() = default;

  // Addresses of draws: those of layer l begin at count · (l + 1).
  static constexpr std::uint64_t sites = static_cast<std::uint64_t>(detail::DropoutSite::count);
  [[nodiscard]] static std::uint64_t embedding_site() { return 0; }
  [[nodiscard]] static std::uint64_t layer_site(std::size_t layer) { return sites * (layer + 1); }

  static void copy(const ConstMatrixRef<T>& from, detail::PaddedMatrix<T>& to, const Execution& execution) {
    to.resize(from.rows(), from.cols());
    detail::copy_rows<T>(from, to.block(), execution);
  }

  void check(const TokenBatch& tokens, const EncoderOptions& options, bool training) const {
    detail::require(Form::trainable || (!training && !options.dropout), ErrorCode::unsupported, "training",
                    "an encoder whose weights train", "a frozen one");
    detail::require(options.read == nullptr || !training, ErrorCode::unsupported, "read",
                    "all rows, which backward goes through", "some");
    detail::require(options.read == nullptr || options.read->fits(tokens.layout), ErrorCode::shape_mismatch, "read",
                    "rows of these tokens", "those of another batch");
    tokens.require_valid(config_.vocabulary_size, config_.sequence_length, config_.token_types);
    for (Index b = 0; b < tokens.layout.sequences(); ++b) {
      const Positions its = tokens.layout.positions(b);
      detail::require(
          its.count == 0 || (held_.begin <= its[0] && its.extent() <= held_.end), ErrorCode::out_of_range, "tokens",
          [&] { return "positions " + detail::range_text(held_.begin, held_.end) + ", which this encoder holds"; },
          [&] { return detail::range_text(its[0], its.extent()); });
    }
  }

  /// Of this layer until another is asked for; none of softmax attention.
  [[nodiscard]] const LayerProjections<T>& layer_projections(std::size_t layer, const Execution& execution) const {
    auto& projections = execution.workspace.template kept<detail::EncoderScratch<T>>().projections;
    if (config_.mechanism == Mechanism::linformer) {
      projections_.read_layer(static_cast<Index>(layer), projections);
    } else {
      projections = {};
    }
    return projections;
  }

  template <class Self, class Value>
  static void visit_own(Self& self, const ParameterVisitor<Value>& visitor) {
    self.embeddings_.for_each_parameter("embeddings", visitor);
    self.embedding_norm_.for_each_parameter("embeddings.LayerNorm", visitor);
    for (std::size_t layer = 0; layer < self.layers_.size(); ++layer) {
      self.layers_[layer].for_each_parameter(layer_name(layer), visitor);
    }
    if (self.config_.pre_norm) self.final_norm_.for_each_parameter(final_norm_name, visitor);
  }

  static ParameterName layer_name(std::size_t layer) { return ParameterName("encoder.layer.") + std::to_string(layer); }
  static constexpr const char* final_norm_name = "encoder.LayerNorm";
  static constexpr const char* position_table = "embeddings.position_embeddings.weight";

  EncoderConfig config_{};
  Part held_{};
  TokenEmbeddings<T> embeddings_;
  LayerNorm<T> embedding_norm_, final_norm_;
  std::vector<EncoderLayer<T, Form>> layers_;
  ProjectionSet<T> projections_;
};

namespace detail {

/// @param model an encoder, or one with a head
/// @throws Error unsupported for one that holds a part of its positions
template <class Model>
void require_whole(const Model& model) {
  require(model.partial_parameters().empty(), ErrorCode::unsupported, "model",
          "all columns of E and F and all positions", "those of one process's part");
}

}  // namespace detail

/// An encoder for inference alone, made by `Encoder::frozen`.
template <Scalar T>
using FrozenEncoder = Encoder<T, Frozen>;

}  // namespace linformer::inline LINFORMER_ABI
