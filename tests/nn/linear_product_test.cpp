#include <linformer/nn/linear_product.hpp>

#include "support/attention_support.hpp"
#include "support/resources.hpp"

TEST_CASE("the gradient of a weight is the formula's, and no bit of it depends on threads", "[linear]") {
  const Index rows = 700, in = 19, out = 530;
  const Matrix<float> x = random_matrix<float>(rows, in, 1), y_gradient = random_matrix<float>(rows, out, 2);
  const double u = 0x1p-24;
  const oracle::Table expected = exact(y_gradient).transpose() * exact(x);
  const oracle::Table magnitude = exact(y_gradient).cwiseAbs().transpose() * exact(x).cwiseAbs();
  for (const Isa isa : supported_isas()) {
    Matrix<float> first;
    for (const Index threads : {1, 2, 3, 16}) {
      CAPTURE(name_of(isa), threads);
      Resources resources(threads, isa);
      Linear<float> gradient = Linear<float>::zeros("w", out, in, true);
      linear_weight_backward<float>(x, y_gradient, gradient, resources.execution);
      const oracle::Table error = (exact(gradient.weight) - expected).cwiseAbs();
      CHECK((error.array() <= (rows + 1) * u * magnitude.array()).all());
      const oracle::Table bias_error =
          (exact(Matrix<float>(gradient.bias.transpose())) - exact(y_gradient).colwise().sum()).cwiseAbs();
      CHECK((bias_error.array() <= (rows + 1) * u * exact(y_gradient).cwiseAbs().colwise().sum().array()).all());
      Matrix<float> all(out, in + 1);
      all << gradient.weight, gradient.bias;
      if (threads == 1) first = all;
      CHECK(same_bits<float>(all, first));
    }
  }
}

TEST_CASE("the gradient of an input is written, or added where it is asked for", "[linear]") {
  const Matrix<double> weight = random_matrix<double>(5, 3, 1), y_gradient = random_matrix<double>(200, 5, 2);
  Resources resources(2, Isa::eigen);
  Matrix<double> written = Matrix<double>::Constant(200, 3, std::numeric_limits<double>::quiet_NaN());
  linear_input_backward<double>(weight, y_gradient, written, resources.execution);
  Matrix<double> added = Matrix<double>::Ones(200, 3);
  linear_input_backward<double>(weight, y_gradient, added, resources.execution, {.add = true});
  const Matrix<double> expected = y_gradient * weight;
  CHECK((written - expected).cwiseAbs().maxCoeff() <= 6 * 0x1p-53 * 5);
  CHECK((added - expected - Matrix<double>::Ones(200, 3)).cwiseAbs().maxCoeff() <= 7 * 0x1p-53 * 6);
}
