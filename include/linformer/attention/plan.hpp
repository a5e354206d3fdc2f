#pragma once

#include <linformer/core/error.hpp>

#include <limits>

namespace linformer::inline LINFORMER_ABI {

/// The order in which a layer's products are taken. Both give the same result, up to rounding.
enum class Order {
  direct,        ///< E·(X·W), the paper's: project all n tokens to keys, then to k rows
  reassociated,  ///< (E·X)·W: project the sequence once to k rows, then those to keys; needs E to commute with features
};

/// What the planner needs to know of a call on one sequence.
struct AttentionShape {
  Index queries = 0;               ///< rows of queries
  Index context = 0;               ///< tokens of the context
  Index model_width = 0;           ///< D
  Index context_width = 0;         ///< width of the context
  Index heads = 0;                 ///< h
  Index head_width = 0;            ///< d
  double projected_length = 0;     ///< k, its mean over heads
  Index distinct_projections = 1;  ///< matrices among the layer's E and F that differ
  bool commutes = true;            ///< (E·X)·W = E·(X·W)
  bool dense = true;               ///< E has k·n entries; otherwise one for each token
};

/// Operations of each order, a multiply-add counted as two, and the choice made.
struct Plan {
  Order order = Order::direct;
  double direct = 0;        ///< operations of a call in the direct order
  double reassociated = 0;  ///< the same, reassociated; infinite where E does not commute
  double softmax = 0;       ///< operations of O(n²) softmax attention, materialised or tiled

  /// Operations of the order chosen.
  [[nodiscard]] double operations() const { return order == Order::direct ? direct : reassociated; }
  /// Whether tiled softmax attention would execute fewer operations still.
  [[nodiscard]] bool softmax_is_cheaper() const { return softmax < operations(); }
};

/// Chooses the order with fewer operations: a pure function of shapes.
[[nodiscard]] constexpr Plan make_plan(const AttentionShape& shape) {
  const auto q = static_cast<double>(shape.queries);
  const auto m = static_cast<double>(shape.context);
  const auto width = static_cast<double>(shape.heads) * static_cast<double>(shape.head_width);  // h·d
  const auto context_width = static_cast<double>(shape.context_width);
  const double k = shape.projected_length;
  const double query_and_output = 4 * q * static_cast<double>(shape.model_width) * width;
  const double keys_and_values = 4 * m * context_width * width;  // of all tokens
  const double entries = shape.dense ? k * m : m;                // of one projection
  Plan plan;
  plan.direct = query_and_output + keys_and_values + 4 * entries * width + 4 * q * k * width;
  plan.reassociated = shape.commutes
                          ? query_and_output +
                                2 * static_cast<double>(shape.distinct_projections) * entries * context_width +
                                4 * k * context_width * width + 4 * q * k * width
                          : std::numeric_limits<double>::infinity();
  plan.softmax = query_and_output + keys_and_values + 4 * q * m * width;
  plan.order = plan.reassociated < plan.direct ? Order::reassociated : Order::direct;
  return plan;
}

}  // namespace linformer::inline LINFORMER_ABI
