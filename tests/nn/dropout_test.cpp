#include <linformer/nn/dropout.hpp>

#include "support/catch.hpp"

#include <cmath>
#include <vector>

using namespace linformer;

namespace {

constexpr DropoutAddress address{.seed = 3, .step = 5, .site = 7, .first_sample = 11};
constexpr auto identity = [](Index column) { return column; };

/// What is left of ones: rows at positions first, first + 1, …
template <Scalar T>
Matrix<T> mask(const HeadDropout<T>& dropout, Index rows, Index columns, Index first = 0) {
  Matrix<T> weights = Matrix<T>::Ones(rows, columns);
  dropout.apply({first, rows}, identity, weights);
  return weights;
}

/// Share of the entries in which two masks agree.
double agreement(const HeadDropout<float>& a, const HeadDropout<float>& b) {
  return (mask(a, 64, 64).array() == mask(b, 64, 64).array()).cast<double>().mean();
}

}  // namespace

TEMPLATE_TEST_CASE("apply drops what keeps tells and scales the rest", "[dropout]", float, double) {
  const double rate = 0.3;
  const HeadDropout<TestType> dropout(address, 2, 1, rate);
  const auto scale = static_cast<TestType>(1 / (1 - rate));
  Matrix<TestType> weights(13, 29);
  for (Index i = 0; i < weights.size(); ++i) weights.data()[i] = static_cast<TestType>(i + 1) / 64;
  const Matrix<TestType> before = weights;
  dropout.apply({100, 13}, identity, weights);
  Index kept = 0;
  for (Index i = 0; i < 13; ++i) {
    for (Index j = 0; j < 29; ++j) {
      CAPTURE(i, j);
      CHECK(weights(i, j) == (dropout.keeps(100 + i, j) ? before(i, j) * scale : TestType{0}));
      kept += dropout.keeps(100 + i, j) ? 1 : 0;
    }
  }
  CHECK(kept > 0);
  CHECK(kept < weights.size());
}

TEST_CASE("positions and columns with holes are addressed as they are", "[dropout]") {
  const HeadDropout<double> dropout(address, 0, 0, 0.5);
  const std::vector<Index> positions{1, 2, 9, 1000000}, columns{0, 3, 4, 6, 17, 18, 100};
  Matrix<double> weights = Matrix<double>::Ones(4, 7);
  dropout.apply(
      {0, 4, positions.data()}, [&](Index j) { return columns[static_cast<std::size_t>(j)]; }, weights);
  for (Index i = 0; i < 4; ++i) {
    for (Index j = 0; j < 7; ++j) {
      CHECK((weights(i, j) != 0) ==
            dropout.keeps(positions[static_cast<std::size_t>(i)], columns[static_cast<std::size_t>(j)]));
    }
  }
}

TEST_CASE("tiles see the draws of the whole", "[dropout]") {
  const HeadDropout<float> dropout(address, 4, 2, 0.5);
  const Matrix<float> whole = mask(dropout, 20, 30);
  for (const Index row : {0, 1, 7}) {
    for (const Index column : {0, 1, 2, 3, 5, 8}) {
      Matrix<float> tile = Matrix<float>::Ones(9, 11);
      dropout.apply(
          {row, 9}, [&](Index j) { return column + j; }, tile);
      CHECK(tile == whole.block(row, column, 9, 11));
    }
  }
}

TEST_CASE("the rate is the share of what is dropped, in every column and row", "[dropout]") {
  for (const double rate : {0.0, 0.1, 0.5, 0.9, 0.999}) {
    CAPTURE(rate);
    const Index rows = 500, columns = 400;
    const Matrix<double> weights = mask(HeadDropout<double>(address, 0, 0, rate), rows, columns);
    const auto dropped = (weights.array() == 0).cast<double>().eval();
    // The number dropped of N is binomial. Five standard deviations; six for the largest of a few hundred rows and
    // columns. The draws are fixed, so this holds always or never.
    const double deviation = std::sqrt(rate * (1 - rate));
    CHECK(std::abs(dropped.mean() - rate) <= 5 * deviation / std::sqrt(static_cast<double>(rows * columns)));
    if (rate == 0.1 || rate == 0.5) {
      CHECK((dropped.rowwise().mean() - rate).abs().maxCoeff() <=
            6 * deviation / std::sqrt(static_cast<double>(columns)));
      CHECK((dropped.colwise().mean() - rate).abs().maxCoeff() <= 6 * deviation / std::sqrt(static_cast<double>(rows)));
    }
    CHECK((dropped != 0 || weights.array() == 1 / (1 - rate)).all());
  }
}

TEST_CASE("a rate of zero changes nothing", "[dropout]") {
  CHECK(mask(HeadDropout<float>(address, 0, 0, 0), 50, 50) == Matrix<float>::Ones(50, 50));
}

