#pragma once

#include <linformer/attention/attention_backward.hpp>
#include <linformer/model/config.hpp>
#include <linformer/model/encoder_cache.hpp>
#include <linformer/model/encoder_call.hpp>
#include <linformer/model/feed_forward.hpp>
#include <linformer/model/weights_form.hpp>
#include <linformer/nn/rows.hpp>

namespace linformer::inline LINFORMER_ABI {

/// One block of the encoder: attention and feed-forward, each with a residual connection, dropout and layer norm.
/// @tparam Form `Trainable`, or `Frozen` for inference alone
template <Scalar T, class Form = Trainable>
class EncoderLayer {
  using Attention = AttentionBlock<T, typename Form::template Attention<T>>;
  using Dense = typename Form::template Dense<T>;

 public:
  /// @param config resolved; @param seed of W_Q … W_O; the encoder draws all weights anew
  EncoderLayer(const EncoderConfig& config, std::uint64_t seed) requires(Form::trainable)
      : config_(config),
        attention_(attention_config(config), seed),
        attention_norm_(LayerNorm<T>::identity(config.model_width, config.layer_norm_epsilon)),
        output_norm_(attention_norm_),
        intermediate_(Linear<T>::zeros("intermediate.dense.weight", config.feed_forward_width, config.model_width,
                                       /*with_bias=*/true)),
        output_(Linear<T>::zeros("output.dense.weight", config.model_width, config.feed_forward_width,
                                 /*with_bias=*/true)) {}

  /// The same layer for inference alone. @throws Error unsupported where a precision does not fit
  [[nodiscard]] EncoderLayer<T, Frozen> frozen(Precision precision) const requires(Form::trainable) {
    return EncoderLayer<T, Frozen>(config_, attention_.frozen(precision), attention_norm_, output_norm_,
                                   FrozenLinear<T>(intermediate_, precision, OperandLayout::panels),
                                   FrozenLinear<T>(output_, precision, OperandLayout::panels));
  }

  [[nodiscard]] const Attention& attention() const { return attention_; }

  /// What attention reads of the layer's input: with pre_norm its layer norm, else the input. @param x rows × D
  [[nodiscard]] Matrix<T> attention_input(const ConstMatrixRef<T>& x, const Execution& execution) const {
    Matrix<T> result = x;
    if (config_.pre_norm) attention_norm_.forward(result, result, nullptr, execution);
    return result;
  }

