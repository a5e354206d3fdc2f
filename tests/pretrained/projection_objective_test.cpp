#include <linformer/pretrained/projection_objective.hpp>
#include <linformer/pretrained/value_projection_system.hpp>
#include <linformer/train/conjugate_gradients.hpp>

#include "attention_oracle.hpp"
#include "support/catch.hpp"
#include "support/central_differences.hpp"
#include "support/resources.hpp"

#include <Eigen/Cholesky>

using namespace linformer;

namespace {

constexpr Index rows_k = 4, columns_n = 12, width_d = 3;

/// Two layers of four heads, of which the second and third are tied; ragged texts, one of them empty.
struct TiedSample {
  std::vector<Index> lengths{9, 5, 0, 1, 10};
  BatchLayout texts = BatchLayout::from_lengths(lengths);
  std::vector<AttentionSample<double>> layers = fit_oracle::random_samples(2, 25, 4 * width_d, 1);
  TiedHeads<double> heads{layers, texts, 1, 2, width_d};
  LearnedProjection<double> e{fit_oracle::random_matrix(rows_k, columns_n, 20, 1)};
  LearnedProjection<double> f{fit_oracle::random_matrix(rows_k, columns_n, 21, 1)};
  Ridge<double> ridge{0.3, fit_oracle::random_matrix(rows_k, columns_n, 22, 1),
                      fit_oracle::random_matrix(rows_k, columns_n, 23, 1)};

  [[nodiscard]] double error(const Matrix<double>& its_e, const Matrix<double>& its_f) const {
    double error = 0, squares = 0;
    for (const auto& head : fit_oracle::heads_of(heads)) {
      error += (fit_oracle::attended(head, its_e, its_f) - head.attended).squaredNorm();
      squares += head.attended.squaredNorm();
    }
    return error / squares;
  }
  [[nodiscard]] double distance(const Matrix<double>& at, const Matrix<double>& start) const {
    return 0.5 * ridge.weight * (at - start).squaredNorm() * columns_n / (rows_k * rows_k);
  }
};

std::span<double> values_of(Matrix<double>& matrix) { return {matrix.data(), static_cast<std::size_t>(matrix.size())}; }

}  // namespace

TEST_CASE("the objective of a fit is what its equation says", "[fit]") {
  TiedSample sample;
  Resources resources(1);
  const ProjectionObjective<double> objective(sample.heads, sample.ridge, resources.execution);
  Matrix<double> gradient(rows_k, columns_n);
  const Matrix<double>&e = sample.e.weight, &f = sample.f.weight;
  const double apart =
      0.5 * sample.error(e, f) + sample.distance(e, sample.ridge.e) + sample.distance(f, sample.ridge.f);
  const double tied = 0.5 * sample.error(e, e) + sample.distance(e, sample.ridge.e);
  // Sums of some hundred terms of about the size of their result.
  CHECK(objective(sample.e, sample.f, gradient) == Approx(apart).epsilon(1e-13));
  CHECK(objective(sample.e, gradient) == Approx(tied).epsilon(1e-13));
  CHECK(objective.relative_error(sample.e, sample.f) == Approx(std::sqrt(sample.error(e, f))).epsilon(1e-13));
}

TEST_CASE("the gradient of a fit is that of its objective", "[fit]") {
  TiedSample sample;
  Resources resources(1);
  const ProjectionObjective<double> objective(sample.heads, sample.ridge, resources.execution);
  Matrix<double> apart(rows_k, columns_n), tied(rows_k, columns_n), ignored(rows_k, columns_n);
  static_cast<void>(objective(sample.e, sample.f, apart));
  static_cast<void>(objective(sample.e, tied));
  check_values("E beside F", values_of(sample.e.weight), values_of(apart),
               [&] { return objective(sample.e, sample.f, ignored); });
  check_values("E = F", values_of(sample.e.weight), values_of(tied), [&] { return objective(sample.e, ignored); });
}

TEST_CASE("a fit's objective has the same bits for any number of threads", "[fit]") {
  TiedSample sample;
  Resources one(1), three(3);
  Matrix<double> first(rows_k, columns_n), second(rows_k, columns_n);
  const double value = ProjectionObjective<double>(sample.heads, sample.ridge, one.execution)(sample.e, first);
  CHECK(ProjectionObjective<double>(sample.heads, sample.ridge, three.execution)(sample.e, second) == value);
  CHECK(first == second);
}

TEST_CASE("F solves its normal equations, as a dense solver does", "[fit]") {
  TiedSample sample;
  Resources resources(1);
  constexpr Index size = rows_k * columns_n;
  // By their definition: F, row by row, is the unknown; each text, head, query and feature gives an equation.
  Matrix<double> normal = Matrix<double>::Zero(size, size);
  Vector<double> right = Vector<double>::Zero(size);
  double squares = 0;
  for (const auto& head : fit_oracle::heads_of(sample.heads)) {
    const Matrix<double> p = fit_oracle::weights(head.query, sample.e.weight.leftCols(head.key.rows()) * head.key);
    squares += head.attended.squaredNorm();
    for (Index query = 0; query < p.rows(); ++query) {
      for (Index c = 0; c < width_d; ++c) {
        Vector<double> equation = Vector<double>::Zero(size);
        for (Index i = 0; i < rows_k; ++i) {
          for (Index t = 0; t < head.value.rows(); ++t) equation(i * columns_n + t) = p(query, i) * head.value(t, c);
        }
        normal += equation * equation.transpose();
        right += equation * head.attended(query, c);
      }
    }
  }
  const double ridge = sample.ridge.weight * columns_n / (rows_k * rows_k);
  normal = normal / squares + ridge * Matrix<double>::Identity(size, size);
  right = right / squares + ridge * Eigen::Map<const Vector<double>>(sample.ridge.f.data(), size);

  const ProjectionObjective<double> objective(sample.heads, sample.ridge, resources.execution);
  CHECK(objective.squares() == Approx(squares).epsilon(1e-13));
  const ValueProjectionSystem<double> system(sample.heads, sample.ridge, objective.squares(), sample.e,
                                             resources.execution);
  Matrix<double> product(rows_k, columns_n);
  const auto apply = [&](const Vector<double>& in, Vector<double>& out) {
    system.apply({Eigen::Map<const Matrix<double>>(in.data(), rows_k, columns_n)}, product);
    out = Eigen::Map<const Vector<double>>(product.data(), size);
  };
  const Vector<double> start = Eigen::Map<const Vector<double>>(sample.f.weight.data(), size);
  Vector<double> result(size);
  apply(start, result);
  CHECK((result - normal * start).norm() < 1e-13 * (normal * start).norm());
  const Vector<double> its_right = Eigen::Map<const Vector<double>>(system.right_hand_side().data(), size);
  CHECK((its_right - right).norm() < 1e-13 * right.norm());

  Vector<double> solved = start;
  conjugate_gradients<double>(apply, its_right, solved, {.iterations = 500, .tolerance = 1e-13});
  const Vector<double> expected = Matrix<double>(normal).ldlt().solve(right);
  CHECK((solved - expected).norm() < 1e-11 * right.norm() / ridge);  // no eigenvalue is below the ridge's
}
