#include <linformer/core/tensor.hpp>

#include "support/catch.hpp"

#include <limits>

using namespace linformer;

namespace {

/// (2, 3, 4), element (b, t, c) = 100·b + 10·t + c + 1, NaN where token t of b is absent.
template <Scalar T, int Layout, class TensorIndex>
Eigen::Tensor<T, 3, Layout, TensorIndex> tensor_of(const TokenMask& mask) {
  Eigen::Tensor<T, 3, Layout, TensorIndex> tensor(2, 3, 4);
  for (TensorIndex b = 0; b < 2; ++b) {
    for (TensorIndex t = 0; t < 3; ++t) {
      for (TensorIndex c = 0; c < 4; ++c) {
        tensor(b, t, c) = mask(b, t) ? static_cast<T>(100 * b + 10 * t + c + 1) : std::numeric_limits<T>::quiet_NaN();
      }
    }
  }
  return tensor;
}

TokenMask mask_with_holes() {
  TokenMask mask(2, 3);
  mask << true, false, true, false, true, false;
  return mask;
}

template <Scalar T, int Layout, class TensorIndex>
void check_ragged() {
  const TokenMask mask = mask_with_holes();
  const Batch<T> batch = to_ragged(tensor_of<T, Layout, TensorIndex>(mask), mask);
  Matrix<T> expected(3, 4);
  expected << 1, 2, 3, 4, 21, 22, 23, 24, 111, 112, 113, 114;
  CHECK(batch.rows == expected);
  CHECK(batch.layout == BatchLayout::from_mask(mask));
}

template <int Layout, Scalar T>
void check_tensor(const Batch<T>& batch, Index n) {
  const auto tensor = to_tensor<Layout>(batch, n);
  const Matrix<T> padded = to_padded(batch, n);
  REQUIRE(tensor.dimension(0) == batch.layout.sequences());
  REQUIRE(tensor.dimension(1) == n);
  REQUIRE(tensor.dimension(2) == batch.rows.cols());
  for (Index b = 0; b < tensor.dimension(0); ++b) {
    for (Index t = 0; t < n; ++t) {
      for (Index c = 0; c < tensor.dimension(2); ++c) CHECK(tensor(b, t, c) == padded(b * n + t, c));
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("tensors of either order become ragged without their padding", "[tensor]", float, double) {
  check_ragged<TestType, Eigen::RowMajor, Eigen::DenseIndex>();
  check_ragged<TestType, Eigen::ColMajor, Eigen::DenseIndex>();
  check_ragged<TestType, Eigen::ColMajor, int>();
}

TEST_CASE("a ragged batch becomes a tensor of either order, absent tokens zero", "[tensor]") {
  const TokenMask mask = mask_with_holes();
  const Batch<double> batch = to_ragged(tensor_of<double, Eigen::RowMajor, Eigen::DenseIndex>(mask), mask);
  check_tensor<Eigen::RowMajor>(batch, 3);
  check_tensor<Eigen::ColMajor>(batch, 3);
  check_tensor<Eigen::ColMajor>(batch, 5);
  CHECK(to_tensor(batch, 3)(1, 1, 2) == 113);
  CHECK(to_tensor(batch, 3)(1, 0, 2) == 0);
  CHECK(to_tensor(Batch<double>{BatchLayout(), Matrix<double>(0, 4)}, 3).size() == 0);
}

TEST_CASE("tensors whose shape does not fit are an error", "[tensor]") {
  const TokenMask mask = mask_with_holes();
  const Eigen::Tensor<float, 3> longer(2, 4, 4), more(3, 3, 4);
  for (const auto* tensor : {&longer, &more}) {
    try {
      static_cast<void>(to_ragged(*tensor, mask));
      FAIL_CHECK("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::shape_mismatch);
      CHECK(error.tensor() == "token mask");
      CHECK(error.actual() == "2 x 3");
    }
  }
  const Batch<double> batch = to_ragged(tensor_of<double, Eigen::RowMajor, Eigen::DenseIndex>(mask), mask);
  CHECK_THROWS_AS(to_tensor(batch, 2), Error);
}
