#include <linformer/core/random.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <numbers>
#include <set>
#include <span>
#include <vector>

using namespace linformer;

namespace {

constexpr RandomStream stream(7);
constexpr std::uint32_t sign_bit = 0x80000000;

/// 1 - Phi(z), without cancellation for positive z: the oracle, independent of the table.
long double upper_tail(long double z) { return std::erfc(z / std::numbers::sqrt2_v<long double>) / 2; }

long double density(long double z) {
  return std::exp(-z * z / 2) * std::numbers::inv_sqrtpi_v<long double> / std::numbers::sqrt2_v<long double>;
}

/// Asserts that z = standard_normal(m) is at most 3.22e-6 above and 2^-29 (half a unit, the rounding of a knot) below
/// the true quantile z0. By the mean value theorem upper_tail(z0) - upper_tail(z) = (z - z0) * density(between them),
/// and density falls with |z|.
void check_quantile(std::uint32_t m) {
  constexpr long double above = 3.22e-6L, below = 0x1p-29L;
  const long double p = (2 * static_cast<long double>(m) + 1) / 0x1p33L, z = standard_normal<double>(m);
  const long double fall = p - upper_tail(z), rounding = 1e-15L * p;
  if (fall > above * density(std::max(z - above, 0.0L)) + rounding || fall < -below * density(z) - rounding) {
    CAPTURE(m, static_cast<double>(p), static_cast<double>(z), static_cast<double>(fall / density(z)));
    FAIL_CHECK("quantile out of bounds");
  }
}

/// An entry of a Gaussian E by its definition.
template <Scalar T>
T normal_entry(const RandomStream& s, Index row, Index token, T scale) {
  const auto words = s.words(static_cast<std::uint64_t>(token), static_cast<std::uint64_t>(row / 4));
  return standard_normal<T>(words[static_cast<std::size_t>(row % 4)]) * scale;
}

/// An entry of a Rademacher E by its definition.
template <Scalar T>
T rademacher_entry(const RandomStream& s, Index row, Index token, T scale) {
  const auto words = s.words(static_cast<std::uint64_t>(token), static_cast<std::uint64_t>(row / 128));
  return words[static_cast<std::size_t>(row % 128 / 32)] >> (row % 32) & 1 ? -scale : scale;
}

std::vector<double> normal_draws(const RandomStream& s, std::size_t count) {
  std::vector<double> values(count);
  fill_normal<double>(values, s, 1.0);
  return values;
}

/// Mean of a[i] * b[i + lag], times the root of the number of terms: about N(0, 1) for independent N(0, 1) draws, whose
/// products have mean 0 and variance 1.
double correlation_score(std::span<const double> a, std::span<const double> b, std::size_t lag = 0) {
  double sum = 0;
  const std::size_t terms = b.size() - lag;
  for (std::size_t i = 0; i < terms; ++i) sum += a[i] * b[i + lag];
  return sum / std::sqrt(static_cast<double>(terms));
}

/// Kolmogorov's sqrt(N) * sup |F_N - F|, exceeded by x with probability about 2 exp(-2 x^2).
template <class Cdf>
double kolmogorov_score(std::vector<double> values, Cdf cdf) {
  std::sort(values.begin(), values.end());
  const auto count = static_cast<double>(values.size());
  double worst = 0, rank = 0;
  for (const double value : values) {
    const double f = cdf(value);
    worst = std::max({worst, f - rank / count, (rank + 1) / count - f});
    ++rank;
  }
  return worst * std::sqrt(count);
}

constexpr double five_sigma = 5;          // two-sided, one normal score in 1.7 million lies beyond
constexpr double kolmogorov_limit = 2.7;  // 2 exp(-2 * 2.7^2) < 1e-6

}  // namespace