  /// @param site of the layer's first draw
  /// @param x rows × D; @param read the rows of y that are wanted; null for all, and it is null with a cache
  /// @param y a row for each that is wanted: x itself, or memory apart from it
  /// @param cache what backward needs; null for inference
  void forward(const LayerProjections<T>& projections, const EncoderCall& call, std::uint64_t site,
               const ConstMatrixRef<T>& x, const RowSelection* read, MatrixRef<T> y, EncoderLayerCache<T>* cache,
               const Execution& given) const {
    const Workspace::Scope scope(given.workspace);
    const Execution execution{given.pool, given.workspace, given.isa, attention_.weights().precision()};
    const BatchLayout& layout = read != nullptr ? read->layout() : call.layout;
    const Index rows = y.rows(), width = config_.model_width;
    using Cache = EncoderLayerCache<T>;
    const auto statistics = [&](RowStatistics<T> Cache::*member) {
      if (cache != nullptr) (cache->*member).resize(rows);
      return cache == nullptr ? nullptr : &(cache->*member);
    };
    const auto drop = [&](detail::DropoutSite of, Index first, MatrixRef<T> values) {
      detail::drop_rows<T>(call.dropout, layout, site + static_cast<std::uint64_t>(of), config_.dropout, first, values,
                           execution.isa);
    };
    const auto matrix = [&](Index count) { return execution.workspace.template matrix<T>(count, width); };
    if (cache != nullptr) {
      auto of_one_form = config_.pre_norm ? &Cache::attention_input : &Cache::feed_forward_sum;
      for (auto member : {&Cache::input, &Cache::attention_sum, &Cache::feed_forward_input, of_one_form}) {
        (cache->*member).resize(rows, width);
      }
      cache->activation_input.resize(rows, config_.feed_forward_width);
      detail::copy_rows<T>(x, cache->input.block(), execution);
    }
    RowStatistics<T>* const attention_statistics = statistics(&Cache::attention_statistics);
    RowStatistics<T>* const output_statistics = statistics(&Cache::output_statistics);

    auto sums = matrix(cache == nullptr ? rows : 0);
    MatrixRef<T> sum = cache == nullptr ? MatrixRef<T>(sums) : MatrixRef<T>(cache->attention_sum.block());
    if (config_.pre_norm) {
      auto normal = matrix(cache == nullptr ? x.rows() : 0);
      MatrixRef<T> input = cache == nullptr ? MatrixRef<T>(normal) : MatrixRef<T>(cache->attention_input.block());
      attention_norm_.forward(x, input, attention_statistics, execution);
      attend(projections, call, site, input, read, sum, cache, execution);
    } else {
      attend(projections, call, site, x, read, sum, cache, execution);
    }

    const TransposedLinear<T> intermediate = transposed_in_panels<T>(intermediate_, execution.here());
    const TransposedLinear<T> output = transposed_in_panels<T>(output_, execution.here());
    constexpr Index tile = detail::feed_forward_tile;
    detail::for_each_part(rows, tile, execution, [&](Index first, Index count, const Compute& compute) {
      const auto of_tile = [&](detail::PaddedMatrix<T> Cache::*member, bool kept) -> MatrixRef<T> {
        if (!kept) return compute.workspace.template matrix<T>(count, width);
        return (cache->*member).block().middleRows(first, count);
      };
      MatrixRef<T> its_sum = sum.middleRows(first, count);
      drop(detail::DropoutSite::attention_output, first, its_sum);
      for (Index i = 0; i < count; ++i) {
        its_sum.row(i) += x.row(read != nullptr ? read->rows()[static_cast<std::size_t>(first + i)] : first + i);
      }
      MatrixRef<T> input = of_tile(&Cache::feed_forward_input, cache != nullptr);
      MatrixRef<T> result = of_tile(&Cache::feed_forward_sum, cache != nullptr && !config_.pre_norm);
      if (config_.pre_norm) {
        output_norm_.forward_rows(compute.isa, first, its_sum, input, output_statistics);
      } else {
        attention_norm_.forward_rows(compute.isa, first, its_sum, input, attention_statistics);
      }
      const auto keep = [&](Index feature, const ConstMatrixRef<T>& inner) {
        if (cache == nullptr) return;
        transpose<T>(compute.isa, inner, cache->activation_input.block().block(first, feature, count, inner.rows()));
      };
      feed_forward<T>(intermediate, output, config_.activation, input, result, keep, compute);
      drop(detail::DropoutSite::feed_forward_output, first, result);
      result += config_.pre_norm ? its_sum : input;
      if (config_.pre_norm) {
        y.middleRows(first, count) = result;
      } else {
        output_norm_.forward_rows(compute.isa, first, result, y.middleRows(first, count), output_statistics);
      }
    });
  }

