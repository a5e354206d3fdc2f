#include <linformer/pretrained/attention_sample.hpp>

#include "attention_oracle.hpp"
#include "support/catch.hpp"
#include "support/resources.hpp"

using namespace linformer;

TEST_CASE("a sample of attention is what a layer's heads compute", "[fit]") {
  for (const bool pre_norm : {false, true}) {
    EncoderConfig config{.vocabulary_size = 5,
                         .sequence_length = 9,
                         .layers = 1,
                         .model_width = 6,
                         .heads = 2,
                         .mechanism = Mechanism::softmax_tiled,
                         .pre_norm = pre_norm};
    const EncoderLayer<double> layer(resolved(config), 3);
    const std::vector<Index> lengths{7, 0, 2};
    const BatchLayout texts = BatchLayout::from_lengths(lengths);
    const Matrix<double> input = fit_oracle::random_matrix(9, 6, 1, 3);
    Resources resources(2);
    const AttentionSample<double> sample = attention_sample<double>(layer, input, texts, resources.execution);

    Matrix<double> x = input;
    if (pre_norm) {  // of scale 1 and shift 0, as a new layer's is
      for (Index row = 0; row < x.rows(); ++row) {
        x.row(row).array() -= x.row(row).mean();
        x.row(row) /= std::sqrt(x.row(row).squaredNorm() / 6 + config.layer_norm_epsilon);
      }
    }
    const AttentionWeights<double>& weights = layer.attention().weights();
    CHECK((sample.query - x * weights.query.weight.transpose()).norm() < 1e-13 * sample.query.norm());
    CHECK((sample.key - x * weights.key.weight.transpose()).norm() < 1e-13 * sample.key.norm());
    CHECK((sample.value - x * weights.value.weight.transpose()).norm() < 1e-13 * sample.value.norm());
    for (const auto& head : fit_oracle::heads_of({std::span(&sample, 1), texts, 0, 2, 3})) {
      CHECK((fit_oracle::weights(head.query, head.key) * head.value - head.attended).norm() <=
            1e-13 * head.value.norm());
    }
  }
}