// Every step from a seed to a number is a constant expression.
static_assert(philox({0, 0, 0, 0}, {0, 0})[0] == 0x6627E8D5);
static_assert(stream.words(1, 2) == stream.words(1, 2));
static_assert(stream.derive("E").derive(3, 4).key() != stream.key());
static_assert(standard_normal<float>(0) > 6.337f && standard_normal<double>(0) < 6.338);
static_assert(standard_normal<double>(0x12345678) == -standard_normal<double>(0x12345678 | sign_bit));
static_assert(uniform<float>(0) == 0x1p-24f && uniform<float>(~0U) == 1 - 0x1p-24f);
static_assert(uniform<double>(0) == 0x1p-33 && uniform<double>(~0U) == 1 - 0x1p-33);
static_assert(symmetric_uniform<float>(0) == -1 + 0x1p-24f && symmetric_uniform<float>(~0U) == 1 - 0x1p-24f);
static_assert(symmetric_uniform<double>(0) == -1 + 0x1p-32 && symmetric_uniform<double>(~0U) == 1 - 0x1p-32);

TEST_CASE("a stream's words depend on the whole address", "[random]") {
  std::set<std::array<std::uint32_t, 4>> seen;
  const std::array<std::uint64_t, 8> parts = {
      0, 1, 2, 3, 255, std::uint64_t{1} << 31, std::uint64_t{1} << 32, (std::uint64_t{1} << 62) - 1};
  for (const std::uint64_t a : parts) {
    for (const std::uint64_t b : parts) seen.insert(stream.words(a, b));
  }
  CHECK(seen.size() == parts.size() * parts.size());
  CHECK(stream.words(1, 2) != RandomStream(8).words(1, 2));
  CHECK(stream.words(1, 2) != RandomStream(7 + (std::uint64_t{1} << 32)).words(1, 2));
  CHECK(stream.words(5) == stream.words(5, 0));
}

TEST_CASE("derived streams are their own domain", "[random]") {
  std::set<std::array<std::uint32_t, 2>> keys = {stream.key()};
  std::size_t count = 1;
  const auto add = [&](const RandomStream& derived) {
    keys.insert(derived.key());
    CHECK(keys.size() == ++count);
  };
  for (std::uint64_t a = 0; a < 16; ++a) {
    for (std::uint64_t b = 0; b < 16; ++b) {
      const auto words = stream.words(a, b);
      CHECK(stream.derive(a, b).key() != std::array<std::uint32_t, 2>{words[0], words[1]});
      add(stream.derive(a, b));
    }
  }
  add(stream.derive(1).derive(2));
  add(stream.derive(2).derive(1));
  add(stream.derive(0).derive(0));
  add(stream.derive(""));
  add(stream.derive("query"));
  add(stream.derive("key"));
  add(stream.derive("key").derive("query"));
  add(stream.derive("query").derive("key"));
  add(stream.derive("querykey"));
  add(stream.derive(0x85944171F73967E8));  // FNV-1a of "foobar": a number is not a name
  add(stream.derive("foobar"));
  CHECK(stream.derive("key").key() == stream.derive(std::string_view("key")).key());
  CHECK(stream.derive(9).key() == stream.derive(9, 0).key());
}

TEST_CASE("standard_normal inverts the normal distribution", "[random]") {
  SECTION("at every knot's neighbours and inside every segment") {
    for (std::uint32_t m = 0; m < 4096; ++m) check_quantile(m);
    for (int octave = 12; octave < 31; ++octave) {
      for (std::uint32_t eighth = 0; eighth < 8 * 128; ++eighth) {
        const std::uint32_t m = (1U << octave) + static_cast<std::uint32_t>((std::uint64_t{eighth} << octave) >> 10);
        check_quantile(m - 1);
        check_quantile(m);
      }
    }
    check_quantile(sign_bit - 1);
  }
  SECTION("at random words") {
    for (std::uint64_t i = 0; i < 5000; ++i) {
      for (const std::uint32_t word : stream.words(i)) check_quantile(word & ~sign_bit);
    }
  }
}