  /// Replaces the gradient of the layer's output by that of its input, and adds to those of its weights.
  void backward(const LayerProjections<T>& projections, const EncoderCall& call, std::uint64_t site,
                const EncoderLayerCache<T>& cache, MatrixRef<T> x_gradient, EncoderLayer& gradient,
                const LayerProjectionGradients<T>& projection_gradients, const Execution& execution) const
      requires(Form::trainable) {
    const Workspace::Scope scope(execution.workspace);
    const Index rows = x_gradient.rows(), width = config_.model_width;
    const auto matrix = [&](Index columns) { return execution.workspace.template matrix<T>(rows, columns); };
    auto through = matrix(width), input_gradient = matrix(width);
    // Rows of x_gradient, as they go back through dropout into a sublayer.
    const auto enter = [&](detail::DropoutSite of, Index first, MatrixRef<T> its_through) {
      its_through = x_gradient.middleRows(first, its_through.rows());
      detail::drop_rows<T>(call.dropout, call.layout, site + static_cast<std::uint64_t>(of), config_.dropout, first,
                           its_through, execution.isa);
    };
    if (!config_.pre_norm) {
      output_norm_.backward(cache.feed_forward_sum.block(), cache.output_statistics, x_gradient, gradient.output_norm_,
                            execution);
    }
    // Here and below x_gradient is the gradient of a sum: it goes on past the sublayer and through it.
    {
      const Workspace::Scope of_feed_forward(execution.workspace);
      auto active = matrix(config_.feed_forward_width), inner_gradient = matrix(config_.feed_forward_width);
      detail::for_each_part(
          rows, detail::linear_tile, execution, [&](Index first, Index count, const Compute& compute) {
            const auto tile = [&](auto&& all) { return all.middleRows(first, count); };
            enter(detail::DropoutSite::feed_forward_output, first, tile(through));
            feed_forward_backward<T>(intermediate_.weight, output_.weight, config_.activation,
                                     tile(cache.activation_input.block()), tile(through), tile(active),
                                     tile(inner_gradient), tile(input_gradient), compute);
          });
      linear_weight_backward<T>(active, through, gradient.output_, execution);
      linear_weight_backward<T>(cache.feed_forward_input.block(), inner_gradient, gradient.intermediate_, execution);
    }
    if (config_.pre_norm) {
      output_norm_.backward(cache.attention_sum.block(), cache.output_statistics, input_gradient, gradient.output_norm_,
                            execution);
      detail::add_rows<T>(input_gradient, x_gradient, execution);
    } else {
      detail::add_rows<T>(input_gradient, x_gradient, execution);
      attention_norm_.backward(cache.attention_sum.block(), cache.attention_statistics, x_gradient,
                               gradient.attention_norm_, execution);
    }

    detail::for_each_part(rows, detail::linear_tile, execution, [&](Index first, Index count, const Compute&) {
      enter(detail::DropoutSite::attention_output, first, through.middleRows(first, count));
    });
    const auto attend_backward_into = [&](const ConstMatrixRef<T>& input, MatrixRef<T> to) {
      attention_backward<T>(attention_, projections,
                            {.x = input,
                             .queries = call.layout,
                             .context = input,
                             .tokens = call.layout,
                             .dropout = attention_draws(call, site),
                             .sequence = call.sequence,
                             .contexts = call.sequence ? &cache.contexts : nullptr},
                            through, to, to, gradient.attention_, projection_gradients, execution);
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
  void for_each_parameter(const ParameterName& name, const ParameterVisitor<T>& visitor) requires(Form::trainable) {
    visit(*this, name, visitor);
  }
  void for_each_parameter(const ParameterName& name, const ParameterVisitor<const T>& visitor) const
      requires(Form::trainable) {
    visit(*this, name, visitor);
  }

 private:
  friend class EncoderLayer<T, Trainable>;
  EncoderLayer(EncoderConfig config, Attention attention, LayerNorm<T> attention_norm, LayerNorm<T> output_norm,
               Dense intermediate, Dense output)
      : config_(std::move(config)),
        attention_(std::move(attention)),
        attention_norm_(std::move(attention_norm)),
        output_norm_(std::move(output_norm)),
        intermediate_(std::move(intermediate)),
        output_(std::move(output)) {}

  [[nodiscard]] std::optional<DropoutAddress> attention_draws(const EncoderCall& call, std::uint64_t site) const {
    std::optional<DropoutAddress> draws = call.dropout;
    if (draws) draws->site += site + static_cast<std::uint64_t>(detail::DropoutSite::attention_weights);
    return draws;
  }

  /// @param x rows × D; @param y a row for each that is read; @param cache null for inference
  void attend(const LayerProjections<T>& projections, const EncoderCall& call, std::uint64_t site,
              const ConstMatrixRef<T>& x, const RowSelection* read, MatrixRef<T> y, EncoderLayerCache<T>* cache,
              const Execution& execution) const {
    const ForwardOptions<T> options{.workspace = &execution.workspace,
                                    .dropout = attention_draws(call, site),
                                    .pool = &execution.pool,
                                    .isa = execution.isa,
                                    .sequence = call.sequence,
                                    .contexts = call.sequence && cache != nullptr ? &cache->contexts : nullptr};
    if (read == nullptr) {
      attention_.forward(projections, x, call.layout, x, call.layout, y, options);
      return;
    }
    const Workspace::Scope scope(execution.workspace);
    auto queries = execution.workspace.template matrix<T>(read->size(), x.cols());
    gather_rows<T>(x, read->rows(), queries);
    attention_.forward(projections, queries, read->layout(), x, call.layout, y, options);
  }

  template <class Self, class Value>
  static void visit(Self& self, const ParameterName& name, const ParameterVisitor<Value>& visitor) {
    self.attention_.for_each_parameter([&](const ParameterName& own, Shape shape, auto values) {
      visitor(name + (own.view().starts_with("output.") ? ".attention." : ".attention.self.") + own, shape, values);
    });
    self.attention_norm_.for_each_parameter(name + ".attention.output.LayerNorm", visitor);
    self.intermediate_.for_each_parameter(name + ".intermediate.dense", visitor);
    self.output_.for_each_parameter(name + ".output.dense", visitor);
    self.output_norm_.for_each_parameter(name + ".output.LayerNorm", visitor);
  }

  EncoderConfig config_;
  Attention attention_;
  LayerNorm<T> attention_norm_, output_norm_;
  Dense intermediate_, output_;
};

}  // namespace linformer::inline LINFORMER_ABI