TEST_CASE("every part of the address changes the draws", "[dropout]") {
  const HeadDropout<float> dropout(address, 2, 1, 0.5);
  CHECK(agreement(dropout, HeadDropout<float>(address, 2, 1, 0.5)) == 1);
  // Unrelated masks agree in half of 4096 entries, five standard deviations being 5/(2·64).
  const double tolerance = 5.0 / 128;
  const auto unrelated = [&](const HeadDropout<float>& other) {
    return std::abs(agreement(dropout, other) - 0.5) <= tolerance;
  };
  for (const DropoutAddress& other :
       {DropoutAddress{4, 5, 7, 11}, DropoutAddress{3, 6, 7, 11}, DropoutAddress{3, 5, 8, 11},
        DropoutAddress{3, 5, 7, 12}, DropoutAddress{3, 7, 5, 11}, DropoutAddress{5, 3, 7, 11}}) {
    CAPTURE(other.seed, other.step, other.site, other.first_sample);
    CHECK(unrelated(HeadDropout<float>(other, 2, 1, 0.5)));
  }
  CHECK(unrelated(HeadDropout<float>(address, 3, 1, 0.5)));
  CHECK(unrelated(HeadDropout<float>(address, 2, 2, 0.5)));
  // sample 13 and head 1 is not sample 1 and head 13
  CHECK(agreement(HeadDropout<float>({3, 5, 7, 0}, 1, 13, 0.5), HeadDropout<float>({3, 5, 7, 0}, 13, 1, 0.5)) < 0.6);
  // neighbouring rows and columns
  const Matrix<float> drawn = mask(dropout, 65, 65);
  CHECK(std::abs((drawn.topLeftCorner(64, 64).array() == drawn.block(1, 0, 64, 64).array()).cast<double>().mean() -
                 0.5) <= tolerance);
  CHECK(std::abs((drawn.topLeftCorner(64, 64).array() == drawn.block(0, 1, 64, 64).array()).cast<double>().mean() -
                 0.5) <= tolerance);
}

TEST_CASE("how samples are grouped into calls changes nothing", "[dropout]") {
  CHECK(mask(HeadDropout<double>({3, 5, 7, 0}, 8, 1, 0.4), 30, 30) ==
        mask(HeadDropout<double>({3, 5, 7, 5}, 3, 1, 0.4), 30, 30));
}

TEST_CASE("both scalars drop the same entries", "[dropout]") {
  const Matrix<float> single = mask(HeadDropout<float>(address, 1, 1, 0.37), 40, 40);
  const Matrix<double> doubled = mask(HeadDropout<double>(address, 1, 1, 0.37), 40, 40);
  CHECK(((single.array() == 0) == (doubled.array() == 0)).all());
}

TEST_CASE("every path drops the same entries, of keys by queries and of rows", "[dropout]") {
  const HeadDropout<float> dropout(address, 2, 1, 0.3);
  const auto compare = [&](Isa isa, const Positions& positions, const std::vector<Index>& columns) {
    Matrix<float> expected(positions.count, static_cast<Index>(columns.size()));
    for (Index i = 0; i < expected.size(); ++i) expected.data()[i] = static_cast<float>(i + 1) / 64;
    if (expected.size() > 5) expected.data()[3] = std::numeric_limits<float>::quiet_NaN();
    Matrix<float> turned = expected.transpose();
    dropout.apply(
        positions, [&](Index j) { return columns[static_cast<std::size_t>(j)]; }, expected);
    dropout.apply_to_queries(isa, positions, columns, turned);
    const auto same = [](float a, float b) { return a == b || (a != a && b != b); };
    for (Index i = 0; i < expected.rows(); ++i) {
      for (Index j = 0; j < expected.cols(); ++j) REQUIRE(same(expected(i, j), turned(j, i)));
    }
  };
  for (const auto& [name, isa] : isa_names) {
    if (!is_supported(isa)) continue;
    const auto from = [](Index first, Index count) {
      std::vector<Index> columns(static_cast<std::size_t>(count));
      for (Index j = 0; j < count; ++j) columns[static_cast<std::size_t>(j)] = first + j;
      return columns;
    };
    for (const Index queries : {1, 15, 16, 17, 50}) {
      for (const Index keys : {1, 4, 7, 33}) {
        compare(isa, {100, queries}, from(0, keys));
        compare(isa, {0, queries}, from(480, keys));
        compare(isa, {3, queries}, from(2, keys));
      }
    }
    const std::vector<Index> holes{1, 2, 9, 1000000};
    compare(isa, {0, 4, holes.data()}, from(0, 9));
    compare(isa, {Index{1} << 33, 5}, from(0, 9));
    compare(isa, {0, 9}, {0, 3, 4, 17});
    for (const Index columns : {1, 31, 64, 65, 200}) {
      Matrix<float> rows = Matrix<float>::Ones(5, columns), expected = rows;
      dropout.apply({7, 5}, identity, expected);
      dropout.apply_to_rows(isa, {7, 5}, rows);
      REQUIRE(rows == expected);
    }
  }
}
