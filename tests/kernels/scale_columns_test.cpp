#include <linformer/kernels/scale_columns.hpp>

#include "kernels/reference.hpp"
#include "support/catch.hpp"
#include "support/isa.hpp"

using namespace linformer;
using reference::Framed;
using reference::Numbers;

TEMPLATE_TEST_CASE("columns are scaled with one rounding, and nothing beside them", "[scale_columns]", float, double) {
  using T = TestType;
  for (const Index rows : {0, 1, 5}) {
    for (const Index cols : {0, 1, 15, 16, 33}) {
      Numbers numbers(static_cast<std::uint64_t>(rows + 100 * cols));
      const Matrix<T> m = numbers.matrix<T>(rows, cols), factors = numbers.matrix<T>(1, cols);
      for (const Isa isa : supported_isas()) {
        CAPTURE(rows, cols, static_cast<int>(isa));
        Framed<T> out(m);
        scale_columns<T>(isa, out.inside(), factors);
        for (Index i = 0; i < rows; ++i) {
          for (Index j = 0; j < cols; ++j) CHECK(out.inside()(i, j) == m(i, j) * factors(0, j));
        }
        CHECK(out.frame_is_intact());
      }
    }
  }
}
