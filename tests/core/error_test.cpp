#include <linformer/core/error.hpp>

#include "support/catch.hpp"

#include <limits>
#include <stdexcept>
#include <string>

using namespace linformer;

namespace {

/// The error that `call` throws.
template <class Call>
Error error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("nothing was thrown");
}

constexpr Index most_entries = std::numeric_limits<Index>::max() / 16;

}  // namespace

TEST_CASE("an error keeps its facts apart and tells them in its message", "[error]") {
  const Error error(ErrorCode::sequence_too_long, "context", "at most 4096 rows", "5000 rows");
  CHECK(error.code() == ErrorCode::sequence_too_long);
  CHECK(error.tensor() == "context");
  CHECK(error.expected() == "at most 4096 rows");
  CHECK(error.actual() == "5000 rows");
  CHECK(std::string(error.what()) == "linformer: context: expected at most 4096 rows, got 5000 rows");
}

TEST_CASE("an error is a runtime_error that survives copying", "[error]") {
  Error copy = error_of([] { throw Error(ErrorCode::aliasing, "y", "memory apart from x", "overlapping memory"); });
  copy = Error(copy);
  CHECK(copy.code() == ErrorCode::aliasing);
  CHECK(copy.tensor() == "y");
  CHECK_THROWS_AS(throw copy, std::runtime_error);
}

TEST_CASE("require throws if its condition does not hold", "[error]") {
  CHECK_NOTHROW(detail::require(true, ErrorCode::unsupported, "a", "b", "c"));
  const Error error = error_of([] { detail::require(false, ErrorCode::unsupported, "a", "b", "c"); });
  CHECK(error.code() == ErrorCode::unsupported);
  CHECK(error.tensor() == "a");
  CHECK(error.expected() == "b");
  CHECK(error.actual() == "c");
}

TEST_CASE("require_shape compares rows and columns", "[error]") {
  CHECK_NOTHROW(detail::require_shape("x", 3, 4, 3, 4));
  CHECK_THROWS_AS(detail::require_shape("x", 3, 4, 3, 5), Error);
  const Error error = error_of([] { detail::require_shape("x", 3, 4, 2, 4); });
  CHECK(error.code() == ErrorCode::shape_mismatch);
  CHECK(error.tensor() == "x");
  CHECK(error.expected() == "2 x 4");
  CHECK(error.actual() == "3 x 4");
}

TEST_CASE("checked_size multiplies sizes that can be addressed", "[error]") {
  CHECK(detail::checked_size("x", {}) == 1);
  CHECK(detail::checked_size("x", {7}) == 7);
  CHECK(detail::checked_size("x", {3, 5, 7}) == 105);
  CHECK(detail::checked_size("x", {0, most_entries, most_entries}) == 0);
  CHECK(detail::checked_size("x", {most_entries}) == most_entries);
  CHECK(detail::checked_size("x", {most_entries / 1000, 1000}) == most_entries / 1000 * 1000);
}

TEST_CASE("checked_size refuses sizes that cannot be addressed", "[error]") {
  CHECK_THROWS_AS(detail::checked_size("x", {most_entries + 1}), Error);
  CHECK_THROWS_AS(detail::checked_size("x", {2, most_entries}), Error);
  CHECK_THROWS_AS(detail::checked_size("x", {most_entries / 1000 + 1, 1000}), Error);
  // 2^32 · 2^32 is 0 modulo 2^64.
  const Index half = Index{1} << 32;
  const Error error = error_of([&] { static_cast<void>(detail::checked_size("scores", {half, half})); });
  CHECK(error.code() == ErrorCode::size_overflow);
  CHECK(error.tensor() == "scores");
  CHECK(error.actual() == "4294967296 x 4294967296");
}
