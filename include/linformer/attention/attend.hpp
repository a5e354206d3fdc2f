#pragma once

#include <linformer/kernels/attend_tile.hpp>

namespace linformer::inline LINFORMER_ABI {

/// E·X for a matrix of your own: the first m columns of E (k × n) times X (m × c), m ≤ n.
/// @throws Error sequence_too_long if X has more rows than E columns
template <class E, SameScalarAs<E> X>
[[nodiscard]] Matrix<typename E::Scalar> project(const Eigen::MatrixBase<E>& e, const Eigen::MatrixBase<X>& x) {
  using T = typename E::Scalar;
  detail::require(x.rows() <= e.cols(), ErrorCode::sequence_too_long, "x",
                  "at most " + std::to_string(e.cols()) + " rows, the columns of E", std::to_string(x.rows()));
  const Matrix<T> columns = e.leftCols(x.rows()).transpose();
  const Matrix<T> features = x;
  Matrix<T> result(e.rows(), x.cols());
  multiply<T>(default_isa(), columns, features, result);
  return result;
}

namespace detail {

/// softmax(Q·Kᵀ/√d)·V of one head, on the calling thread. @param out queries × d_v: written
template <Scalar T>
void attend_rows(const ConstMatrixRef<T>& q, const ConstMatrixRef<T>& k, const ConstMatrixRef<T>& v, MatrixRef<T> out,
                 const Compute& compute) {
  if (k.rows() == 0) {
    out.setZero();
    return;
  }
  const Workspace::Scope scope(compute.workspace);
  const auto queries = transposed<T>(q, compute);
  auto keys = transposed<T>(k, compute);
  keys /= std::sqrt(static_cast<T>(q.cols()));
  auto result = compute.workspace.template matrix<T>(v.cols(), q.rows());
  AttendTile<T> tile(std::min(key_tile, k.rows()), std::min(query_tile, q.rows()), compute);
  for (Index query = 0; query < q.rows(); query += query_tile) {
    const Index count = std::min(query_tile, q.rows() - query);
    MatrixRef<T> its_result = result.middleCols(query, count);
    tile.begin(count);
    for (Index key = 0; key < k.rows(); key += key_tile) {
      const Index taken = std::min(key_tile, k.rows() - key);
      tile.absorb(queries.middleCols(query, count), keys.middleCols(key, taken), v.middleRows(key, taken), nullptr,
                  its_result, key + taken == k.rows(), [](const auto&, const auto&) {});
    }
  }
  transpose<T>(compute.isa, result, out);
}

}  // namespace detail

/// Attention of one head over rows as they are, no weights: softmax(Q·Kᵀ/√d)·V (Eq. 2).
/// @param q queries × d, @param k keys × d, @param v keys × d_v. @return queries × d_v; zero where there are no keys
/// @throws Error shape_mismatch
template <class Q, SameScalarAs<Q> K, SameScalarAs<Q> V>
[[nodiscard]] Matrix<typename Q::Scalar> attend(const Eigen::MatrixBase<Q>& q, const Eigen::MatrixBase<K>& k,
                                                const Eigen::MatrixBase<V>& v) {
  using T = typename Q::Scalar;
  detail::require_shape("k", k.rows(), k.cols(), k.rows(), q.cols());
  detail::require_shape("v", v.rows(), v.cols(), k.rows(), v.cols());
  Matrix<T> result(q.rows(), v.cols());
  Workspace workspace;
  detail::attend_rows<T>(q.derived(), k.derived(), v.derived(), result, {workspace, default_isa()});
  return result;
}

/// Linformer attention of one head as the paper writes it (Eq. 7): softmax(Q·(E·K)ᵀ/√d)·(F·V). Fewer keys than E has
/// columns use its first ones.
/// @param q queries × d, @param k m × d, @param v m × d_v, @param e k × n, @param f k × n, m ≤ n
/// @throws Error shape_mismatch or sequence_too_long
template <class Q, SameScalarAs<Q> K, SameScalarAs<Q> V, SameScalarAs<Q> E, SameScalarAs<Q> F>
[[nodiscard]] Matrix<typename Q::Scalar> attend(const Eigen::MatrixBase<Q>& q, const Eigen::MatrixBase<K>& k,
                                                const Eigen::MatrixBase<V>& v, const Eigen::MatrixBase<E>& e,
                                                const Eigen::MatrixBase<F>& f) {
  detail::require_shape("f", f.rows(), f.cols(), e.rows(), e.cols());
  detail::require_shape("k", k.rows(), k.cols(), k.rows(), q.cols());
  detail::require_shape("v", v.rows(), v.cols(), k.rows(), v.cols());
  return attend(q, project(e, k), project(f, v));
}

}  // namespace linformer::inline LINFORMER_ABI
