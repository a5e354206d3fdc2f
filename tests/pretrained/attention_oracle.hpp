#pragma once

// Attention of tied heads by plain loops, what the tests of fitting E and F compare with.

#include <linformer/pretrained/attention_sample.hpp>

#include <cmath>
#include <random>
#include <vector>

namespace fit_oracle {

using namespace linformer;

inline Matrix<double> random_matrix(Index rows, Index cols, unsigned seed, double scale) {
  std::mt19937 generator(seed);
  Matrix<double> result(rows, cols);
  for (Index i = 0; i < result.size(); ++i) {
    result.data()[i] = scale * (static_cast<double>(generator()) / 4294967296.0 - 0.5);
  }
  return result;
}

/// softmax(Q·Kᵀ/√d), queries × keys.
inline Matrix<double> weights(const Matrix<double>& query, const Matrix<double>& keys) {
  Matrix<double> p(query.rows(), keys.rows());
  for (Index i = 0; i < query.rows(); ++i) {
    double sum = 0;
    for (Index j = 0; j < keys.rows(); ++j) {
      double score = 0;
      for (Index c = 0; c < query.cols(); ++c) score += query(i, c) * keys(j, c);
      p(i, j) = std::exp(score / std::sqrt(static_cast<double>(query.cols())));
      sum += p(i, j);
    }
    p.row(i) /= sum;
  }
  return p;
}

/// One text and head: its Q, K, V and P·V.
struct Head {
  Matrix<double> query, key, value, attended;
};

/// All texts and heads that E and F are tied over, in any order.
inline std::vector<Head> heads_of(const TiedHeads<double>& tied) {
  std::vector<Head> result;
  for (const AttentionSample<double>& layer : tied.layers) {
    for (Index b = 0; b < tied.texts.sequences(); ++b) {
      for (Index head = tied.first_head; head < tied.first_head + tied.heads; ++head) {
        const auto of = [&](const Matrix<double>& all) -> Matrix<double> {
          return all.block(tied.texts.offset(b), head * tied.head_width, tied.texts.length(b), tied.head_width);
        };
        result.push_back({of(layer.query), of(layer.key), of(layer.value), of(layer.attended)});
      }
    }
  }
  return result;
}

/// P̄·F·V of one head.
inline Matrix<double> attended(const Head& head, const Matrix<double>& e, const Matrix<double>& f) {
  const Matrix<double> keys = e.leftCols(head.key.rows()) * head.key;
  const Matrix<double> values = f.leftCols(head.value.rows()) * head.value;
  return weights(head.query, keys) * values;
}

/// Layers of random Q, K and V for some texts.
inline std::vector<AttentionSample<double>> random_samples(Index layers, Index rows, Index width, unsigned seed) {
  std::vector<AttentionSample<double>> result;
  for (Index layer = 0; layer < layers; ++layer) {
    const auto next = [&](double scale) { return random_matrix(rows, width, seed++, scale); };
    result.push_back({next(4), next(4), next(2), next(2)});
  }
  return result;
}

}  // namespace fit_oracle
