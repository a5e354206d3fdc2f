#include <linformer/attention/fixed_projection.hpp>

#include "support/projection_support.hpp"

namespace {

constexpr ProjectionKind kinds[] = {ProjectionKind::gaussian, ProjectionKind::rademacher};

}  // namespace

TEMPLATE_TEST_CASE("a fixed projection is its draws, generated or stored", "", float, double) {
  using T = TestType;
  const RandomStream stream(17);
  for (const ProjectionKind kind : kinds) {
    for (const FixedScale scale : {FixedScale::paper, FixedScale::preserving}) {
      for (const Index k : {1, 6, 131}) {
        const Index n = 600;  // more than two tiles of generated columns
        CAPTURE(kind, scale, k);
        FixedProjection<T> projection(kind, k, n, scale, stream);
        const oracle::Table e = oracle::fixed_matrix(kind, k, n, scale, stream);
        const auto entry = [&](Index i, Index t, Index) { return e(i, t); };
        check_accumulate<T>(projection, 3, entry);

        // The columns [first, first + count), as rows: the same bits wherever they begin, each within 3 roundings.
        Matrix<T> all(n, k), part(7, k);
        projection.generate(0, all);
        projection.generate(123, part);
        CHECK(same_bits(part, Matrix<T>(all.middleRows(123, 7))));
        CHECK(worst_ratio(all, e.transpose(), 3 * e.cwiseAbs().transpose()) <= 1);

        projection.store();
        check_accumulate<T>(projection, 3, entry);
      }
    }
  }
}

TEST_CASE("entries are 1/sqrt(k) large as in the paper, or 1/sqrt(n) to preserve the size of keys") {
  const RandomStream stream(3);
  const auto entry = [&](ProjectionKind kind, FixedScale scale) {
    Matrix<double> column(1, 16);
    FixedProjection<double>(kind, 16, 400, scale, stream).generate(5, column);
    return column(0, 3);
  };
  CHECK(std::abs(entry(ProjectionKind::rademacher, FixedScale::paper)) == 0.25);
  CHECK(std::abs(entry(ProjectionKind::rademacher, FixedScale::preserving)) == 0.05);
  CHECK(entry(ProjectionKind::gaussian, FixedScale::paper) ==
        Approx(5 * entry(ProjectionKind::gaussian, FixedScale::preserving)).epsilon(1e-15));
}

TEST_CASE("fixed projections keep lengths on average (Johnson-Lindenstrauss)") {
  // |E·x|² of a unit x is a mean of k terms of expectation 1 and variance at most 2: six standard deviations.
  constexpr Index k = 512, n = 64;
  Workspace workspace;
  for (const ProjectionKind kind : kinds) {
    const FixedProjection<double> projection(kind, k, n, FixedScale::paper, RandomStream(1));
    const Matrix<double> x = random_matrix<double>(n, 1, 4).normalized();
    Matrix<double> out = Matrix<double>::Zero(k, 1);
    projection.accumulate({0, n}, x, out, nullptr, {workspace, default_isa()});
    CHECK(std::abs(out.squaredNorm() - 1) <= 6 * std::sqrt(2.0 / k));
  }
}

TEST_CASE("equality is of kind, shape, scale and stream") {
  const auto make = [](ProjectionKind kind, Index k, Index n, FixedScale scale, std::uint64_t seed) {
    return FixedProjection<float>(kind, k, n, scale, RandomStream(seed));
  };
  const auto base = make(ProjectionKind::gaussian, 4, 9, FixedScale::paper, 1);
  auto stored = base;
  stored.store();
  CHECK(base == stored);
  CHECK_FALSE(base == make(ProjectionKind::rademacher, 4, 9, FixedScale::paper, 1));
  CHECK_FALSE(base == make(ProjectionKind::gaussian, 5, 9, FixedScale::paper, 1));
  CHECK_FALSE(base == make(ProjectionKind::gaussian, 4, 8, FixedScale::paper, 1));
  CHECK_FALSE(base == make(ProjectionKind::gaussian, 4, 9, FixedScale::preserving, 1));
  CHECK_FALSE(base == make(ProjectionKind::gaussian, 4, 9, FixedScale::paper, 2));
}
