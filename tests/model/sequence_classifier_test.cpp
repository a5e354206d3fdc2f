#include <linformer/model/sequence_classifier.hpp>

#include "support/attention_support.hpp"
#include "support/central_differences.hpp"
#include "support/resources.hpp"

TEST_CASE("gradients of the classifier are those of central differences", "[sequence_classifier]") {
  for (const Pooling pooling : {Pooling::first_token, Pooling::mean}) {
    for (const double dropout : {0.0, 0.3}) {
      const EncoderConfig config{.vocabulary_size = 9,
                                 .sequence_length = 8,
                                 .layers = 1,
                                 .model_width = 6,
                                 .heads = 2,
                                 .feed_forward_width = 5,
                                 .projected_length = 3,
                                 .dropout = dropout,
                                 .attention_dropout = dropout};
      SequenceClassifier<double> model(config, 3, pooling, 1);
      randomise(model, 100);
      const TokenBatch tokens =
          TokenBatch::from_sequences(std::vector<std::vector<std::int32_t>>{{1, 4, 4, 8, 2}, {0}, {3, 5}});
      const EncoderOptions options{.dropout = DropoutAddress{.seed = 3, .step = 1}};
      const Matrix<double> r = random_matrix<double>(3, 3, 2);
      Resources resources(1);
      const auto loss = [&] {
        return model.forward(tokens, options, nullptr, resources.execution).cwiseProduct(r).sum();
      };
      SequenceClassifier<double>::Cache cache;
      const Matrix<double> logits = model.forward(tokens, options, &cache, resources.execution);
      REQUIRE(logits.cwiseProduct(r).sum() == loss());
      SequenceClassifier<double> gradient = zero_gradient(model);
      model.backward(tokens, options, cache, r, gradient, resources.execution);
      check_parameters(model, gradient, loss);
    }
  }
}

TEST_CASE("the classifier names what does not fit", "[sequence_classifier]") {
  const EncoderConfig config{
      .vocabulary_size = 9, .sequence_length = 8, .layers = 1, .model_width = 6, .heads = 2, .projected_length = 3};
  REQUIRE_THROWS_AS(SequenceClassifier<double>(config, 0, Pooling::mean, 1), Error);
}

TEST_CASE("a classifier in inference reads what it needs, frozen too", "[sequence_classifier]") {
  const EncoderConfig config{.vocabulary_size = 9,
                             .sequence_length = 8,
                             .layers = 2,
                             .model_width = 8,
                             .heads = 2,
                             .feed_forward_width = 12,
                             .projected_length = 3,
                             .dropout = 0,
                             .attention_dropout = 0};
  const TokenBatch tokens =
      TokenBatch::from_sequences(std::vector<std::vector<std::int32_t>>{{1, 4, 4, 8, 2}, {}, {0}, {3, 5}});
  for (const Pooling pooling : {Pooling::first_token, Pooling::mean}) {
    SequenceClassifier<float> model(config, 3, pooling, 1);
    randomise(model, 100);
    const FrozenSequenceClassifier<float> frozen = model.frozen(), half = model.frozen(Precision::bf16);
    CHECK(frozen.classes() == 3);
    CHECK(frozen.pooling() == pooling);
    for (const Isa isa : supported_isas()) {
      CAPTURE(pooling, name_of(isa));
      Resources resources(1, isa), two(2, isa);
      SequenceClassifier<float>::Cache cache;  // with it, every row is computed
      const Matrix<float> expected = model.forward(tokens, {}, &cache, resources.execution);
      // Some 100 roundings behind each other, in any order of sums, of values about 1.
      const auto near = [&](const Matrix<float>& logits) {
        return (logits - expected).cwiseAbs().maxCoeff() <= 100 * 0x1p-24F * expected.cwiseAbs().maxCoeff();
      };
      const Matrix<float> logits = frozen(tokens, resources.execution);
      CHECK(near(logits));
      CHECK(near(model(tokens, resources.execution)));
      CHECK(same_bits(frozen(tokens, two.execution), logits));
      const Matrix<float> rounded = half(tokens, resources.execution);
      CHECK((rounded - expected).norm() <= 0.045 * expected.norm());  // a cosine of 0.999
      CHECK_FALSE(same_bits(rounded, logits));
    }
  }
}
