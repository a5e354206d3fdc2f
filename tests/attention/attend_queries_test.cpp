#include <linformer/attention/attend_queries.hpp>

#include "support/attention_support.hpp"

TEST_CASE("every boundary of tiles is the formula") {
  // Queries around one and two tiles (96), keys around one and two tiles (480).
  for (const Index keys : {479, 480, 481, 961}) {
    const auto attention = random_attention<float>(
        {.sequence_length = 1100, .model_width = 3, .heads = 1, .mechanism = Mechanism::softmax_tiled});
    const auto layer = oracle::describe(attention, 5);
    // Scores that rise along the keys make every tile change the running maximum, by far.
    Matrix<float> context = random_matrix<float>(keys, 3, 2);
    for (Index t = 0; t < keys; ++t) context.row(t) *= 1 + 0.05F * static_cast<float>(t);
    for (const Index queries : {95, 96, 97, 193}) {
      CAPTURE(keys, queries);
      const Matrix<float> x = random_matrix<float>(queries, 3, 1);
      const auto expected = oracle::forward(layer, exact(x), exact(context));
      CHECK(worst_ratio(attention(x, context), expected.y, expected.y_error) <= 1);
    }
  }
}

TEST_CASE("heads of different projected lengths stand side by side") {
  const auto attention = random_attention<double>({.sequence_length = 640,
                                                   .model_width = 6,
                                                   .heads = 3,
                                                   .projected_length = {1, 600, 7},
                                                   .sharing = Sharing::none});
  const Matrix<double> x = random_matrix<double>(640, 6, 1);
  const auto expected = oracle::forward(oracle::describe(attention, 5), x, x);
  Probabilities<double> p;
  Matrix<double> y, z;
  attention.forward(x, y);
  attention.forward(x, z, {.probabilities = &p});
  CHECK(worst_ratio(y, expected.y, expected.y_error) <= 1);
  CHECK(worst_ratio(z, expected.y, expected.y_error) <= 1);
  REQUIRE(p.size() == 3);
  for (std::size_t head = 0; head < 3; ++head)
    CHECK(worst_ratio(p[head], expected.p[head], expected.p_error[head]) <= 1);
}
