#include <linformer/model/masked_language_model.hpp>

#include "support/attention_support.hpp"
#include "support/central_differences.hpp"
#include "support/resources.hpp"

#include <map>

namespace {

EncoderConfig language_model_config() {
  return {.vocabulary_size = 9,
          .sequence_length = 8,
          .layers = 1,
          .model_width = 6,
          .heads = 2,
          .feed_forward_width = 5,
          .projected_length = 3,
          .dropout = 0,
          .attention_dropout = 0};
}

double cosine(const Matrix<float>& a, const Matrix<float>& b) {
  const oracle::Table x = exact(a), y = exact(b);
  return x.cwiseProduct(y).sum() / (x.norm() * y.norm());
}

}  // namespace

TEST_CASE("logits of the masked language model are the formula's", "[masked_language_model]") {
  MaskedLanguageModel<double> model(language_model_config(), 1);
  randomise(model, 100);
  std::map<std::string, Matrix<double>> w;
  model.for_each_parameter([&](const std::string& name, Shape shape, std::span<const double> values) {
    w[name] = Eigen::Map<const Matrix<double>>(values.data(), shape[0], shape.size() == 2 ? shape[1] : 1);
  });
  const Matrix<double> hidden = random_matrix<double>(5, 6, 2);
  Matrix<double> x =
      (hidden * w["lm_head.dense.weight"].transpose()).rowwise() + w["lm_head.dense.bias"].col(0).transpose();
  x = x.unaryExpr([](double a) { return a * std::erfc(-a / std::sqrt(2.0)) / 2; });
  for (Index i = 0; i < x.rows(); ++i) {
    x.row(i).array() -= x.row(i).mean();
    x.row(i) /= std::sqrt(x.row(i).squaredNorm() / 6 + 1e-5);
    x.row(i) =
        x.row(i).cwiseProduct(w["lm_head.layer_norm.weight"].transpose()) + w["lm_head.layer_norm.bias"].transpose();
  }
  const Matrix<double> expected =
      (x * w["embeddings.word_embeddings.weight"].transpose()).rowwise() + w["lm_head.bias"].col(0).transpose();
  Resources resources(1);
  REQUIRE((model.logits(hidden, resources.execution) - expected).cwiseAbs().maxCoeff() < 1e-13);  // some 50 operations
}

TEST_CASE("gradients of the head are those of central differences, in tiles too", "[masked_language_model]") {
  MaskedLanguageModel<double> model(language_model_config(), 1);
  randomise(model, 100);
  Resources resources(1);
  for (const Index rows : {3, 200}) {  // a tile has 192
    Matrix<double> hidden = random_matrix<double>(rows, 6, 2);
    const Matrix<double> r = random_matrix<double>(rows, 9, 3);
    const auto loss = [&] { return model.logits(hidden, resources.execution).cwiseProduct(r).sum(); };
    MaskedLanguageModel<double> gradient = zero_gradient(model);
    Matrix<double> hidden_gradient(rows, 6);
    Index next = 0;
    model.head_backward(
        hidden, hidden_gradient, gradient,
        [&](Index first, MatrixRef<double> logits) {
          REQUIRE(first == next);
          next += logits.rows();
          logits = r.middleRows(first, logits.rows());
        },
        resources.execution);
    REQUIRE(next == rows);
    if (rows == 3) check_parameters(model, gradient, loss);
    check_values("hidden", {hidden.data(), static_cast<std::size_t>(hidden.size())},
                 {hidden_gradient.data(), static_cast<std::size_t>(hidden.size())}, loss);
  }
}

TEST_CASE("logits of the tokens that are read are those of all, frozen too", "[masked_language_model]") {
  EncoderConfig config = language_model_config();
  config.layers = 2;
  config.model_width = 8;
  MaskedLanguageModel<float> model(config, 1);
  randomise(model, 100);
  const auto frozen = model.frozen();
  const FrozenMaskedLanguageModel<float> half = model.frozen(Precision::bf16);
  const TokenBatch tokens =
      TokenBatch::from_sequences(std::vector<std::vector<std::int32_t>>{{1, 4, 4, 8, 2}, {}, {3, 5, 7}});
  const std::vector<Index> rows{1, 4, 6};
  const RowSelection read(tokens.layout, rows);
  for (const Isa isa : supported_isas()) {
    CAPTURE(name_of(isa));
    Resources resources(1, isa), two(2, isa);
    const Matrix<float> all = model.logits(model.encoder()(tokens, resources.execution), resources.execution);
    Matrix<float> expected(3, 9);
    gather_rows<float>(all, rows, expected);
    // Some 100 roundings behind each other, in any order of sums, of values about 1.
    const auto near = [&](const Matrix<float>& logits) {
      return (logits - expected).cwiseAbs().maxCoeff() <= 100 * 0x1p-24F * expected.cwiseAbs().maxCoeff();
    };
    const Matrix<float> logits = frozen(tokens, read, resources.execution);
    CHECK(near(logits));
    CHECK(near(model(tokens, read, resources.execution)));
    CHECK(same_bits(frozen(tokens, read, two.execution), logits));
    const Matrix<float> rounded = half(tokens, read, resources.execution);
    CHECK(cosine(rounded, expected) >= 0.999);
    CHECK_FALSE(same_bits(rounded, logits));
  }
  Resources resources(1);
  Matrix<float> wrong(2, 9);
  check_error([&] { frozen.forward(tokens, read, wrong, resources.execution); }, ErrorCode::shape_mismatch, "logits");
}
