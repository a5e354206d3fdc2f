#include <linformer/model/self_test.hpp>

#include "support/attention_support.hpp"
#include "support/resources.hpp"

#include <set>

namespace {

EncoderConfig small(Index length) {
  return {.vocabulary_size = 40,
          .sequence_length = length,
          .layers = 2,
          .model_width = 8,
          .heads = 2,
          .projected_length = 4};
}

}  // namespace

TEST_CASE("the input of a self-test depends on vocabulary and length alone", "[self_test]") {
  const auto ids = self_test_ids(small(100));
  REQUIRE(ids.size() == 64);
  REQUIRE(self_test_ids(small(10)) == std::vector<std::int32_t>(ids.begin(), ids.begin() + 10));
  for (const std::int32_t id : ids) REQUIRE((id >= 0 && id < 40));
  REQUIRE(std::set<std::int32_t>(ids.begin(), ids.end()).size() > 20);  // of 64 draws of 40, 32 are expected
}

TEST_CASE("its output is what the model says of the first tokens, or of the sequence", "[self_test]") {
  Resources resources(1);
  MaskedLanguageModel<float> model(small(10), 1);
  randomise(model, 100);
  const auto ids = self_test_ids(small(10));
  const Matrix<float> hidden = model.encoder()({BatchLayout::single(10), ids}, resources.execution);
  const Matrix<float> logits = model.logits(hidden, resources.execution);
  const Matrix<float> test = self_test_logits(model, ids, resources.execution);
  REQUIRE(test.rows() == 4);
  REQUIRE((test - logits.topRows(4)).cwiseAbs().maxCoeff() < 1e-5F);

  SequenceClassifier<float> classifier(small(10), 3, Pooling::mean, 1);
  REQUIRE(same_bits(self_test_logits(classifier, ids, resources.execution),
                    classifier.forward({BatchLayout::single(10), ids}, {}, nullptr, resources.execution)));
}

TEST_CASE("differences are relative to the largest logit, and infinite where one is not finite", "[self_test]") {
  Resources resources(1);
  MaskedLanguageModel<double> model(small(10), 1);
  randomise(model, 100);
  SelfTest<double> test{self_test_ids(small(10)), {}};
  test.logits = self_test_logits(model, test.ids, resources.execution);
  const double largest = test.logits.cwiseAbs().maxCoeff();
  REQUIRE(self_test_difference(model, test, resources.execution) == 0);
  Index row = 0, column = 0;
  test.logits.cwiseAbs().minCoeff(&row, &column);
  test.logits(row, column) += largest / 8;
  REQUIRE(std::abs(self_test_difference(model, test, resources.execution) - 0.125) < 1e-14);
  test.logits(0, 0) = std::numeric_limits<double>::quiet_NaN();
  REQUIRE(std::isinf(self_test_difference(model, test, resources.execution)));
  test.logits.conservativeResize(3, 40);
  REQUIRE_THROWS_AS(self_test_difference(model, test, resources.execution), Error);
}
