#pragma once

#include <linformer/kernels/operand.hpp>
#include <linformer/kernels/product_terms.hpp>

namespace linformer::inline LINFORMER_ABI {

// The one product that everything above is written against, aᵀ·b of row-major operands: the inner dimension runs down
// the rows of both, so that a tile of the result reads both in place, row after row, and nothing need be packed;
// weights, read again by every tile of rows, may come in panels. Each result is within γ_p·|aᵀ||b| of the exact
// product, p the inner dimension, γ_p = p·u / (1 − p·u); every term beside it is one rounding more. Operands of bf16
// are rounded, by at most 2⁻⁸ of each value; their product is summed in `float` as above, but the bf16 instructions
// take and give zero for denormals. Inf and NaN propagate as in IEEE sums, whose order is the path's: a sum that
// overflows on the way may do so on one path alone. One call runs on the calling thread alone.

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

/// The product on Isa::eigen.
template <Scalar T, class Left, class Right>
void reference_product(const Left& a, const Right& b, MatrixRef<T> out, const ProductTerms<T>& terms) {
  const SingleThreadedProduct guard;
  using Row = Eigen::Map<const Eigen::Array<T, 1, Eigen::Dynamic>>;
  if (!terms.add) {
    out.noalias() = a.transpose() * b;
  } else {
    if (terms.kept != nullptr) out.array().rowwise() *= Row(terms.kept, out.cols());
    out.noalias() += a.transpose() * b;
  }
  if (terms.row_bias != nullptr) out.colwise() += Eigen::Map<const Vector<T>>(terms.row_bias, out.rows());
  if (terms.column_bias != nullptr) out.array().rowwise() += Row(terms.column_bias, out.cols());
  if (terms.column_factor != nullptr) out.array().rowwise() *= Row(terms.column_factor, out.cols());
}

}  // namespace detail

/// out = aᵀ·b: (p × m)ᵀ·(p × n), both of one precision, and the terms beside it. @param b not in panels
template <Scalar T>
void multiply(Isa isa, const Operand<T>& a, const Operand<T>& b, MatrixRef<T> out, const ProductTerms<T>& terms = {}) {
  eigen_assert(a.rows() == b.rows() && out.rows() == a.cols() && out.cols() == b.cols());
  eigen_assert(a.precision() == b.precision());
  const auto right = b.words();
  if constexpr (std::same_as<T, float>) {
#if LINFORMER_HAS_VECTOR_KERNELS
    if (isa != Isa::eigen) {
      const detail::VectorKernels& kernels = detail::vector_kernels(isa);
      (a.precision() == Precision::full ? kernels.product : kernels.product_of_pairs)(
          out.rows(), out.cols(), right.rows(), a.data(), a.row_stride(), a.panel_stride(), right.data(),
          right.outerStride(), out.data(), out.outerStride(), terms);
      return;
    }
#endif
    if (a.precision() == Precision::bf16) {
      detail::reference_product<T>(values_of(a), values_of(b), out, terms);
      return;
    }
  }
  if (a.in_panels()) {
    detail::reference_product<T>(values_of(a), right, out, terms);
    return;
  }
  detail::reference_product<T>(a.words(), right, out, terms);
}

/// out += aᵀ·b: (p × m)ᵀ·(p × n), both of one precision.
template <Scalar T>
void multiply_add(Isa isa, const Operand<T>& a, const Operand<T>& b, MatrixRef<T> out) {
  multiply<T>(isa, a, b, out, {.add = true});
}

/// out = inᵀ.
template <Scalar T>
void transpose(Isa isa, const ConstMatrixRef<T>& in, MatrixRef<T> out) {
  eigen_assert(out.rows() == in.cols() && out.cols() == in.rows());
#if LINFORMER_HAS_VECTOR_KERNELS
  if constexpr (std::same_as<T, float>) {
    if (isa != Isa::eigen) {
      detail::vector_kernels(isa).transpose(in.rows(), in.cols(), in.data(), in.outerStride(), out.data(),
                                            out.outerStride());
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

/// inᵀ in panels, in scratch memory, for products that read it as a; as it is where no kernel reads panels.
template <Scalar T>
[[nodiscard]] Operand<T> transposed_in_panels(const ConstMatrixRef<T>& in, const Compute& compute) {
  constexpr Index width = detail::panel_columns;
  if (!std::same_as<T, float> || compute.isa == Isa::eigen) return transposed<T>(in, compute);
  auto panels = compute.workspace.matrix<T>((in.rows() + width - 1) / width, width * in.cols());
  for (Index i = 0; i < panels.rows(); ++i) {
    const Index count = std::min(width, in.rows() - i * width);
    Eigen::Map<Matrix<T>, 0, Eigen::OuterStride<>> panel(panels.row(i).data(), in.cols(), count,
                                                         Eigen::OuterStride<>(width));
    transpose<T>(compute.isa, in.middleRows(i * width, count), panel);
  }
  return Operand<T>::in_panels(panels, in.cols(), in.rows(), Precision::full);
}

}  // namespace linformer::inline LINFORMER_ABI
