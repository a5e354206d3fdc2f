#include <linformer/train/conjugate_gradients.hpp>

#include "support/catch.hpp"

#include <Eigen/Cholesky>

using namespace linformer;

namespace {

struct LinearSystem {
  Matrix<double> a;  ///< symmetric, its eigenvalues at least 1
  Vector<double> b;

  LinearSystem() : b(Vector<double>::LinSpaced(30, -1, 2)) {
    Matrix<double> factor(30, 30);
    for (Index i = 0; i < factor.size(); ++i) factor.data()[i] = std::sin(static_cast<double>(i * i + 1));
    a = factor * factor.transpose() + Matrix<double>::Identity(30, 30);
  }

  [[nodiscard]] auto product() const {
    return [this](const Vector<double>& in, Vector<double>& out) { out = a * in; };
  }
  /// ½·xᵀ·A·x − bᵀ·x
  [[nodiscard]] double energy(const Vector<double>& x) const { return 0.5 * x.dot(a * x) - b.dot(x); }
};

}  // namespace

TEST_CASE("conjugate gradients solve what a factorisation solves", "[conjugate_gradients]") {
  const LinearSystem system;
  Vector<double> x = Vector<double>::Ones(30);
  const LinearSolution solution =
      conjugate_gradients<double>(system.product(), system.b, x, {.iterations = 200, .tolerance = 1e-12});
  const Vector<double> expected = Matrix<double>(system.a).ldlt().solve(system.b);
  CHECK(solution.residual <= 1e-12);
  CHECK(solution.stop == ConjugateGradientsStop::tolerance);
  // An error is at most the residual, as no eigenvalue is below 1; the factorisation's own comes on top.
  CHECK((x - expected).norm() < 1e-11 * system.b.norm());
  CHECK((system.b - system.a * x).norm() < 1e-11 * system.b.norm());
}

TEST_CASE("each iteration of conjugate gradients lowers the energy", "[conjugate_gradients]") {
  const LinearSystem system;
  double before = std::numeric_limits<double>::infinity();
  for (Index iterations = 0; iterations <= 12; ++iterations) {
    Vector<double> x = Vector<double>::Zero(30);
    const LinearSolution solution =
        conjugate_gradients<double>(system.product(), system.b, x, {.iterations = iterations, .tolerance = 0});
    CHECK(solution.iterations == iterations);
    CHECK(solution.stop == ConjugateGradientsStop::iterations);
    CHECK(system.energy(x) < before);
    before = system.energy(x);
  }
}

TEST_CASE("conjugate gradients stop where nothing is left to do", "[conjugate_gradients]") {
  const LinearSystem system;
  Vector<double> x = Matrix<double>(system.a).ldlt().solve(system.b);
  const Vector<double> start = x;
  CHECK(conjugate_gradients<double>(system.product(), system.b, x, {.tolerance = 1e-10}).iterations == 0);
  CHECK(x == start);
  Vector<double> zero = Vector<double>::Zero(30);
  const LinearSolution of_zero = conjugate_gradients<double>(system.product(), Vector<double>::Zero(30), zero);
  CHECK(of_zero.iterations == 0);
  CHECK(of_zero.residual == 0);
  CHECK(of_zero.stop == ConjugateGradientsStop::tolerance);
  CHECK(zero.isZero(0));
  Vector<double> shorter(29);
  CHECK_THROWS_AS(conjugate_gradients<double>(system.product(), system.b, shorter), Error);
}

TEST_CASE("conjugate gradients say that they cannot go on", "[conjugate_gradients]") {
  const Vector<double> b = Vector<double>::Ones(2);
  const auto solve = [&](const Vector<double>& diagonal, Vector<double> x) {
    const LinearSolution solution = conjugate_gradients<double>(
        [&](const Vector<double>& in, Vector<double>& out) { out = diagonal.cwiseProduct(in); }, b, x);
    CHECK(x.allFinite());
    return solution;
  };
  const Vector<double> start = Vector<double>::Zero(2);
  CHECK(solve(Vector<double>::Zero(2), start).stop == ConjugateGradientsStop::no_curvature);
  CHECK(solve(-Vector<double>::Ones(2), start).stop == ConjugateGradientsStop::no_curvature);
  CHECK(solve(Vector<double>::Constant(2, std::nan("")), start).stop == ConjugateGradientsStop::not_finite);
  CHECK(solve(Vector<double>::Constant(2, std::numeric_limits<double>::infinity()), Vector<double>::Ones(2)).stop ==
        ConjugateGradientsStop::not_finite);
  // A = −1, b = 0: x = 1 solves nothing, which is not told as a residual of 0.
  Vector<double> x = Vector<double>::Ones(2);
  const LinearSolution stuck = conjugate_gradients<double>(
      [&](const Vector<double>& in, Vector<double>& out) { out = -in; }, Vector<double>::Zero(2), x);
  CHECK(stuck.stop == ConjugateGradientsStop::no_curvature);
  CHECK(std::isinf(stuck.residual));
}
