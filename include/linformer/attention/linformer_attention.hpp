#pragma once

#include <linformer/attention/attention_block.hpp>

namespace linformer::inline LINFORMER_ABI {

/// Multi-head Linformer attention (Eq. 7) with E and F of its own: an `AttentionBlock` and a `ProjectionSet` of one
/// layer. `Mechanism::softmax` and `Mechanism::softmax_tiled` give standard attention of the same weights and
/// interface.
///
/// A masked token has no influence, whatever it holds. A row of y whose query is absent is zero; a context without
/// tokens gives the output bias. Const calls with workspaces of their own may run at the same time.
/// @tparam Weights `AttentionWeights`; `FrozenWeights` makes it a `FrozenAttention`
template <Scalar T, class Weights = AttentionWeights<T>>
class LinformerAttention {
 public:
  LinformerAttention() = default;

  /// @param held positions of the tokens of contexts, none for all: of a process that holds a part of each sequence and
  ///   no other columns of E and F
  /// @throws Error invalid_configuration, size_overflow or unsupported
  LinformerAttention(const AttentionConfig& config, std::uint64_t seed,
                     std::optional<Part> held = {}) requires(Weights::trainable)
      : block_(config, seed) {
    const AttentionConfig& full = block_.config();
    if (full.mechanism != Mechanism::linformer) return;
    detail::require_config(!full.projected_length.list().empty(), "projected_length", "a length or a list of them", 0);
    projections_ = ProjectionSet<T>({.layers = 1,
                                     .heads = full.heads,
                                     .head_width = full.head_width,
                                     .sequence_length = full.sequence_length,
                                     .projected_length = full.projected_length,
                                     .sharing = full.sharing,
                                     .projection = full.projection,
                                     .held = held},
                                    seed);
  }

  /// The same layer for inference alone: weights transposed once and never changed, in full precision or rounded to
  /// bfloat16. Later changes of this layer do not reach it.
  /// @throws Error unsupported for bf16 of another scalar than `float` or an odd head width
  [[nodiscard]] LinformerAttention<T, FrozenWeights<T>> frozen(Precision precision = Precision::full) const
      requires(Weights::trainable) {
    return LinformerAttention<T, FrozenWeights<T>>(block_.frozen(precision), projections_.frozen(precision));
  }

  /// The configuration with its defaults filled in.
  [[nodiscard]] const AttentionConfig& config() const { return block_.config(); }
  [[nodiscard]] const AttentionBlock<T, Weights>& block() const { return block_; }
  [[nodiscard]] AttentionBlock<T, Weights>& block() requires(Weights::trainable) { return block_; }
  [[nodiscard]] const ProjectionSet<T>& projections() const { return projections_; }
  [[nodiscard]] ProjectionSet<T>& projections() requires(Weights::trainable) { return projections_; }

  /// Names of the parameters of which a part is held, if any.
  [[nodiscard]] std::vector<std::string> partial_parameters() const { return projections_.partial_parameters(); }

  /// f(name, shape, values) for every weight, those of the block, then those of its projections.
  void for_each_parameter(const ParameterVisitor<T>& visitor) requires(Weights::trainable) {
    block_.for_each_parameter(visitor);
    projections_.for_each_parameter(visitor);
  }
  void for_each_parameter(const ParameterVisitor<const T>& visitor) const requires(Weights::trainable) {
    block_.for_each_parameter(visitor);
    projections_.for_each_parameter(visitor);
  }

  /// What a call with these numbers of tokens costs, and the order that it takes.
  [[nodiscard]] Plan plan(Index queries, Index context) const {
    return block_.plan(LayerView(*this, nullptr).get(), queries, context);
  }
  [[nodiscard]] Plan plan(Index tokens) const { return plan(tokens, tokens); }

  /// Self-attention of one sequence. @param x tokens × D, any Eigen expression. @return tokens × D
  template <MatrixExpression<T> X>
  [[nodiscard]] Matrix<T> operator()(const X& x) const {
    Matrix<T> y;
    forward(x, y);
    return y;
  }

