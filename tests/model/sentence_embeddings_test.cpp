#include <linformer/model/sentence_embeddings.hpp>

#include "support/attention_support.hpp"
#include "support/resources.hpp"

TEST_CASE("a sentence's embedding is the mean over its tokens, of length 1", "[sentence_embeddings]") {
  Encoder<double> encoder({.vocabulary_size = 11,
                           .sequence_length = 10,
                           .layers = 1,
                           .model_width = 6,
                           .heads = 2,
                           .feed_forward_width = 7,
                           .projected_length = 4},
                          5);
  randomise(encoder, 100);
  const TokenBatch tokens{BatchLayout::from_lengths(std::vector<Index>{3, 0, 1}), {1, 7, 3, 10}};
  Resources resources(1);
  const Matrix<double> hidden = encoder(tokens, resources.execution);
  const Matrix<double> result = sentence_embeddings(encoder, tokens, resources.execution);
  REQUIRE(result.rows() == 3);
  const Vector<double> mean = (hidden.row(0) + hidden.row(1) + hidden.row(2)).transpose() / 3;
  // A few roundings of values below 1.
  REQUIRE((result.row(0).transpose() - mean / mean.norm()).norm() < 1e-14);
  REQUIRE((result.row(1).array() == 0).all());
  REQUIRE((result.row(2) - hidden.row(3) / hidden.row(3).norm()).norm() < 1e-14);
  REQUIRE((sentence_embeddings(encoder.frozen(), tokens, resources.execution) - result).norm() < 1e-13);
}
