#pragma once

#include <linformer/attention/projection.hpp>

namespace linformer::inline LINFORMER_ABI {

// Backward of S = E·Z of some tokens of one sequence, for every kind of projection. Of pooling by the mean, G, the
// gradient of S, comes divided by the count of tokens that reached each row.

namespace detail {

/// features_gradient (tokens × c) += E[:, tokens]ᵀ·G, of a projection whose columns are written as rows of a tile.
template <Scalar T, class WriteRows>
void dense_features_backward(const Positions& tokens, const ConstMatrixRef<T>& sum_gradient,
                             MatrixRef<T> features_gradient, const Compute& compute, const WriteRows& write_rows) {
  constexpr Index tile_tokens = 256;
  const Workspace::Scope scope(compute.workspace);
  auto rows = compute.workspace.matrix<T>(sum_gradient.rows(), std::min(tile_tokens, tokens.count));
  for (Index begin = 0; begin < tokens.count; begin += tile_tokens) {
    const Positions part = tokens.slice(begin, std::min(tile_tokens, tokens.count - begin));
    MatrixRef<T> of_part = rows.leftCols(part.count);
    write_rows(part, of_part);
    multiply_add<T>(compute.isa, of_part, sum_gradient, features_gradient.middleRows(begin, part.count));
  }
}

template <Scalar T>
void features_backward(const LearnedProjection<T>& projection, const Positions& tokens, const ConstMatrixRef<T>&,
                       MatrixRef<T> sum_gradient, const ConstMatrixRef<T>&, MatrixRef<T> features_gradient,
                       const Compute& compute) {
  if (tokens.list == nullptr) {
    multiply_add<T>(compute.isa, projection.weight.middleCols(tokens.first - projection.first, tokens.count),
                    sum_gradient, features_gradient);
    return;
  }
  dense_features_backward<T>(tokens, sum_gradient, features_gradient, compute,
                             [&](const Positions& part, MatrixRef<T> rows) {
                               for (Index j = 0; j < part.count; ++j)
                                 rows.col(j) = projection.weight.col(part[j] - projection.first);
                             });
}

template <Scalar T>
void features_backward(const FixedProjection<T>& projection, const Positions& tokens, const ConstMatrixRef<T>&,
                       MatrixRef<T> sum_gradient, const ConstMatrixRef<T>&, MatrixRef<T> features_gradient,
                       const Compute& compute) {
  dense_features_backward<T>(tokens, sum_gradient, features_gradient, compute,
                             [&](const Positions& part, MatrixRef<T> rows) {
                               const Workspace::Scope scope(compute.workspace);
                               auto columns = compute.workspace.matrix<T>(part.count, projection.rows());
                               projection.read_columns(part, columns);
                               transpose<T>(compute.isa, columns, rows);
                             });
}

template <Scalar T, class W>
void features_backward(const MeanPooling<T, W>& projection, const Positions& tokens, const ConstMatrixRef<T>&,
                       MatrixRef<T> sum_gradient, const ConstMatrixRef<T>&, MatrixRef<T> features_gradient,
                       const Compute&) {
  projection.for_each_row(tokens,
                          [&](Index j, Index row) { features_gradient.row(j) += sum_gradient.row(row); });
}

/// The first token that holds a window's maximum takes its gradient, which is zero afterwards.
template <Scalar T>
void features_backward(const MaxPooling<T>& projection, const Positions& tokens, const ConstMatrixRef<T>& features,
                       MatrixRef<T> sum_gradient, const ConstMatrixRef<T>& sum, MatrixRef<T> features_gradient,
                       const Compute&) {
  projection.for_each_row(tokens, [&](Index j, Index row) {
    for (Index c = 0; c < features.cols(); ++c) {
      if (features(j, c) != sum(row, c)) continue;
      features_gradient(j, c) += sum_gradient(row, c);
      sum_gradient(row, c) = 0;
    }
  });
}

template <Scalar T>
void features_backward(const Convolution<T>& projection, const Positions& tokens, const ConstMatrixRef<T>&,
                       MatrixRef<T> sum_gradient, const ConstMatrixRef<T>&, MatrixRef<T> features_gradient,
                       const Compute&) {
  projection.for_each_row(tokens, [&](Index j, Index row) {
    features_gradient.row(j) += projection.weight(tokens[j] - projection.first(row)) * sum_gradient.row(row);
  });
}

template <Scalar T>
void features_backward(const DepthwiseConvolution<T>& projection, const Positions& tokens, const ConstMatrixRef<T>&,
                       MatrixRef<T> sum_gradient, const ConstMatrixRef<T>&, MatrixRef<T> features_gradient,
                       const Compute&) {
  projection.for_each_row(tokens, [&](Index j, Index row) {
    features_gradient.row(j) +=
        projection.weight.col(tokens[j] - projection.first(row)).transpose().cwiseProduct(sum_gradient.row(row));
  });
}

template <Scalar T>
void features_backward(const FrozenProjection<T>&, const Positions&, const ConstMatrixRef<T>&, MatrixRef<T>,
                       const ConstMatrixRef<T>&, MatrixRef<T>, const Compute&) {
  throw Error(ErrorCode::unsupported, "backward", "a layer whose weights train", "a frozen one");
}

template <Scalar T>
void weight_backward(const Positions& tokens, const ConstMatrixRef<T>& features, const ConstMatrixRef<T>& sum_gradient,
                     const Vector<T>& ones_gradient, LearnedProjection<T>& gradient, const Compute& compute) {
  const Workspace::Scope scope(compute.workspace);
  const auto columns = transposed<T>(features, compute);          // c × tokens
  const auto sum_columns = transposed<T>(sum_gradient, compute);  // c × k
  const auto add_to = [&](MatrixRef<T> weight) {
    multiply<T>(compute.isa, sum_columns, columns, weight, {.add = true, .row_bias = ones_gradient.data()});
  };
  if (tokens.list == nullptr) {
    add_to(gradient.weight.middleCols(tokens.first - gradient.first, tokens.count));
    return;
  }
  auto part = compute.workspace.matrix<T>(gradient.rows(), tokens.count);
  part.setZero();
  add_to(part);
  for (Index j = 0; j < tokens.count; ++j) gradient.weight.col(tokens[j] - gradient.first) += part.col(j);
}

template <Scalar T>
void weight_backward(const Positions& tokens, const ConstMatrixRef<T>& features, const ConstMatrixRef<T>& sum_gradient,
                     const Vector<T>& ones_gradient, Convolution<T>& gradient, const Compute&) {
  gradient.for_each_row(tokens, [&](Index j, Index row) {
    gradient.weight(tokens[j] - gradient.first(row)) += features.row(j).dot(sum_gradient.row(row)) + ones_gradient(row);
  });
}

template <Scalar T>
void weight_backward(const Positions& tokens, const ConstMatrixRef<T>& features, const ConstMatrixRef<T>& sum_gradient,
                     const Vector<T>&, DepthwiseConvolution<T>& gradient, const Compute&) {
  gradient.for_each_row(tokens, [&](Index j, Index row) {
    gradient.weight.col(tokens[j] - gradient.first(row)) +=
        features.row(j).cwiseProduct(sum_gradient.row(row)).transpose();
  });
}

}  // namespace detail

/// features_gradient (tokens × c) += Eᵀ·G of these tokens.
/// @param features what was projected, tokens × c; read for pooling by the maximum alone, as is `sum` (k × c)
/// @param sum_gradient G, k × c. Pooling by the maximum sets to zero what it has handed on, so that only the first of
///   equal tokens takes it: tokens must come in order.
/// @throws Error unsupported for a frozen projection
template <Scalar T>
void features_backward(const Projection<T>& projection, const Positions& tokens, const ConstMatrixRef<T>& features,
                       MatrixRef<T> sum_gradient, const ConstMatrixRef<T>& sum, MatrixRef<T> features_gradient,
                       const Compute& compute) {
  std::visit(
      [&](const auto& kind) {
        detail::features_backward<T>(kind, tokens, features, sum_gradient, sum, features_gradient, compute);
      },
      projection.kind());
}

/// Whether tokens at different positions train different weights, so that cuts of the sequence may run at once.
template <Scalar T>
[[nodiscard]] bool trains_by_position(const Projection<T>& projection) {
  return std::holds_alternative<LearnedProjection<T>>(projection.kind());
}

/// Adds to the gradient of E what these tokens give: G·Zᵀ + g·1ᵀ, g (k) the gradient of E·1. Of kinds without weights
/// nothing.
template <Scalar T>
void weight_backward(const Positions& tokens, const ConstMatrixRef<T>& features, const ConstMatrixRef<T>& sum_gradient,
                     const Vector<T>& ones_gradient, Projection<T>& gradient, const Compute& compute) {
  std::visit(
      [&](auto& kind) {
        if constexpr (requires {
                        detail::weight_backward<T>(tokens, features, sum_gradient, ones_gradient, kind, compute);
                      }) {
          detail::weight_backward<T>(tokens, features, sum_gradient, ones_gradient, kind, compute);
        }
      },
      gradient.kind());
}

}  // namespace linformer::inline LINFORMER_ABI