  /// Cross-attention of one sequence. @param x queries × D, @param context tokens × context width. @return queries × D
  template <MatrixExpression<T> X, MatrixExpression<T> C>
  [[nodiscard]] Matrix<T> operator()(const X& x, const C& context) const {
    const ConstMatrixRef<T> rows(context);
    Matrix<T> y;
    forward(x, y, {.context = rows});
    return y;
  }

  /// Self-attention of a ragged batch.
  [[nodiscard]] Batch<T> operator()(const Batch<T>& x) const {
    Batch<T> y;
    forward(x, y);
    return y;
  }

  /// Cross-attention of ragged batches of equally many sequences.
  [[nodiscard]] Batch<T> operator()(const Batch<T>& x, const Batch<T>& context) const {
    Batch<T> y;
    forward(x, y, {.context = context});
    return y;
  }

  /// One sequence, into a matrix that is resized where it does not fit.
  void forward(const ConstMatrixRef<T>& x, Matrix<T>& y, const ForwardOptions<T>& options = {}) const {
    if (y.rows() != x.rows() || y.cols() != config().model_width) {
      detail::require_apart<T>("x", x, "y", y);
      if (options.context) detail::require_apart<T>("the context", options.context.rows().map(), "y", y);
      detail::resize(y, x.rows(), config().model_width);
    }
    forward_into(x, y, options);
  }

  /// One sequence, into caller's memory. @param y tokens × D
  void forward(const ConstMatrixRef<T>& x, MatrixRef<T> y, const ForwardOptions<T>& options = {}) const {
    forward_into(x, y, options);
  }

  /// A ragged batch; masks are in its layout already.
  void forward(const Batch<T>& x, Batch<T>& y, const ForwardOptions<T>& options = {}) const {
    detail::require(!options.mask && !options.context_mask, ErrorCode::unsupported, "mask",
                    "none beside a ragged batch, whose layout says which tokens are present", "a mask");
    detail::require(!options.context || options.context.layout() != nullptr, ErrorCode::shape_mismatch, "context",
                    "a ragged batch, as x is one", "rows of one sequence");
    detail::require(&y != &x && options.context.layout() != &y.layout, ErrorCode::aliasing, "y",
                    "another batch than x and the context", "the same");
    detail::require_apart<T>("x", x.rows, "y", y.rows);
    if (options.context) detail::require_apart<T>("the context", options.context.rows().map(), "y", y.rows);
    if (!(y.layout == x.layout) || y.rows.rows() != x.rows.rows() || y.rows.cols() != config().model_width) {
      Batch<T> fresh{x.layout, Matrix<T>(x.rows.rows(), config().model_width)};  // both or neither
      y = std::move(fresh);
    }
    const LayerView layer(*this, options.workspace);
    if (options.context) {
      block_.forward(layer.get(), x.rows, x.layout, options.context.rows().map(), *options.context.layout(), y.rows,
                     options);
    } else {
      block_.forward(layer.get(), x.rows, x.layout, x.rows, x.layout, y.rows, options);
    }
  }

  /// A projected context without tokens, for documents that arrive in chunks or exceed memory. Its order is what the
  /// planner chooses for a context of n tokens unless it is given.
  [[nodiscard]] ProjectedContext<T> empty_context(std::optional<Order> order = {}) const {
    return block_.empty_context(LayerView(*this, nullptr).get(), order.value_or(plan(config().sequence_length).order));
  }

  /// Adds a chunk to what was seen of a context: the first pass of the streamed form.
  /// @param chunk tokens × context width
  /// @param first position of the chunk's first token; by default where the last chunk ended
  /// Each position is to be added once, by this layer: beyond the count of tokens that is not checked.
  /// @param options threads, pool, workspace, isa and mask (1 × rows of the chunk) are used, others are not looked at
  /// @throws Error shape_mismatch, sequence_too_long; unsupported for growing pooling, whose windows depend on the
  ///   length of the whole; the context is then unchanged
  void accumulate(ProjectedContext<T>& context, const ConstMatrixRef<T>& chunk, std::optional<Index> first = {},
                  const ForwardOptions<T>& options = {}) const {
    const CallResources resources(options);
    const PresentRows present(chunk, options.mask, "mask", resources.execution().workspace.template kept<Present<0>>());
    const Index begin = first.value_or(context.extent());
    detail::require(begin >= 0, ErrorCode::shape_mismatch, "context", "positions of at least 0", std::to_string(begin));
    detail::require(begin <= config().sequence_length, ErrorCode::sequence_too_long, "context",
                    "a first position of at most sequence_length = " + std::to_string(config().sequence_length),
                    std::to_string(begin));
    const Positions tokens = present.positions(begin);
    ProjectedContext<T> extended = context;  // so that a failure leaves the context as it was
    block_.accumulate(LayerView(*this, options.workspace).get(), tokens, present.rows(), extended,
                      resources.execution());
    extended.extend(begin + chunk.rows());
    context = std::move(extended);
  }

