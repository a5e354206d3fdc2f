#pragma once

// What the tests of attention/ share: inputs, masks, comparisons.

#include <linformer/linformer.hpp>

#include "support/catch.hpp"
#include "support/isa.hpp"
#include "support/oracle.hpp"

#include <bit>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace linformer;

inline constexpr float nan_float = std::numeric_limits<float>::quiet_NaN();
inline constexpr float infinity_float = std::numeric_limits<float>::infinity();

/// Uniform in ±1/2, the same for `float` and `double` up to rounding. std::mt19937 is specified to the bit.
template <Scalar T>
void fill_values(std::span<T> values, unsigned seed) {
  std::mt19937 generator(seed);
  for (T& value : values) value = static_cast<T>(static_cast<double>(generator()) / 4294967296.0 - 0.5);
}

template <Scalar T>
Matrix<T> random_matrix(Index rows, Index cols, unsigned seed) {
  Matrix<T> matrix(rows, cols);
  fill_values<T>({matrix.data(), static_cast<std::size_t>(matrix.size())}, seed);
  return matrix;
}

/// Gives every parameter, biases among them, values that are not zero.
template <class Module>
void randomise(Module& module, unsigned seed) {
  module.for_each_parameter([&](const std::string&, Shape, auto values) { fill_values(values, seed++); });
}

/// A layer with random weights. Fixed projections are drawn from `seed`.
template <Scalar T>
LinformerAttention<T> random_attention(const AttentionConfig& config, std::uint64_t seed = 5) {
  LinformerAttention<T> attention(config, seed);
  randomise(attention, 100);
  return attention;
}

template <Scalar T>
oracle::Table exact(const Matrix<T>& values) {
  return values.template cast<double>();
}

enum class MaskKind { none, tail, holes };

/// Which of `tokens` are present: all; all but a fifth at the end; all but a few, windows of three in a row among them.
inline oracle::Present present_tokens(MaskKind kind, Index tokens) {
  oracle::Present present;
  for (Index t = 0; t < tokens; ++t) {
    present.push_back(kind == MaskKind::none ||
                      (kind == MaskKind::tail ? t < tokens - tokens / 5 : t % 7 != 2 && !(5 <= t && t <= 10)));
  }
  return present;
}

inline TokenMask to_mask(const oracle::Present& present) {
  TokenMask mask(1, static_cast<Index>(present.size()));
  for (Index t = 0; t < mask.cols(); ++t) mask(0, t) = present[static_cast<std::size_t>(t)];
  return mask;
}

/// Rows of absent tokens become NaN: whoever reads them shows it.
template <Scalar T>
void poison(Matrix<T>& rows, const oracle::Present& present) {
  for (Index t = 0; t < rows.rows(); ++t) {
    if (!present[static_cast<std::size_t>(t)]) rows.row(t).setConstant(std::numeric_limits<T>::quiet_NaN());
  }
}

/// Same shape and same bits, NaNs among them.
template <Scalar T>
bool same_bits(const Matrix<T>& a, const Matrix<T>& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  return a.size() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0;
}

/// A key in each row.
template <Scalar T>
Matrix<T> keys_of(const KeysValues<T>& keys_values) {
  Matrix<T> keys(keys_values.rows(), keys_values.width());
  for (Index key = 0; key < keys.rows(); ++key) keys.row(key) = keys_values.keys(key, 1).transpose();
  return keys;
}

template <Scalar T>
Matrix<T> values_of(const KeysValues<T>& keys_values) {
  return keys_values.values();
}

template <Scalar T>
bool same_bits(const Probabilities<T>& a, const Probabilities<T>& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = same_bits(a[i], b[i]);
  return same;
}

template <Scalar T>
bool all_nan(const Matrix<T>& values) {
  return values.array().isNaN().all();
}

/// The largest |actual − expected| / (u·error), entry by entry, infinite where one is not a number: at most 1 where the
/// bound holds. `error` is first order in u; the products of errors that it leaves out are less than a tenth of it as
/// long as u·error of scores stays below 0.05, which holds by far for all shapes here. Where the oracle computes in the
/// same precision, both err.
template <Scalar T>
double worst_ratio(const Matrix<T>& actual, const oracle::Table& expected, const oracle::Table& error) {
  if (actual.rows() != expected.rows() || actual.cols() != expected.cols()) {
    return std::numeric_limits<double>::infinity();
  }
  constexpr double u = static_cast<double>(std::numeric_limits<T>::epsilon()) / 2 * (std::same_as<T, double> ? 2 : 1);
  double worst = 0;
  for (Index i = 0; i < actual.size(); ++i) {
    const double difference = std::abs(static_cast<double>(actual.data()[i]) - expected.data()[i]);
    if (difference == 0) continue;
    const double ratio = difference / (1.1 * u * error.data()[i]);
    worst =
        ratio <= std::numeric_limits<double>::max() ? std::max(worst, ratio) : std::numeric_limits<double>::infinity();
  }
  return worst;
}

/// Asserts that a call fails as it should, and says how.
template <class Call>
void check_error(const Call& call, ErrorCode code, std::string_view tensor) {
  try {
    call();
    FAIL_CHECK("no error, expected one of " << tensor);
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(error.code() == code);
    CHECK(error.tensor() == tensor);
    CHECK_FALSE(error.expected().empty());
    CHECK_FALSE(error.actual().empty());
  }
}