TEST_CASE("standard_normal is symmetric and monotone, and float is double rounded once", "[random]") {
  const auto check = [](std::uint32_t m) {
    const double here = standard_normal<double>(m), next = standard_normal<double>(m + 1);
    if (here < next || next <= 0 || standard_normal<double>(m | sign_bit) != -here ||
        standard_normal<float>(m) != static_cast<float>(here) ||
        standard_normal<float>(m | sign_bit) != -static_cast<float>(here)) {
      CAPTURE(m, here, next);
      FAIL_CHECK("not monotone, not symmetric, or not the same number in both types");
    }
  };
  for (std::uint32_t m = 0; m < 4096; ++m) check(m);
  for (std::uint32_t m = 4096; m < sign_bit - 1; m += 1 + m / 4096) check(m);
  for (int octave = 8; octave < 31; ++octave) {  // both sides of every knot
    for (std::uint32_t segment = 0; segment < 128; ++segment) {
      const std::uint32_t m = (1U << octave) + (segment << octave >> 7);
      check(m - 1);
      check(m);
    }
  }
}

TEST_CASE("a million normal draws have the moments and the distribution of N(0, 1)", "[random]") {
  const std::vector<double> z = normal_draws(stream, 1'000'000);
  const double root = std::sqrt(static_cast<double>(z.size()));
  // E[z^j] and the standard deviation of z^j: E[z^2j] - E[z^j]^2 with E[z^2] = 1, 3, 15, 105 for even powers.
  const std::array<double, 4> mean = {0, 1, 0, 3}, deviation = {1, std::sqrt(2.0), std::sqrt(15.0), std::sqrt(96.0)};
  std::array<double, 4> sum{};
  for (const double value : z) {
    double power = 1;
    for (double& s : sum) s += power *= value;
  }
  for (std::size_t j = 0; j < 4; ++j) {
    CAPTURE(j + 1);
    CHECK(std::abs(sum[j] / (root * root) - mean[j]) * root < five_sigma * deviation[j]);
  }
  CHECK(kolmogorov_score(z, [](double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }) < kolmogorov_limit);

  // Tails: the number beyond 3 and 4 is binomial.
  for (const double limit : {3.0, 4.0}) {
    const double p = std::erfc(limit / std::numbers::sqrt2), expected = p * root * root;
    const auto beyond = std::count_if(z.begin(), z.end(), [&](double x) { return std::abs(x) > limit; });
    CHECK(std::abs(static_cast<double>(beyond) - expected) < five_sigma * std::sqrt(expected));
  }
}

TEMPLATE_TEST_CASE("uniform draws are uniform and open at both ends", "[random]", float, double) {
  std::vector<double> unit, symmetric;
  double sum = 0;
  for (std::uint64_t i = 0; i < 250'000; ++i) {
    for (const std::uint32_t word : stream.words(i, 1)) {
      unit.push_back(uniform<TestType>(word));
      symmetric.push_back(symmetric_uniform<TestType>(word));
      sum += symmetric.back();
    }
  }
  const auto [low, high] = std::minmax_element(unit.begin(), unit.end());
  CHECK(*low > 0);
  CHECK(*high < 1);
  CHECK(std::abs(sum) < five_sigma * std::sqrt(static_cast<double>(symmetric.size()) / 3));  // variance 1/3
  CHECK(kolmogorov_score(unit, [](double x) { return x; }) < kolmogorov_limit);
  CHECK(kolmogorov_score(symmetric, [](double x) { return (1 + x) / 2; }) < kolmogorov_limit);
  for (const std::uint32_t word : {0U, 1U, 12345U, 0x7FFFFFFFU}) {
    CHECK(symmetric_uniform<TestType>(word) == -symmetric_uniform<TestType>(~word));
    CHECK(uniform<TestType>(word) == 1 - uniform<TestType>(~word));
  }
}

