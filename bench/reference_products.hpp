#pragma once

#include "onednn_product.hpp"
#include "openblas_product.hpp"
#include "prepared_product.hpp"

#include <linformer/kernels/compute.hpp>

#include <vector>

// The products of other libraries that stand beside ours, of those that the build found.

namespace linformer::bench {

struct ReferenceProduct {
  const char* name;
  /// aᵀ·b of p × m and p × n, operands of a `Precision`, on one thread.
  PreparedProduct (*prepare)(const ConstMatrixRef<float>& a, const ConstMatrixRef<float>& b);
};

[[nodiscard]] inline std::vector<ReferenceProduct> reference_products([[maybe_unused]] Precision precision) {
  std::vector<ReferenceProduct> products;
#ifdef LINFORMER_BENCH_OPENBLAS
  if (precision == Precision::full) products.push_back({"openblas", openblas_product});
#endif
#ifdef LINFORMER_BENCH_ONEDNN
  if (onednn_offers(precision)) {
    if (precision == Precision::full) {
      products.push_back({"onednn", onednn_product<Precision::full, OnednnLayout::ours>});
      products.push_back({"onednn_packed", onednn_product<Precision::full, OnednnLayout::packed>});
    } else {
      products.push_back({"onednn", onednn_product<Precision::bf16, OnednnLayout::ours>});
      products.push_back({"onednn_packed", onednn_product<Precision::bf16, OnednnLayout::packed>});
    }
  }
#endif
  return products;
}

}  // namespace linformer::bench
