#pragma once

#include <linformer/attention/attention_backward.hpp>
#include <linformer/model/config.hpp>
#include <linformer/nn/layer_norm.hpp>
#include <linformer/nn/rows.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What one call of an encoder computes with: rows of a ragged batch, and in training the address of its draws.
struct EncoderCall {
  const BatchLayout& layout;
  std::optional<DropoutAddress> dropout{};  ///< set in training; its site is that of the encoder's first draw
};

/// What forward of one layer keeps for backward, rows × D unless said. "Sum" is a sublayer's input plus its output.
template <Scalar T>
struct EncoderLayerCache {
  detail::PaddedMatrix<T> input, attention_input;  ///< the latter with pre_norm alone, else it is the input
  detail::PaddedMatrix<T> attention_sum, feed_forward_input;
  detail::PaddedMatrix<T> activation_input;  ///< rows × feed-forward width
  detail::PaddedMatrix<T> feed_forward_sum;  ///< not with pre_norm
  RowStatistics<T> attention_statistics, output_statistics;
};

namespace detail {

/// Draws that a layer takes beside those of P̄.
enum class DropoutSite : std::uint64_t { attention_weights, attention_output, feed_forward_output, count };

/// Drops entries of rows of a batch. Backward of dropout is the same with the same address.
template <Scalar T>
void apply_dropout(const EncoderCall& call, std::uint64_t site, double rate, MatrixRef<T> rows,
                   const Execution& execution) {
  if (!call.dropout || rate == 0) return;
  DropoutAddress address = *call.dropout;
  address.site += site;
  execution.run(call.layout.sequences(), [&](Index b, const Compute&) {
    HeadDropout<T>(address, static_cast<std::uint64_t>(b), 0, rate)
        .apply_to_rows(execution.isa, call.layout.positions(b),
                       rows.middleRows(call.layout.offset(b), call.layout.length(b)));
  });
}

}  // namespace detail

/// One block of the encoder: attention and feed-forward, each with a residual connection, dropout and layer norm.
template <Scalar T>
class EncoderLayer {
 public:
  /// @param config resolved; @param seed of W_Q … W_O; the encoder draws all weights anew
  EncoderLayer(const EncoderConfig& config, std::uint64_t seed)
      : config_(config),
        attention_(attention_config(config), seed),
        attention_norm_(LayerNorm<T>::identity(config.model_width, config.layer_norm_epsilon)),
        output_norm_(attention_norm_),
        intermediate_(Linear<T>::zeros("intermediate.dense.weight", config.feed_forward_width, config.model_width,
                                       /*with_bias=*/true)),
        output_(Linear<T>::zeros("output.dense.weight", config.model_width, config.feed_forward_width,
                                 /*with_bias=*/true)) {}

  [[nodiscard]] const AttentionBlock<T>& attention() const { return attention_; }