TEST_CASE("neighbouring rows, tokens and streams are uncorrelated", "[random]") {
  constexpr Index rows = 64, tokens = 4000;
  std::vector<double> e(rows * tokens), other(e.size());
  generate_normal(stream, 0, tokens, rows, 1.0, e.data(), rows);
  for (const std::size_t lag :
       std::initializer_list<std::size_t>{1, 2, 3, 4, 5, 64, 128, 256}) {  // rows apart, and whole tokens apart
    CAPTURE(lag);
    CHECK(std::abs(correlation_score(e, e, lag)) < five_sigma);
  }
  std::vector<RandomStream> neighbours = {RandomStream(8), stream.derive(0), stream.derive(1), stream.derive("E")};
  for (const RandomStream& neighbour : neighbours) {
    generate_normal(neighbour, 0, tokens, rows, 1.0, other.data(), rows);
    CHECK(std::abs(correlation_score(e, other)) < five_sigma);
  }
  std::vector<double> signs(e.size());
  generate_rademacher(stream.derive("signs"), 0, tokens, rows, 1.0, signs.data(), rows);
  CHECK(std::abs(correlation_score(e, signs)) < five_sigma);
  for (const std::size_t lag : std::initializer_list<std::size_t>{1, 2, 31, 32, 33, 64, 128}) {
    CAPTURE(lag);
    CHECK(std::abs(correlation_score(signs, signs, lag)) < five_sigma);
  }
  double sum = 0;
  for (const double sign : signs) sum += sign;
  CHECK(std::abs(sum) < five_sigma * std::sqrt(static_cast<double>(signs.size())));
}

TEMPLATE_TEST_CASE("bulk generation is the definition, bit for bit, whatever the cut", "[random]", float, double) {
  constexpr auto scale = static_cast<TestType>(0.1), untouched = static_cast<TestType>(99);
  for (const Index rows : {0, 1, 3, 4, 5, 31, 32, 33, 100, 127, 128, 129, 257}) {
    for (const Index tokens : {0, 1, 2, 7, 33}) {
      CAPTURE(rows, tokens);
      const Index first = 1'000'000'000'000 + rows, stride = rows + 3;
      std::vector<TestType> normal(static_cast<std::size_t>(tokens * stride), untouched), signs = normal;
      generate_normal(stream, first, tokens, rows, scale, normal.data(), stride);
      generate_rademacher(stream, first, tokens, rows, scale, signs.data(), stride);
      bool equal = true;
      for (Index t = 0; t < tokens; ++t) {
        for (Index i = 0; i < stride; ++i) {
          const auto at = static_cast<std::size_t>(t * stride + i);
          equal &= normal[at] == (i < rows ? normal_entry(stream, i, first + t, scale) : untouched);
          equal &= signs[at] == (i < rows ? rademacher_entry(stream, i, first + t, scale) : untouched);
        }
      }
      CHECK(equal);
    }
  }
}

TEMPLATE_TEST_CASE("filling is the definition, bit for bit", "[random]", float, double) {
  constexpr auto scale = static_cast<TestType>(0.1);
  for (const std::size_t size : std::initializer_list<std::size_t>{0, 1, 2, 3, 4, 5, 127, 128, 129, 1001}) {
    CAPTURE(size);
    std::vector<TestType> normal(size), symmetric(size);
    fill_normal(std::span(normal), stream, scale);
    fill_symmetric_uniform(std::span(symmetric), stream, scale);
    bool equal = true;
    for (std::size_t i = 0; i < size; ++i) {
      const std::uint32_t word = stream.words(i / 4)[i % 4];
      equal &= normal[i] == standard_normal<TestType>(word) * scale;
      equal &= symmetric[i] == symmetric_uniform<TestType>(word) * scale;
    }
    CHECK(equal);
  }
}

TEMPLATE_TEST_CASE("a part is filled as the whole is", "[random]", float, double) {
  constexpr auto scale = static_cast<TestType>(0.1);
  std::vector<TestType> whole(300);
  fill_normal(std::span(whole), stream, scale);
  for (std::size_t first = 0; first < 9; ++first) {
    for (const std::size_t size : std::initializer_list<std::size_t>{0, 1, 2, 3, 4, 5, 7, 130, 291}) {
      CAPTURE(first, size);
      std::vector<TestType> part(size);
      fill_normal(std::span(part), stream, scale, static_cast<Index>(first));
      CHECK(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(first)));
    }
  }
}
