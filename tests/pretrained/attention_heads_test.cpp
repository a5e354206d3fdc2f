#include <linformer/pretrained/attention_heads.hpp>
#include <linformer/pretrained/conversion.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/resources.hpp"

#include <map>

using namespace linformer;
using linformer_test::error_of;

namespace {

using Table = Matrix<double>;

Encoder<double> encoder_with_heads(bool pre_norm) {
  Encoder<double> encoder({.vocabulary_size = 30,
                           .sequence_length = 16,
                           .layers = 2,
                           .model_width = 8,
                           .heads = 2,
                           .mechanism = Mechanism::softmax,
                           .pre_norm = pre_norm},
                          3);
  encoder.for_each_parameter([](const std::string& name, Shape shape, std::span<double> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (shape.size() == 2) values[i] *= 25;  // so that attention tells tokens apart
      if (name.ends_with("bias")) values[i] = 0.1 * std::sin(static_cast<double>(i));
    }
  });
  return encoder;
}

TokenBatch ragged_tokens() {
  return TokenBatch::from_sequences(
      std::vector<std::vector<std::int32_t>>{{5, 3, 9, 1, 22, 8, 17, 2, 29, 11, 4, 6, 0, 13, 7, 19}, {}, {1, 2, 28}});
}

/// A layer's weight or bias by its name, as a table.
Table parameter(const Encoder<double>& encoder, Index layer, const std::string& name) {
  Table result;
  const std::string full = "encoder.layer." + std::to_string(layer) + "." + name;
  encoder.for_each_parameter([&](const std::string& each, Shape shape, std::span<const double> values) {
    if (each != full) return;
    result = Eigen::Map<const Table>(values.data(), shape[0], shape.size() == 2 ? shape[1] : 1);
  });
  REQUIRE(result.size() > 0);
  return result;
}

Table linear(const Encoder<double>& encoder, const LayerAttention<double>& attention, const std::string& name) {
  const std::string of = "attention.self." + name;
  return (attention.input * parameter(encoder, attention.layer, of + ".weight").transpose()).rowwise() +
         parameter(encoder, attention.layer, of + ".bias").col(0).transpose();
}

/// softmax(Q·Kᵀ/√d), entry by entry.
Table softmax_of_scores(const Table& q, const Table& k) {
  Table p = (q * k.transpose() / std::sqrt(static_cast<double>(q.cols()))).array().exp();
  for (Index row = 0; row < p.rows(); ++row) p.row(row) /= p.row(row).sum();
  return p;
}

// Values of some units after sums of at most 16 terms, a dozen operations deep.
constexpr double tolerance = 1e-12;

}  // namespace

TEST_CASE("heads are softmax attention before W_O", "[attention_heads]") {
  Resources resources(2);
  for (const bool pre_norm : {false, true}) {
    const Encoder<double> encoder = encoder_with_heads(pre_norm);
    const AttentionHeads<double> heads(encoder);
    std::vector<std::pair<Index, Index>> visited;
    heads.for_each(
        ragged_tokens(),
        [&](const LayerAttention<double>& attention) {
          visited.emplace_back(attention.layer, attention.tokens.count);
          const Table q = linear(encoder, attention, "query"), k = linear(encoder, attention, "key"),
                      v = linear(encoder, attention, "value");
          REQUIRE(attention.probabilities.size() == 2);
          for (Index head = 0; head < 2; ++head) {
            const Table p = softmax_of_scores(q.middleCols(4 * head, 4), k.middleCols(4 * head, 4));
            CHECK((attention.probabilities[static_cast<std::size_t>(head)] - p).cwiseAbs().maxCoeff() < tolerance);
            CHECK((attention.output.middleCols(4 * head, 4) - p * v.middleCols(4 * head, 4)).cwiseAbs().maxCoeff() <
                  tolerance * v.cwiseAbs().maxCoeff());
          }
        },
        resources.execution);
    CHECK(visited == std::vector<std::pair<Index, Index>>{{0, 16}, {0, 3}, {1, 16}, {1, 3}});
  }
}