  /// @param x rows × D, replaced by the layer's output; @param site of its first draw
  /// @param cache what backward needs; null for inference
  void forward(const LayerProjections<T>& projections, const EncoderCall& call, std::uint64_t site, MatrixRef<T> x,
               EncoderLayerCache<T>* cache, const Execution& execution) const {
    const Workspace::Scope scope(execution.workspace);
    const Index rows = x.rows(), width = config_.model_width;
    const auto keep = [&](detail::PaddedMatrix<T> EncoderLayerCache<T>::*member, Index columns) -> ScratchMatrix<T> {
      if (cache == nullptr) return execution.workspace.template matrix<T>(rows, columns);
      (cache->*member).resize(rows, columns);
      auto block = (cache->*member).block();
      return ScratchMatrix<T>(block.data(), rows, columns, Eigen::OuterStride<>(block.outerStride()));
    };
    const auto statistics = [&](RowStatistics<T> EncoderLayerCache<T>::*member) {
      return cache == nullptr ? nullptr : &(cache->*member);
    };
    const auto normalise = [&](const LayerNorm<T>& norm, const ConstMatrixRef<T>& from, MatrixRef<T> to,
                               RowStatistics<T>* its) { norm.forward(from, to, its, execution); };
    using Cache = EncoderLayerCache<T>;

    if (cache != nullptr) detail::copy_rows<T>(x, keep(&Cache::input, width), execution);
    auto sum = keep(&Cache::attention_sum, width);
    if (config_.pre_norm) {
      auto input = keep(&Cache::attention_input, width);
      normalise(attention_norm_, x, input, statistics(&Cache::attention_statistics));
      attend(projections, call, site, input, sum, execution);
    } else {
      attend(projections, call, site, x, sum, execution);
    }
    detail::apply_dropout<T>(call, site + static_cast<std::uint64_t>(detail::DropoutSite::attention_output),
                             config_.dropout, sum, execution);
    detail::add_rows<T>(x, sum, execution);

    auto input = keep(&Cache::feed_forward_input, width);
    if (config_.pre_norm) {
      normalise(output_norm_, sum, input, statistics(&Cache::output_statistics));
    } else {
      normalise(attention_norm_, sum, input, statistics(&Cache::attention_statistics));
    }
    auto inner = keep(&Cache::activation_input, config_.feed_forward_width);
    linear_forward<T>(intermediate_, input, inner, execution);
    auto active = execution.workspace.template matrix<T>(cache != nullptr ? rows : 0, config_.feed_forward_width);
    MatrixRef<T> activated = cache != nullptr ? MatrixRef<T>(active) : MatrixRef<T>(inner);
    detail::gelu_rows<T>(config_.activation, inner, activated, execution);
    auto result =
        config_.pre_norm ? execution.workspace.template matrix<T>(rows, width) : keep(&Cache::feed_forward_sum, width);
    linear_forward<T>(output_, activated, result, execution);
    detail::apply_dropout<T>(call, site + static_cast<std::uint64_t>(detail::DropoutSite::feed_forward_output),
                             config_.dropout, result, execution);
    if (config_.pre_norm) {
      detail::add_rows<T>(sum, result, execution);
      detail::copy_rows<T>(result, x, execution);
    } else {
      detail::add_rows<T>(input, result, execution);
      normalise(output_norm_, result, x, statistics(&Cache::output_statistics));
    }
  }

