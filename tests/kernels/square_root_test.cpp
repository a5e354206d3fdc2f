#include <linformer/kernels/square_root.hpp>

#include "support/catch.hpp"

#include <cmath>
#include <limits>
#include <vector>

using namespace linformer;

TEMPLATE_TEST_CASE("roots are those of IEEE 754, to the bit, wherever they stand", "[square_root]", float, double) {
  using T = TestType;
  using Limits = std::numeric_limits<T>;
  std::vector<T> values{
      0, -T{0}, 1, 2, 3, T(0.1), Limits::denorm_min(), Limits::min(), Limits::max(), Limits::infinity(), 5, 7};
  for (int i = 0; i < 1000; ++i) values.push_back(std::exp(T(0.07) * static_cast<T>(i - 500)));
  for (std::size_t begin = 0; begin < 6; ++begin) {
    std::vector<T> roots = values;
    square_roots(std::span<T>(roots).subspan(begin));
    for (std::size_t i = 0; i < values.size(); ++i) {
      CAPTURE(begin, i, values[i]);
      CHECK(roots[i] == (i < begin ? values[i] : std::sqrt(values[i])));
    }
  }
  std::vector<T> negative(9, T{-1});
  square_roots(std::span<T>(negative));
  for (const T root : negative) CHECK(std::isnan(root));
}
