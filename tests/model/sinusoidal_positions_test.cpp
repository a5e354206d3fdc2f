#include <linformer/model/sinusoidal_positions.hpp>

#include "support/catch.hpp"

using namespace linformer;

TEST_CASE("sinusoidal positions are the paper's", "[sinusoidal_positions]") {
  const Matrix<double> p = sinusoidal_positions<double>({0, 4}, 5);
  REQUIRE(p.row(0) == (Matrix<double>(1, 5) << 0, 1, 0, 1, 0).finished());
  for (Index t = 0; t < 4; ++t) {
    // Frequencies 1, 10000^(−2/5) and 10000^(−4/5) = 1/(10⁴)^0.4 and 1/(10⁴)^0.8; arguments err by a few units.
    const double slow = static_cast<double>(t) / 39.810717055349734,
                 slowest = static_cast<double>(t) / 1584.893192461114;
    REQUIRE(std::abs(p(t, 0) - std::sin(static_cast<double>(t))) < 1e-15);
    REQUIRE(std::abs(p(t, 3) - std::cos(slow)) < 1e-15);
    REQUIRE(std::abs(p(t, 4) - std::sin(slowest)) < 1e-15);
  }
}