  /// Replaces the gradient of the layer's output by that of its input, and adds to those of its weights.
  void backward(const LayerProjections<T>& projections, const EncoderCall& call, std::uint64_t site,
                const EncoderLayerCache<T>& cache, MatrixRef<T> x_gradient, EncoderLayer& gradient,
                const LayerProjectionGradients<T>& projection_gradients, const Execution& execution) const {
    const Workspace::Scope scope(execution.workspace);
    const Index rows = x_gradient.rows(), width = config_.model_width;
    const auto matrix = [&](Index columns) { return execution.workspace.template matrix<T>(rows, columns); };
    const auto drop = [&](detail::DropoutSite of, MatrixRef<T> values) {
      detail::apply_dropout<T>(call, site + static_cast<std::uint64_t>(of), config_.dropout, values, execution);
    };
    if (!config_.pre_norm) {
      output_norm_.backward(cache.feed_forward_sum.block(), cache.output_statistics, x_gradient, gradient.output_norm_,
                            execution);
    }
    // Here and below x_gradient is the gradient of a sum: it goes on past the sublayer and through it.
    auto through = matrix(width);
    detail::copy_rows<T>(x_gradient, through, execution);
    drop(detail::DropoutSite::feed_forward_output, through);
    auto active = matrix(config_.feed_forward_width), inner_gradient = matrix(config_.feed_forward_width);
    detail::gelu_rows<T>(config_.activation, cache.activation_input.block(), active, execution);
    detail::zero_rows<T>(inner_gradient, execution);
    linear_backward<T>(output_, active, through, inner_gradient, gradient.output_, execution);
    detail::gelu_gradient_rows<T>(config_.activation, cache.activation_input.block(), inner_gradient, execution);
    auto input_gradient = matrix(width);
    detail::zero_rows<T>(input_gradient, execution);
    linear_backward<T>(intermediate_, cache.feed_forward_input.block(), inner_gradient, input_gradient,
                       gradient.intermediate_, execution);
    if (config_.pre_norm) {
      output_norm_.backward(cache.attention_sum.block(), cache.output_statistics, input_gradient, gradient.output_norm_,
                            execution);
      detail::add_rows<T>(input_gradient, x_gradient, execution);
    } else {
      detail::add_rows<T>(input_gradient, x_gradient, execution);
      attention_norm_.backward(cache.attention_sum.block(), cache.attention_statistics, x_gradient,
                               gradient.attention_norm_, execution);
    }

    detail::copy_rows<T>(x_gradient, through, execution);
    drop(detail::DropoutSite::attention_output, through);
    const auto attend_backward_into = [&](const ConstMatrixRef<T>& input, MatrixRef<T> to) {
      attention_backward<T>(attention_, projections,
                            {input, call.layout, input, call.layout, {}, attention_draws(call, site)}, through, to, to,
                            gradient.attention_, projection_gradients, execution);
    };
    if (config_.pre_norm) {
      detail::zero_rows<T>(input_gradient, execution);
      attend_backward_into(cache.attention_input.block(), input_gradient);
      attention_norm_.backward(cache.input.block(), cache.attention_statistics, input_gradient,
                               gradient.attention_norm_, execution);
      detail::add_rows<T>(input_gradient, x_gradient, execution);
    } else {
      attend_backward_into(cache.input.block(), x_gradient);
    }
  }

  /// f(name, shape, values), named as in Hugging Face's BERT: `attention.self.query.weight`, …,
  /// `attention.output.dense.weight`, `attention.output.LayerNorm.weight`, `intermediate.dense.weight`,
  /// `output.dense.weight`, `output.LayerNorm.weight`.
  template <class Visitor>
  void for_each_parameter(const ParameterName& name, Visitor&& visitor) {
    visit(*this, name, visitor);
  }
  template <class Visitor>
  void for_each_parameter(const ParameterName& name, Visitor&& visitor) const {
    visit(*this, name, visitor);
  }

 private:
  [[nodiscard]] std::optional<DropoutAddress> attention_draws(const EncoderCall& call, std::uint64_t site) const {
    std::optional<DropoutAddress> draws = call.dropout;
    if (draws) draws->site += site + static_cast<std::uint64_t>(detail::DropoutSite::attention_weights);
    return draws;
  }

  void attend(const LayerProjections<T>& projections, const EncoderCall& call, std::uint64_t site,
              const ConstMatrixRef<T>& x, MatrixRef<T> y, const Execution& execution) const {
    attention_.forward(projections, x, call.layout, x, call.layout, y,
                       {.workspace = &execution.workspace,
                        .dropout = attention_draws(call, site),
                        .pool = &execution.pool,
                        .isa = execution.isa});
  }

  template <class Self, class Visitor>
  static void visit(Self& self, const ParameterName& name, Visitor& visitor) {
    self.attention_.for_each_parameter([&](const ParameterName& own, Shape shape, auto values) {
      visitor(name + (own.view().starts_with("output.") ? ".attention." : ".attention.self.") + own, shape, values);
    });
    self.attention_norm_.for_each_parameter(name + ".attention.output.LayerNorm", visitor);
    self.intermediate_.for_each_parameter(name + ".intermediate.dense", visitor);
    self.output_.for_each_parameter(name + ".output.dense", visitor);
    self.output_norm_.for_each_parameter(name + ".output.LayerNorm", visitor);
  }

  EncoderConfig config_;
  AttentionBlock<T> attention_;
  LayerNorm<T> attention_norm_, output_norm_;
  Linear<T> intermediate_, output_;
};

}  // namespace linformer::inline LINFORMER_ABI
