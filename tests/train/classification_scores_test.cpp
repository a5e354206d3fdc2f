#include <linformer/train/classification_scores.hpp>

#include "support/catch.hpp"

using namespace linformer;

namespace {

struct Row {
  std::int32_t actual, predicted;
};

/// Rows of a fixed, uneven pattern over `classes` classes.
std::vector<Row> rows_of(std::int32_t classes, int count) {
  std::vector<Row> rows;
  std::uint32_t state = 12345;
  for (int i = 0; i < count; ++i) {
    state = state * 1664525 + 1013904223;
    const auto actual = static_cast<std::int32_t>((state >> 16) % static_cast<std::uint32_t>(classes));
    state = state * 1664525 + 1013904223;
    const bool right = (state >> 20) % 3 != 0;
    rows.push_back({actual, right ? actual : static_cast<std::int32_t>((state >> 8) % 7) % classes});
  }
  return rows;
}

}  // namespace

TEST_CASE("scores of three classes are those worked out by hand", "[classification_scores]") {
  // Actual 0: five rows, of which 3, 1, 1 taken for 0, 1, 2; actual 1: four, 1, 3, 0; actual 2: one, taken for 0.
  ConfusionMatrix confusion(3);
  const Index table[3][3] = {{3, 1, 1}, {1, 3, 0}, {1, 0, 0}};
  for (std::int32_t actual = 0; actual < 3; ++actual) {
    for (std::int32_t predicted = 0; predicted < 3; ++predicted) {
      for (Index i = 0; i < table[actual][predicted]; ++i) confusion.add(actual, predicted);
    }
  }
  CHECK(confusion.classes() == 3);
  CHECK(confusion.rows() == 10);
  CHECK(confusion(0, 1) == 1);
  CHECK(confusion(1, 1) == 3);
  CHECK(confusion.accuracy() == 0.6);  // (3 + 3 + 0) / 10, the quotient rounded once, as the literal
  const auto counts = confusion.counts();
  REQUIRE(counts.size() == 3);
  CHECK(counts[0] == ClassCounts{.actual = 5, .predicted = 5, .hits = 3});
  CHECK(counts[1] == ClassCounts{.actual = 4, .predicted = 4, .hits = 3});
  CHECK(counts[2] == ClassCounts{.actual = 1, .predicted = 1, .hits = 0});
  CHECK(counts[0].precision() == 0.6);
  CHECK(counts[0].recall() == 0.6);
  CHECK(counts[0].f1() == 0.6);
  CHECK(counts[1].f1() == 0.75);
  CHECK(counts[2].f1() == 0);
  CHECK(macro_f1(counts) == Approx(0.45).epsilon(1e-15));  // (0.6 + 0.75 + 0) / 3
  CHECK(micro_f1(counts) == 0.6);
}

TEST_CASE("precision and recall are told apart, and F1 is their harmonic mean", "[classification_scores]") {
  const ClassCounts counts{.actual = 8, .predicted = 4, .hits = 2};
  CHECK(counts.precision() == 0.5);
  CHECK(counts.recall() == 0.25);
  CHECK(counts.f1() == Approx(1.0 / 3).epsilon(1e-15));  // 2 · (1/2 · 1/4) / (1/2 + 1/4)
}

TEST_CASE("quotients of nothing are 0", "[classification_scores]") {
  const ClassCounts never_said{.actual = 3, .predicted = 0, .hits = 0}, never_there{.actual = 0, .predicted = 2};
  CHECK(never_said.precision() == 0);
  CHECK(never_there.recall() == 0);
  CHECK(ClassCounts{}.f1() == 0);
  CHECK(macro_f1({}) == 0);
  CHECK(micro_f1({}) == 0);
  const ConfusionMatrix empty(2);
  CHECK(empty.rows() == 0);
  CHECK(empty.accuracy() == 0);
  // A class without a row counts in the mean.
  const std::vector<ClassCounts> classes{{.actual = 1, .predicted = 1, .hits = 1}, {}};
  CHECK(macro_f1(classes) == 0.5);
}

TEST_CASE("counts are those of the rows, one by one", "[classification_scores]") {
  constexpr std::int32_t classes = 4;
  const auto rows = rows_of(classes, 500);
  ConfusionMatrix confusion(classes);
  for (const Row& row : rows) confusion.add(row.actual, row.predicted);
  const auto counts = confusion.counts();
  Index right = 0;
  for (std::int32_t c = 0; c < classes; ++c) {
    Index actual = 0, predicted = 0, both = 0;
    for (const Row& row : rows) {
      actual += row.actual == c;
      predicted += row.predicted == c;
      both += row.actual == c && row.predicted == c;
    }
    CHECK(counts[static_cast<std::size_t>(c)] == ClassCounts{.actual = actual, .predicted = predicted, .hits = both});
    REQUIRE(both > 0);
    REQUIRE(both < actual);
    right += both;
  }
  CHECK(confusion.accuracy() == static_cast<double>(right) / 500);
  // Each row is of one class and taken for one: the F1 of all together is the accuracy.
  CHECK(micro_f1(counts) == confusion.accuracy());
}

TEST_CASE("what is no class is told", "[classification_scores]") {
  ConfusionMatrix confusion(2);
  const auto code = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::unsupported;
  };
  CHECK(code([&] { confusion.add(2, 0); }) == ErrorCode::out_of_range);
  CHECK(code([&] { confusion.add(0, -1); }) == ErrorCode::out_of_range);
  CHECK(code([&] { static_cast<void>(confusion(0, 2)); }) == ErrorCode::out_of_range);
  CHECK(code([] { ConfusionMatrix none(0); }) == ErrorCode::invalid_configuration);
  CHECK(confusion.rows() == 0);
}
