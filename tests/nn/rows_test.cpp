#include <linformer/nn/rows.hpp>

#include "support/attention_support.hpp"
#include "support/resources.hpp"

namespace {

// More than two tasks of rows, the last one short; a width that no vector divides.
constexpr Index count = 2 * detail::row_tile + 13, width = 19;

}  // namespace

TEMPLATE_TEST_CASE("rows are added, copied, scaled and set to zero, by any number of threads", "[rows]", float,
                   double) {
  using T = TestType;
  const Matrix<T> a = random_matrix<T>(count, width, 1), b = random_matrix<T>(count, width, 2);
  for (const Index threads : {1, 3}) {
    Resources resources(threads);
    Matrix<T> to = b;
    detail::add_rows<T>(a, to, resources.execution);
    REQUIRE(same_bits<T>(to, a + b));
    detail::copy_rows<T>(a, to, resources.execution);
    REQUIRE(same_bits(to, a));
    detail::scale_rows<T>(to, T{3}, to, resources.execution);
    REQUIRE(same_bits<T>(to, a * T{3}));
    detail::scale_rows<T>(b, T{3}, to, resources.execution);
    REQUIRE(same_bits<T>(to, b * T{3}));
    detail::zero_rows<T>(to, resources.execution);
    REQUIRE(same_bits<T>(to, Matrix<T>::Zero(count, width)));
    Matrix<T> none(0, width);
    detail::copy_rows<T>(none, none, resources.execution);
  }
}

TEMPLATE_TEST_CASE("GELU and its gradient of rows are the kernels', by any number of threads", "[rows]", float,
                   double) {
  using T = TestType;
  const Matrix<T> x = random_matrix<T>(count, width, 1), slopes = random_matrix<T>(count, width, 2);
  for (const Gelu form : {Gelu::exact, Gelu::tanh}) {
    for (const Index threads : {1, 3}) {
      Resources resources(threads);
      Matrix<T> expected = x, expected_slopes = slopes;
      gelu<T>(resources.execution.isa, form, expected);
      gelu_gradient<T>(resources.execution.isa, form, x, expected_slopes);
      Matrix<T> to = Matrix<T>::Zero(count, width);
      detail::gelu_rows<T>(form, x, to, resources.execution);
      REQUIRE(same_bits(to, expected));
      to = x;
      detail::gelu_rows<T>(form, to, to, resources.execution);
      REQUIRE(same_bits(to, expected));
      to = slopes;
      detail::gelu_gradient_rows<T>(form, x, to, resources.execution);
      REQUIRE(same_bits(to, expected_slopes));
    }
  }
}
