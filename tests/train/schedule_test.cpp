#include <linformer/train/schedule.hpp>

#include "support/catch.hpp"

#include <cmath>

using namespace linformer;

TEST_CASE("linear warm-up and decay", "[schedule]") {
  const Schedule schedule{ScheduleKind::linear, 2, 4, 20};
  CHECK(schedule.learning_rate(0) == 0);
  CHECK(schedule.learning_rate(1) == 0.5);
  CHECK(schedule.learning_rate(2) == 1);
  CHECK(schedule.learning_rate(4) == 2);
  CHECK(schedule.learning_rate(8) == 1.5);
  CHECK(schedule.learning_rate(12) == 1);
  CHECK(schedule.learning_rate(19) == 0.125);
  CHECK(schedule.learning_rate(20) == 0);
  CHECK(schedule.learning_rate(1000) == 0);
}

TEST_CASE("the linear schedule is Hugging Face's at every step", "[schedule]") {
  for (const std::int64_t warmup : {0, 1, 7, 30}) {
    const Schedule schedule{ScheduleKind::linear, 3e-4, warmup, 30};
    for (std::int64_t step = 0; step < 40; ++step) {
      CAPTURE(warmup, step);
      // lr_lambda of get_linear_schedule_with_warmup
      const double lambda =
          step < warmup
              ? static_cast<double>(step) / std::max(1.0, static_cast<double>(warmup))
              : std::max(0.0, static_cast<double>(30 - step) / std::max(1.0, static_cast<double>(30 - warmup)));
      CHECK(schedule.learning_rate(step) == 3e-4 * lambda);
    }
  }
}

TEST_CASE("a constant rate after the warm-up has no end", "[schedule]") {
  const Schedule schedule{ScheduleKind::constant, 2, 4, 0};
  CHECK(schedule.learning_rate(0) == 0);
  CHECK(schedule.learning_rate(3) == 1.5);
  CHECK(schedule.learning_rate(4) == 2);
  CHECK(schedule.learning_rate(1000000) == 2);
  CHECK(Schedule{ScheduleKind::constant, 2, 0, 0}.learning_rate(0) == 2);
}

TEST_CASE("half a cosine after the warm-up", "[schedule]") {
  const Schedule schedule{ScheduleKind::cosine, 2, 4, 20};
  const double tolerance = 1e-15;  // a few roundings of numbers up to 2
  CHECK(schedule.learning_rate(2) == 1);
  CHECK(schedule.learning_rate(4) == 2);
  CHECK(std::abs(schedule.learning_rate(8) - (1 + std::sqrt(0.5))) <= tolerance);
  CHECK(std::abs(schedule.learning_rate(12) - 1) <= tolerance);
  CHECK(std::abs(schedule.learning_rate(16) - (1 - std::sqrt(0.5))) <= tolerance);
  CHECK(schedule.learning_rate(20) == 0);
  CHECK(schedule.learning_rate(30) == 0);
}

TEST_CASE("schedules that cannot be are errors", "[schedule]") {
  const auto field = [](const Schedule& schedule, std::int64_t step) {
    try {
      static_cast<void>(schedule.learning_rate(step));
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_configuration);
      return error.tensor();
    }
    return std::string();
  };
  CHECK(field({ScheduleKind::linear, 1, 5, 4}, 0) == "warmup_steps");
  CHECK(field({ScheduleKind::cosine, 1, 5, 4}, 9) == "warmup_steps");
  CHECK(field({ScheduleKind::linear, 1, -1, 4}, 0) == "schedule");
  CHECK(field({ScheduleKind::linear, 1, 0, 4}, -1) == "schedule");
  CHECK(field({ScheduleKind::constant, 1, 5, 4}, 0).empty());
}
