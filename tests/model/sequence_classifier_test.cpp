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
