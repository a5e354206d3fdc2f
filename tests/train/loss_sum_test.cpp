#include <linformer/train/loss_sum.hpp>

#include "support/catch.hpp"

#include <cmath>

using namespace linformer;

TEST_CASE("losses and weights add up, and their quotient is the mean", "[loss_sum]") {
  LossSum sum;
  CHECK(std::isnan(sum.mean()));
  sum += {3, 4};
  sum += {5, 12};
  CHECK(sum.loss == 8);
  CHECK(sum.weight == 16);
  CHECK(sum.mean() == 0.5);
}