TEST_CASE("what heads read is what the encoder's layers read", "[attention_heads]") {
  Resources resources(1);
  const Encoder<double> encoder = encoder_with_heads(false);
  const TokenBatch tokens = ragged_tokens();
  EncoderCache<double> cache;
  Matrix<double> out(tokens.layout.rows(), 8);
  encoder.forward(tokens, out, {}, &cache, resources.execution);
  AttentionHeads<double>(encoder).for_each(
      tokens,
      [&](const LayerAttention<double>& attention) {
        const Index b = attention.tokens.count == 16 ? 0 : 2;
        CHECK(attention.input == cache.layers[static_cast<std::size_t>(attention.layer)].input.block().middleRows(
                                     tokens.layout.offset(b), tokens.layout.length(b)));
      },
      resources.execution);
}

TEST_CASE("projected heads are Eq. 7 of the heads' queries, keys and values", "[attention_heads]") {
  Resources resources(1);
  const Encoder<double> encoder = encoder_with_heads(false);
  const AttentionHeads<double> heads(encoder);
  for (const Sharing sharing : {Sharing::none, Sharing::key_value}) {
    const ProjectionSet<double> projections =
        to_linformer(encoder, {.projected_length = 5, .sharing = sharing, .start = ProjectionStart::random, .seed = 7})
            .projections();
    heads.for_each(
        ragged_tokens(),
        [&](const LayerAttention<double>& attention) {
          const Table q = linear(encoder, attention, "query"), k = linear(encoder, attention, "key"),
                      v = linear(encoder, attention, "value");
          const Table found = heads.projected(attention, projections, resources.execution);
          for (Index head = 0; head < 2; ++head) {
            const auto of = [&](Side side) -> Table {  // a shorter text takes the first columns
              const auto& kind = projections.projection(attention.layer, head, side).kind();
              return std::get<LearnedProjection<double>>(kind).weight.leftCols(q.rows());
            };
            const Table p = softmax_of_scores(q.middleCols(4 * head, 4), of(Side::key) * k.middleCols(4 * head, 4));
            const Table expected = p * (of(Side::value) * v.middleCols(4 * head, 4));
            CHECK((found.middleCols(4 * head, 4) - expected).cwiseAbs().maxCoeff() <
                  tolerance * v.cwiseAbs().maxCoeff());
          }
        },
        resources.execution);
  }
}

TEST_CASE("a Linformer, and projections of another n, are refused", "[attention_heads]") {
  Resources resources(1);
  const Encoder<double> encoder = encoder_with_heads(false);
  const Encoder<double> linformer = to_linformer(encoder, {.sequence_length = 20, .projected_length = 4});
  CHECK(error_of([&] { AttentionHeads<double> heads(linformer); }).code() == ErrorCode::unsupported);
  const auto project_all = [&](const AttentionHeads<double>& heads, const Encoder<double>& of) {
    heads.for_each(
        ragged_tokens(),
        [&](const LayerAttention<double>& attention) {
          static_cast<void>(heads.projected(attention, of.projections(), resources.execution));
        },
        resources.execution);
  };
  CHECK(error_of([&] { project_all(AttentionHeads<double>(encoder), linformer); }).code() == ErrorCode::shape_mismatch);
  project_all(AttentionHeads<double>(encoder, 20), linformer);
  CHECK(error_of([&] { project_all(AttentionHeads<double>(encoder, 8), linformer); }).code() ==
        ErrorCode::shape_mismatch);
  const Encoder<double> shorter = to_linformer(encoder, {.sequence_length = 8, .projected_length = 4});
  CHECK(error_of([&] { project_all(AttentionHeads<double>(encoder, 8), shorter); }).code() ==
        ErrorCode::sequence_too_long);
}
