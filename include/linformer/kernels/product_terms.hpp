#pragma once

#include <linformer/core/matrix.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What else a product does while its result (m × n) is in registers: out = (out·kept + aᵀ·b + r·1ᵀ + 1·cᵀ)·factor,
/// where `kept` and `factor` scale columns. Null means absent.
template <Scalar T>
struct ProductTerms {
  bool add = false;                  ///< whether what `out` held is added to
  const T* kept = nullptr;           ///< n: what it is multiplied with first
  const T* row_bias = nullptr;       ///< r: m
  const T* column_bias = nullptr;    ///< c: n
  const T* column_factor = nullptr;  ///< factor: n
};

}  // namespace linformer::inline LINFORMER_ABI
