#pragma once

#include <linformer/core/matrix.hpp>
#include <linformer/kernels/vector_kernels.hpp>

#include <span>

namespace linformer::inline LINFORMER_ABI {

/// sum += part, element by element, what each rounding loses being added to error (Knuth's two-sum): sum + error
/// changes by part, exactly but for the rounding of error. Of one length; the paths give the same bits. An error whose
/// sum became infinite or NaN is NaN.
template <Scalar T>
void add_compensated(Isa isa, std::span<T> sum, std::span<T> error, std::span<const T> part) {
  eigen_assert(sum.size() == part.size() && error.size() == part.size());
#if LINFORMER_HAS_VECTOR_KERNELS
  if constexpr (std::same_as<T, float>) {
    if (isa != Isa::eigen) {
      detail::vector_kernels(isa).add_compensated(static_cast<Index>(sum.size()), sum.data(), error.data(),
                                                  part.data());
      return;
    }
  }
#endif
  for (std::size_t i = 0; i < sum.size(); ++i) {
    const T whole = sum[i] + part[i];
    const T added = whole - sum[i];
    error[i] += (sum[i] - (whole - added)) + (part[i] - added);
    sum[i] = whole;
  }
}

}  // namespace linformer::inline LINFORMER_ABI
