#include <linformer/io/convert.hpp>

#include "support/catch.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

using namespace linformer;

namespace {

/// A number of the format with that many bits of exponent and of fraction, by its definition.
double value_of(unsigned bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const auto fraction = static_cast<double>(bits & ((1U << fraction_bits) - 1));
  const auto exponent = static_cast<int>(bits >> fraction_bits & ((1U << exponent_bits) - 1));
  const double sign = (bits >> (exponent_bits + fraction_bits) & 1U) == 0 ? 1 : -1;
  if (exponent == (1 << exponent_bits) - 1) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + std::ldexp(1.0, fraction_bits), exponent - bias - fraction_bits);
}

template <class T>
bool same(T a, T b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

std::vector<std::uint16_t> all_words() {
  std::vector<std::uint16_t> words(1U << 16);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::uint16_t>(i);
  return words;
}

}  // namespace

TEMPLATE_TEST_CASE("each of the 65536 halves and bfloat16 has its value", "[io]", float, double) {
  struct Format {
    Dtype dtype;
    int exponent_bits, fraction_bits;
  };
  const std::vector<std::uint16_t> words = all_words();
  for (const Format format : {Format{Dtype::f16, 5, 10}, Format{Dtype::bf16, 8, 7}}) {
    std::vector<TestType> values(words.size());
    detail::convert_values<TestType>(format.dtype, std::as_bytes(std::span(words)), values);
    int wrong = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
      const double expected = value_of(static_cast<unsigned>(i), format.exponent_bits, format.fraction_bits);
      wrong += same(values[i], static_cast<TestType>(expected)) ? 0 : 1;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("known halves", "[io]") {
  CHECK(detail::half_value(0x3C00) == 1.0F);
  CHECK(detail::half_value(0xC000) == -2.0F);
  CHECK(detail::half_value(0x7BFF) == 65504.0F);
  CHECK(detail::half_value(0x0001) == 0x1p-24F);
  CHECK(detail::half_value(0x03FF) == 1023 * 0x1p-24F);
  CHECK(detail::half_value(0x0400) == 0x1p-14F);
  CHECK(std::signbit(detail::half_value(0x8000)));
  CHECK(detail::half_value(0xFC00) == -std::numeric_limits<float>::infinity());
  CHECK(std::bit_cast<std::uint32_t>(detail::half_value(0xFE01)) == 0xFFC02000U);  // sign and payload stay
}

TEST_CASE("floats and doubles keep their bits, at any address", "[io]") {
  const std::array<double, 5> values{0.1, -0.0, 5e-324, std::numeric_limits<double>::infinity(), 1e308};
  std::vector<std::byte> shifted(1 + sizeof(values));
  std::memcpy(shifted.data() + 1, values.data(), sizeof(values));
  std::array<double, 5> out{};
  detail::convert_values<double>(Dtype::f64, std::span(shifted).subspan(1), out);
  CHECK(std::memcmp(out.data(), values.data(), sizeof(values)) == 0);

  const std::array<float, 3> floats{0.1F, -0.0F, 1e-45F};
  std::array<float, 3> same_floats{};
  detail::convert_values<float>(Dtype::f32, std::as_bytes(std::span(floats)), same_floats);
  CHECK(std::memcmp(same_floats.data(), floats.data(), sizeof(floats)) == 0);
  std::array<double, 3> wide{};
  detail::convert_values<double>(Dtype::f32, std::as_bytes(std::span(floats)), wide);
  CHECK(wide[0] == 0x1.99999ap-4);
  CHECK(wide[2] == 0x1p-149);
}

TEST_CASE("a double read as float is rounded to nearest", "[io]") {
  const std::array<double, 5> values{0.1, 1 + 0x1p-24, 1 + 0x1.8p-23, 1e300, -1e300};
  std::array<float, 5> out{};
  detail::convert_values<float>(Dtype::f64, std::as_bytes(std::span(values)), out);
  CHECK(out[0] == 0.1F);
  CHECK(out[1] == 1);  // a tie, to even
  CHECK(out[2] == 1 + 0x1p-22F);
  CHECK(out[3] == std::numeric_limits<float>::infinity());
  CHECK(out[4] == -std::numeric_limits<float>::infinity());
}

TEST_CASE("four types are read as values", "[io]") {
  for (const detail::DtypeFacts& facts : detail::dtype_facts) {
    const bool expected = facts.name == "F32" || facts.name == "F64" || facts.name == "F16" || facts.name == "BF16";
    CHECK(is_floating_point(facts.dtype) == expected);
  }
}
