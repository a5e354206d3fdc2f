#pragma once

#include <linformer/kernels/compute.hpp>
#include <linformer/kernels/vector_kernels.hpp>

namespace linformer::inline LINFORMER_ABI {

// The one product that everything above is written against, aᵀ·b of row-major operands: the inner dimension runs down
// the rows of both, so that a tile of the result reads both in place, row after row, and nothing need be packed. Each
// result is within γ_p·|aᵀ||b| of the exact product, p the inner dimension, γ_p = p·u / (1 − p·u). Inf and NaN
// propagate as in IEEE sums. One call runs on the calling thread alone.

namespace detail {

/// Keeps Eigen's product on the calling thread where the consumer compiles with OpenMP, which makes Eigen spawn
/// threads. The count of OpenMP threads is a property of the calling thread and is restored.
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

template <Scalar T>
void product(Isa isa, const ConstMatrixRef<T>& a, const ConstMatrixRef<T>& b, MatrixRef<T> out, bool add) {
  eigen_assert(a.rows() == b.rows() && out.rows() == a.cols() && out.cols() == b.cols());
#if LINFORMER_HAS_VECTOR_KERNELS
  if constexpr (std::same_as<T, float>) {
    if (isa != Isa::eigen) {
      const auto run = isa == Isa::avx512 ? avx512::product : avx2::product;
      run(out.rows(), out.cols(), a.rows(), a.data(), a.outerStride(), b.data(), b.outerStride(), out.data(),
          out.outerStride(), add);
      return;
    }
  }
#endif
  const SingleThreadedProduct guard;
  if (add) {
    out.noalias() += a.transpose() * b;
  } else {
    out.noalias() = a.transpose() * b;
  }
}

}  // namespace detail

/// out = aᵀ·b: (p × m)ᵀ·(p × n).
template <Scalar T>
void multiply(Isa isa, const ConstMatrixRef<T>& a, const ConstMatrixRef<T>& b, MatrixRef<T> out) {
  detail::product<T>(isa, a, b, out, false);
}

/// out += aᵀ·b: (p × m)ᵀ·(p × n).
template <Scalar T>
void multiply_add(Isa isa, const ConstMatrixRef<T>& a, const ConstMatrixRef<T>& b, MatrixRef<T> out) {
  detail::product<T>(isa, a, b, out, true);
}

/// out = inᵀ.
template <Scalar T>
void transpose(Isa isa, const ConstMatrixRef<T>& in, MatrixRef<T> out) {
  eigen_assert(out.rows() == in.cols() && out.cols() == in.rows());
#if LINFORMER_HAS_VECTOR_KERNELS
  if constexpr (std::same_as<T, float>) {
    if (isa != Isa::eigen) {
      const auto run = isa == Isa::avx512 ? avx512::transpose : avx2::transpose;
      run(in.rows(), in.cols(), in.data(), in.outerStride(), out.data(), out.outerStride());
      return;
    }
  }
#endif
  out = in.transpose();
}

/// inᵀ in scratch memory.
template <Scalar T>
[[nodiscard]] ScratchMatrix<T> transposed(const ConstMatrixRef<T>& in, const Compute& compute) {
  auto out = compute.workspace.matrix<T>(in.cols(), in.rows());
  transpose<T>(compute.isa, in, out);
  return out;
}

}  // namespace linformer::inline LINFORMER_ABI