  /// K̄ and V̄ of a projected context, O(k·h·d).
  [[nodiscard]] KeysValues<T> keys_values(const ProjectedContext<T>& context,
                                          const ForwardOptions<T>& options = {}) const {
    return block_.keys_values(LayerView(*this, options.workspace).get(), context, CallResources(options).execution());
  }

  /// Attention of a chunk of queries to a projected context: the second pass of the streamed form.
  /// @param x queries × D, @param y queries × D
  /// @param first position of the first query, which only dropout looks at
  /// @param options threads, pool, workspace, isa and dropout are used
  /// @throws Error shape_mismatch, aliasing; unsupported for a mask, a context, an order or probabilities
  void attend(const ConstMatrixRef<T>& x, const KeysValues<T>& keys_values, MatrixRef<T> y, Index first = 0,
              const ForwardOptions<T>& options = {}) const {
    detail::require(!options.mask && !options.context && !options.context_mask && !options.order &&
                        options.probabilities == nullptr,
                    ErrorCode::unsupported, "options", "threads, pool, workspace, isa and dropout alone",
                    "a mask, context, order or probabilities");
    const CallResources resources(options);
    block_.attend(keys_values, {first, x.rows()}, x, y, {{}, options.dropout, config().dropout}, resources.execution());
  }

 private:
  friend class LinformerAttention<T, AttentionWeights<T>>;
  LinformerAttention(AttentionBlock<T, Weights> block, ProjectionSet<T> projections)
      : block_(std::move(block)), projections_(std::move(projections)) {}

  /// The projections of the layer, listed in the caller's workspace if there is one.
  class LayerView {
   public:
    LayerView(const LinformerAttention& attention, Workspace* workspace)
        : view_(workspace != nullptr ? workspace->template kept<LayerProjections<T>>() : own_) {
      view_.key.clear();
      view_.value.clear();
      if (attention.config().mechanism == Mechanism::linformer) attention.projections_.read_layer(0, view_);
    }
    LayerView(const LayerView&) = delete;
    LayerView& operator=(const LayerView&) = delete;

    [[nodiscard]] const LayerProjections<T>& get() const { return view_; }

   private:
    LayerProjections<T> own_;
    LayerProjections<T>& view_;
  };

  /// Memory for the rows that a mask leaves, kept between calls: of queries (0), of a context (1), of the result (2).
  template <int>
  struct Present {
    std::vector<Index> list;
    Matrix<T> rows;
  };

  /// The rows of one sequence that a mask leaves, copied only where the mask has holes.
  class PresentRows {
   public:
    template <class Memory>
    PresentRows(const ConstMatrixRef<T>& all, const MaskView& mask, const char* name, Memory& memory)
        : all_(all), list_(memory.list), gathered_(memory.rows), count_(all.rows()) {
      if (!mask) return;
      if (mask.sequences() == all.rows() && mask.length() == all.rows() && all.rows() > 1) {
        throw Error(ErrorCode::unsupported, name,
                    "1 x " + std::to_string(all.rows()) +
                        ": projected rows mix all tokens, so Linformer cannot mask "
                        "single pairs of query and key",
                    detail::shape_text(mask.sequences(), mask.length()));
      }
      detail::require_shape(name, mask.sequences(), mask.length(), 1, all.rows());
      list_.clear();
      for (Index t = 0; t < mask.length(); ++t) {
        if (mask(0, t)) list_.push_back(t);
      }
      count_ = static_cast<Index>(list_.size());
      has_holes_ = count_ > 0 && list_.back() + 1 != count_;
      if (!has_holes_) return;
      detail::resize(gathered_, count_, all.cols());
      for (Index i = 0; i < count_; ++i) gathered_.row(i) = all.row(list_[static_cast<std::size_t>(i)]);
    }

