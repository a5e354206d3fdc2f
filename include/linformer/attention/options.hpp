#pragma once

#include <linformer/attention/projected_context.hpp>
#include <linformer/core/batch.hpp>
#include <linformer/kernels/compute.hpp>
#include <linformer/nn/dropout.hpp>
#include <linformer/parallel/world_view.hpp>

#include <optional>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// P̄ before dropout: one matrix for each sequence and head, at sequence · h + head; a row for each query, a column for
/// each of the k projected rows (softmax attention: for each position of the context). What takes no part is zero.
template <Scalar T>
using Probabilities = std::vector<Matrix<T>>;

/// A nullable, non-owning view of a context for cross-attention: the rows of one sequence, or a ragged batch.
template <Scalar T>
class ContextView {
 public:
  ContextView() = default;
  template <RowMajorMemory<T> Derived>
  ContextView(const Eigen::MatrixBase<Derived>& rows) : rows_(rows) {}  // NOLINT(google-explicit-constructor): a view
  ContextView(const Batch<T>& batch)                                    // NOLINT(google-explicit-constructor)
      : rows_(batch.rows), layout_(&batch.layout) {}

  [[nodiscard]] explicit operator bool() const noexcept { return bool(rows_); }
  [[nodiscard]] const MatrixView<T>& rows() const noexcept { return rows_; }
  /// Null for one sequence.
  [[nodiscard]] const BatchLayout* layout() const noexcept { return layout_; }

 private:
  MatrixView<T> rows_;
  const BatchLayout* layout_ = nullptr;
};

/// What a call may ask for. All fields may be left out.
template <Scalar T>
struct ForwardOptions {
  Index threads = 1;                          ///< that compute, the caller among them; ignored if there is a pool
  Workspace* workspace = nullptr;             ///< scratch memory to reuse; null allocates for this call
  ContextView<T> context{};                   ///< cross-attention; none means self-attention
  MaskView mask{};                            ///< 1 × rows of x, true = present; single sequences only
  MaskView context_mask{};                    ///< 1 × rows of the context
  Probabilities<T>* probabilities = nullptr;  ///< receives P̄
  std::optional<Order> order{};               ///< overrides the planner
  std::optional<DropoutAddress> dropout{};    ///< a training call: dropout at the configured rate
  ThreadPool* pool = nullptr;                 ///< threads that outlast the call; null creates them for this call
  std::optional<Isa> isa{};                   ///< instruction set; none means `default_isa()`
  /// Processes that hold the other tokens of the same context, each token once; the layout says which are here
  /// (`BatchLayout::part`). None means that all are here. Every process of it makes the same call.
  WorldView sequence{};
  /// Receives the projected context of each whole sequence, for backward to save an all-reduce.
  std::vector<ProjectedContext<T>>* contexts = nullptr;
};

/// What one call computes with: the caller's threads and scratch memory, or its own.
class CallResources {
 public:
  /// @throws Error unsupported if the processor lacks the instruction set asked for
  template <Scalar T>
  explicit CallResources(const ForwardOptions<T>& options)
      : execution_{options.pool != nullptr ? *options.pool : own_pool_.emplace(options.threads),
                   options.workspace != nullptr ? *options.workspace : own_workspace_,
                   options.isa.value_or(default_isa())} {
    detail::require(is_supported(execution_.isa), ErrorCode::unsupported, "isa", "an instruction set of this processor",
                    name_of(execution_.isa));
  }
  CallResources(const CallResources&) = delete;
  CallResources& operator=(const CallResources&) = delete;

  [[nodiscard]] const Execution& execution() const { return execution_; }

 private:
  std::optional<ThreadPool> own_pool_;
  Workspace own_workspace_;
  Execution execution_;
};

}  // namespace linformer::inline LINFORMER_ABI
