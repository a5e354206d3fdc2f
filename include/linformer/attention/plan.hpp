#pragma once

#include <linformer/core/error.hpp>

#include <limits>

namespace linformer::inline LINFORMER_ABI {

/// The order in which a layer's products are taken. All give the same result, up to rounding.
enum class Order {
  direct,        ///< E·(X·W), the paper's: project all n tokens to keys, then to k rows
  reassociated,  ///< (E·X)·W: project the sequence once to k rows, then those to keys; needs E to commute with features
  absorbed,  ///< reassociated, and W_Q and W_O folded into keys and values: X·(W_Qᵀ·K̄ᵀ), P̄·(V̄·W_Oᵀ); pays for small k
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
  double absorbed = 0;      ///< the same, absorbed; infinite where E does not commute
  double softmax = 0;       ///< operations of O(n²) softmax attention, materialised or tiled

  /// Operations of the order chosen.
  [[nodiscard]] constexpr double operations() const { return operations(order); }
  /// Operations of an order.
  [[nodiscard]] constexpr double operations(Order of) const {
    return of == Order::direct ? direct : of == Order::reassociated ? reassociated : absorbed;
  }
  /// Whether tiled softmax attention would execute fewer operations still.
  [[nodiscard]] constexpr bool softmax_is_cheaper() const { return softmax < operations(); }
};

/// Chooses the order with fewest operations: a pure function of shapes.
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
  plan.reassociated = plan.absorbed = std::numeric_limits<double>::infinity();
  if (shape.commutes) {
    const double keys_and_values_of_context =
        2 * static_cast<double>(shape.distinct_projections) * entries * context_width + 4 * k * context_width * width;
    const auto model_width = static_cast<double>(shape.model_width);
    plan.reassociated = keys_and_values_of_context + query_and_output + 4 * q * k * width;
    plan.absorbed = keys_and_values_of_context + 4 * k * model_width * width +
                    4 * q * static_cast<double>(shape.heads) * k * model_width;
  }
  plan.softmax = query_and_output + keys_and_values + 4 * q * m * width;
  for (const Order order : {Order::reassociated, Order::absorbed}) {
    if (plan.operations(order) < plan.operations()) plan.order = order;
  }
  return plan;
}

}  // namespace linformer::inline LINFORMER_ABI
