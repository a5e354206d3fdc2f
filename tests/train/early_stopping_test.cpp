#include <linformer/train/early_stopping.hpp>

#include "support/catch.hpp"

#include <cmath>
#include <limits>

using namespace linformer;

TEST_CASE("a loss that no longer falls stops after as many evaluations as there is patience", "[early_stopping]") {
  EarlyStopping stopping{.patience = 2};
  CHECK(std::isnan(stopping.best));
  CHECK(stopping.update(3));
  CHECK(stopping.update(2));
  CHECK_FALSE(stopping.update(2));
  CHECK_FALSE(stopping.should_stop());
  CHECK(stopping.update(1.5));
  CHECK_FALSE(stopping.update(1.75));
  CHECK_FALSE(stopping.should_stop());
  CHECK_FALSE(stopping.update(1.5));
  CHECK(stopping.should_stop());
  CHECK(stopping.best == 1.5);
  CHECK(stopping.best_evaluation == 3);
  CHECK(stopping.evaluations == 6);
  CHECK(stopping.without_improvement == 2);
}

TEST_CASE("an accuracy must rise by more than min_delta", "[early_stopping]") {
  EarlyStopping stopping{.patience = 1, .min_delta = 0.25, .larger_is_better = true};
  CHECK(stopping.update(1));
  CHECK_FALSE(EarlyStopping(stopping).update(1.25));
  CHECK_FALSE(EarlyStopping(stopping).update(0.5));
  CHECK(stopping.update(1.5));
  CHECK_FALSE(stopping.should_stop());
}

TEST_CASE("NaN is never better, not even first, and never the bar", "[early_stopping]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EarlyStopping stopping{.patience = 2};
  CHECK_FALSE(stopping.update(nan));
  CHECK(stopping.update(5));
  CHECK_FALSE(stopping.update(nan));
  CHECK(stopping.best == 5);
  CHECK(stopping.update(4));
  CHECK_FALSE(stopping.should_stop());
}

TEST_CASE("without patience nothing stops", "[early_stopping]") {
  EarlyStopping stopping{.patience = 0};
  for (int i = 0; i < 100; ++i) stopping.update(1);
  CHECK_FALSE(stopping.should_stop());
}

TEST_CASE("infinities count as values", "[early_stopping]") {
  EarlyStopping stopping;
  CHECK(stopping.update(std::numeric_limits<double>::infinity()));
  CHECK(stopping.update(7));
}
