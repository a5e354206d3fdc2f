#pragma once

#include <linformer/core/batch.hpp>
#include <linformer/core/parameters.hpp>
#include <linformer/core/random.hpp>
#include <linformer/parallel/part.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

// What tests of processes that hold parts of sequences share, in double.

using namespace linformer;

/// Gives the parameters values that depend on their names alone, but those of which processes hold parts: these are the
/// same in a part as in the whole as they were drawn.
/// @param partial names of the latter
template <class Module>
void randomise_by_name(Module& module, const std::vector<std::string>& partial) {
  module.for_each_parameter([&](const std::string& name, Shape, auto values) {
    if (std::ranges::find(partial, name) == partial.end()) fill_normal(values, RandomStream(7).derive(name), 0.5);
  });
}

/// The largest of the magnitudes, infinite where a value is not finite.
inline double largest_magnitude(std::span<const double> values) {
  double most = 0;
  for (const double value : values) {
    most = std::max(most, std::isfinite(value) ? std::abs(value) : std::numeric_limits<double>::infinity());
  }
  return most;
}

inline Matrix<double> random_rows(Index rows, Index columns, std::uint64_t seed) {
  Matrix<double> result(rows, columns);
  fill_normal(std::span(result.data(), static_cast<std::size_t>(result.size())), RandomStream(seed), 1.0);
  return result;
}

/// Asserts that the parameters of a process that holds a part are the whole ones, or columns or rows of them.
/// Differences are counted against the largest value of all.
template <class Module>
void check_part(const Module& part, const Module& whole, Part held, double tolerance = 1e-12) {
  struct Parameter {
    std::vector<Index> shape;
    std::span<const double> values;
  };
  std::map<std::string, Parameter> expected;
  double scale = 0;
  whole.for_each_parameter([&](const std::string& name, Shape shape, std::span<const double> values) {
    expected[name] = {{shape.begin(), shape.end()}, values};
    scale = std::max(scale, largest_magnitude(values));
  });
  std::size_t seen = 0;
  part.for_each_parameter([&](const std::string& name, Shape shape, std::span<const double> values) {
    CAPTURE(name, held.begin, held.end);
    ++seen;
    const Parameter& its = expected.at(name);
    std::vector<double> theirs(its.values.begin(), its.values.end());
    if (!std::ranges::equal(shape, its.shape)) {
      REQUIRE(shape.size() == 2);
      const Eigen::Map<const Matrix<double>> all(its.values.data(), its.shape[0], its.shape[1]);
      const bool columns = shape[0] == its.shape[0];
      REQUIRE(shape[columns ? 1 : 0] == held.size());
      const Matrix<double> block = columns ? Matrix<double>(all.middleCols(held.begin, held.size()))
                                           : Matrix<double>(all.middleRows(held.begin, held.size()));
      theirs.assign(block.data(), block.data() + block.size());
    }
    REQUIRE(theirs.size() == values.size());
    for (std::size_t i = 0; i < theirs.size(); ++i) theirs[i] -= values[i];
    CHECK(largest_magnitude(theirs) <= tolerance * scale);
  });
  CHECK(seen + (held.size() == 0 ? part.partial_parameters().size() : 0) == expected.size());
}

/// Asserts that rows of a part are those of the whole batch.
inline void check_rows(const Matrix<double>& part, const BatchLayout& layout, const Matrix<double>& whole, Part held,
                       double tolerance = 1e-12) {
  const Matrix<double> expected = Batch<double>{layout, whole}.part(held.begin, held.end).rows;
  REQUIRE(part.rows() == expected.rows());
  REQUIRE(part.cols() == expected.cols());
  const Matrix<double> difference = part - expected;
  const auto span = [](const Matrix<double>& m) { return std::span(m.data(), static_cast<std::size_t>(m.size())); };
  CHECK(largest_magnitude(span(difference)) <= tolerance * largest_magnitude(span(whole)));
}

/// Batches of at most `length` ≥ 12 tokens a sequence: with holes, among them a beginning, and an empty sequence;
/// without holes; and so short that most processes have no token at all.
inline std::vector<BatchLayout> layouts_in_parts(Index length) {
  TokenMask mask = TokenMask::Constant(4, length, true);
  mask.row(1).tail(length - 4).setConstant(false);
  mask.row(2).setConstant(false);
  mask.row(3).head(length / 2).setConstant(false);
  mask(0, 3) = mask(0, 7) = mask(3, length - 2) = false;
  return {BatchLayout::from_mask(mask), BatchLayout::from_lengths(std::vector<Index>{length, 0, 5, length - 1}),
          BatchLayout::from_lengths(std::vector<Index>{2, 1})};
}