    /// Of the rows, in a sequence in which the first row of all has position `begin`.
    [[nodiscard]] Positions positions(Index begin = 0) const {
      if (!has_holes_) return {begin, count_, nullptr};
      if (begin != 0) {
        for (Index& position : list_) position += begin;
      }
      return {0, count_, list_.data()};
    }
    [[nodiscard]] bool has_holes() const { return has_holes_; }
    [[nodiscard]] bool all_present() const { return count_ == all_.rows(); }
    [[nodiscard]] ConstMatrixRef<T> rows() const {
      return has_holes_ ? ConstMatrixRef<T>(gathered_) : ConstMatrixRef<T>(all_.topRows(count_));
    }

   private:
    const ConstMatrixRef<T>& all_;
    std::vector<Index>& list_;
    Matrix<T>& gathered_;
    Index count_;
    bool has_holes_ = false;
  };

  void forward_into(const ConstMatrixRef<T>& x, MatrixRef<T> y, const ForwardOptions<T>& options) const {
    detail::require(options.context.layout() == nullptr, ErrorCode::shape_mismatch, "context",
                    "rows of one sequence, as x is one", "a ragged batch");
    detail::require(options.context || !options.context_mask, ErrorCode::unsupported, "context_mask",
                    "none without a context: mask holds for queries and keys of self-attention", "a mask");
    detail::require_shape("y", y.rows(), y.cols(), x.rows(), config().model_width);
    detail::require_apart<T>("x", x, "y", y);  // absent rows too: those of y become zero
    if (options.context) detail::require_apart<T>("the context", options.context.rows().map(), "y", y);
    Workspace own;
    Workspace& workspace = options.workspace != nullptr ? *options.workspace : own;
    const PresentRows queries(x, options.mask, "mask", workspace.template kept<Present<0>>());
    if (options.context) {
      const ConstMatrixRef<T> rows(options.context.rows().map());
      const PresentRows present(rows, options.context_mask, "context_mask", workspace.template kept<Present<1>>());
      forward_present(queries, present, rows.rows(), y, options, workspace);
    } else {
      forward_present(queries, queries, x.rows(), y, options, workspace);
    }
  }

  void forward_present(const PresentRows& queries, const PresentRows& context, Index context_rows, MatrixRef<T> y,
                       const ForwardOptions<T>& options, Workspace& workspace) const {
    const Positions positions = queries.positions();
    const LayerView layer(*this, options.workspace);
    const auto forward_rows = [&](MatrixRef<T> out) {
      block_.forward(layer.get(), queries.rows(), positions, context.rows(), context.positions(), out, options);
    };
    if (queries.has_holes()) {
      Matrix<T>& present = workspace.template kept<Present<2>>().rows;
      detail::resize(present, positions.count, y.cols());
      forward_rows(present);
      y.setZero();
      for (Index i = 0; i < positions.count; ++i) y.row(positions[i]) = present.row(i);
    } else {
      forward_rows(y.topRows(positions.count));
      y.bottomRows(y.rows() - positions.count).setZero();
    }
    if (options.probabilities == nullptr) return;
    for (Matrix<T>& p : *options.probabilities) {
      const Index columns = config().mechanism == Mechanism::linformer ? p.cols() : context_rows;
      if (queries.all_present() && p.cols() == columns) continue;
      Matrix<T> whole = Matrix<T>::Zero(y.rows(), columns);
      for (Index i = 0; i < positions.count; ++i) whole.row(positions[i]).head(p.cols()) = p.row(i);
      p = std::move(whole);
    }
  }

  AttentionBlock<T, Weights> block_;
  ProjectionSet<T> projections_;
};

/// Linformer attention for inference alone, made by `LinformerAttention::frozen`: its weights lie as products read them
/// and never change, so that any number of threads may share it.
template <Scalar T>
using FrozenAttention = LinformerAttention<T, FrozenWeights<T>>;

}  // namespace linformer::inline LINFORMER_ABI
