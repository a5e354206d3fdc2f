#pragma once

#include <linformer/core/matrix.hpp>

namespace linformer::inline LINFORMER_ABI {

// The matrix products that everything above is written against. Operands are row-major; each result is within
// γ_p·|a||b| of the exact product, p the inner dimension, γ_p = p·u / (1 − p·u). Inf and NaN propagate as in IEEE sums.
// The products are Eigen's. One call runs on the calling thread alone.

namespace detail {

/// Keeps a product on the calling thread where the consumer compiles with OpenMP, which makes Eigen spawn threads.
/// The count of OpenMP threads is a property of the calling thread and is restored.
class SingleThreadedProduct {
 public:
#ifdef EIGEN_HAS_OPENMP
  SingleThreadedProduct() : threads_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~SingleThreadedProduct() { omp_set_num_threads(threads_); }
  SingleThreadedProduct(const SingleThreadedProduct&) = delete;
  SingleThreadedProduct& operator=(const SingleThreadedProduct&) = delete;

 private:
  int threads_;
#else
  SingleThreadedProduct() {}  // NOLINT(modernize-use-equals-default): a trivial guard would be reported as unused
#endif
};

}  // namespace detail

/// out = a·b: (m × p)·(p × n).
template <Scalar T>
void multiply(const ConstMatrixRef<T>& a, const ConstMatrixRef<T>& b, MatrixRef<T> out) {
  const detail::SingleThreadedProduct guard;
  out.noalias() = a * b;
}

/// out += a·b: (m × p)·(p × n).
template <Scalar T>
void multiply_add(const ConstMatrixRef<T>& a, const ConstMatrixRef<T>& b, MatrixRef<T> out) {
  const detail::SingleThreadedProduct guard;
  out.noalias() += a * b;
}

/// out += aᵀ·b: (p × m)ᵀ·(p × n).
template <Scalar T>
void multiply_transposed_add(const ConstMatrixRef<T>& a, const ConstMatrixRef<T>& b, MatrixRef<T> out) {
  const detail::SingleThreadedProduct guard;
  out.noalias() += a.transpose() * b;
}

/// out = a·bᵀ: (m × p)·(n × p)ᵀ.
template <Scalar T>
void multiply_by_transposed(const ConstMatrixRef<T>& a, const ConstMatrixRef<T>& b, MatrixRef<T> out) {
  const detail::SingleThreadedProduct guard;
  out.noalias() = a * b.transpose();
}

}  // namespace linformer::inline LINFORMER_ABI
