#include <linformer/model/sequence_classifier.hpp>
#include <linformer/train/masked_language_loss.hpp>
#include <linformer/train/trainer.hpp>

#include "support/attention_support.hpp"
#include "support/fixtures.hpp"
#include "support/resources.hpp"

// Whole encoders against what PyTorch makes of the same weights and tokens: fixtures/make_encoder_fixtures.py.

namespace {

const oracle::Parameters& fixture(const std::string& name) {
  static const auto cases = read_fixtures("encoder.txt");
  return cases.at(name);
}

const std::map<std::string, std::pair<Mechanism, Sharing>> language_models{
    {"none", {Mechanism::linformer, Sharing::none}},
    {"headwise", {Mechanism::linformer, Sharing::headwise}},
    {"key_value", {Mechanism::linformer, Sharing::key_value}},
    {"layerwise", {Mechanism::linformer, Sharing::layerwise}},
    {"softmax", {Mechanism::softmax, Sharing::key_value}},
};

EncoderConfig config_of(Mechanism mechanism, Sharing sharing) {
  return {.vocabulary_size = 19,
          .sequence_length = 10,
          .layers = 2,
          .model_width = 8,
          .heads = 2,
          .feed_forward_width = 16,
          .mechanism = mechanism,
          .projected_length = 4,
          .sharing = sharing,
          .dropout = 0,
          .attention_dropout = 0};
}

template <class Integer>
std::vector<Integer> integers(const oracle::Parameters& given, const std::string& name) {
  const oracle::Table& table = given.at(name);
  std::vector<Integer> result;
  for (Index i = 0; i < table.size(); ++i) result.push_back(static_cast<Integer>(table.data()[i]));
  return result;
}

TokenBatch tokens_of(const oracle::Parameters& given) {
  return {BatchLayout::from_lengths(integers<Index>(given, "lengths")), integers<std::int32_t>(given, "ids")};
}

MaskedTokens masked_of(const oracle::Parameters& given) {
  return {integers<std::int32_t>(given, "ids"), integers<Index>(given, "rows"),
          integers<std::int32_t>(given, "labels")};
}

/// Gives the module its fixture's weights, of which none may be left over. @param others tensors that are no weights
template <class Module>
void load(const oracle::Parameters& given, Module& module) {
  std::size_t weights = 0, loaded = 0;
  for (const auto& [name, table] : given) weights += given.count("gradient." + name);
  module.for_each_parameter([&](const std::string& name, Shape shape, auto values) {
    INFO(name);
    const oracle::Table& table = given.at(name);
    REQUIRE(table.rows() == shape[0]);
    REQUIRE(table.cols() == (shape.size() == 2 ? shape[1] : 1));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<std::remove_reference_t<decltype(values[i])>>(table.data()[i]);
    }
    ++loaded;
  });
  REQUIRE(loaded == weights);
}

// A value passes some 40 steps (embedding, layer norm, and in each of two layers six products, a softmax, GELU and two
// norms, then the head; as many back), each of which sums at most 19 terms. Their roundings fall to either side and add
// up as √(40·19) < 32 of them, and what is summed is seldom 16 times as large as the sum: 2^9 units. The 15 digits of
// the fixtures are 2^5 more.
template <Scalar T>
constexpr double units = 512 * static_cast<double>(std::numeric_limits<T>::epsilon());

// A rounding δ of a gradient g moves a weight by about η·δ/|g| in a step of Adam, η ≤ 0.02: with δ ≤ 4e-12 and
// gradients of 1e-2 that is 1e-11 a step. Gradients that are zero but for rounding, as those of the keys' biases in
// softmax attention, stay below ε.
constexpr double after_steps = 1e-10;

/// Errors are relative to the largest value of the tensor.
void check_close(const std::string& name, const oracle::Table& expected, std::span<const double> actual,
                 double tolerance) {
  REQUIRE(static_cast<std::size_t>(expected.size()) == actual.size());
  const double scale = std::max(expected.cwiseAbs().maxCoeff(), 1e-2);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    INFO(name << " at " << i << ": expected " << expected.data()[i] << ", got " << actual[i]);
    REQUIRE(std::abs(expected.data()[i] - actual[i]) <= tolerance * scale);
  }
}

template <Scalar T>
void check_close(const std::string& name, const oracle::Table& expected, const Matrix<T>& actual) {
  REQUIRE(expected.rows() == actual.rows());
  const oracle::Table values = exact(actual);
  check_close(name, expected, {values.data(), static_cast<std::size_t>(values.size())}, units<T>);
}

template <class Module>
void check_gradients(const oracle::Parameters& given, const Module& gradient) {
  gradient.for_each_parameter([&](const std::string& name, Shape, std::span<const double> values) {
    check_close("gradient." + name, given.at("gradient." + name), values, units<double>);
  });
}

/// Logits at the masked positions.
template <Scalar T>
Matrix<T> logits_of(const MaskedLanguageModel<T>& model, const oracle::Parameters& given, const Execution& execution) {
  const Matrix<T> hidden = model.encoder()(tokens_of(given), execution);
  const std::vector<Index> rows = integers<Index>(given, "rows");
  Matrix<T> chosen(static_cast<Index>(rows.size()), hidden.cols());
  for (Index i = 0; i < chosen.rows(); ++i) chosen.row(i) = hidden.row(rows[static_cast<std::size_t>(i)]);
  return model.logits(chosen, execution);
}

template <Scalar T>
MaskedLanguageModel<T> language_model(const std::string& name) {
  const auto& [mechanism, sharing] = language_models.at(name);
  MaskedLanguageModel<T> model(config_of(mechanism, sharing), 1);
  load(fixture(name), model);
  return model;
}

SequenceClassifier<double> classifier(const std::string& name) {
  EncoderConfig config = config_of(Mechanism::linformer, Sharing::key_value);
  if (name == "classifier_mean") {
    config.sharing = Sharing::headwise;
    config.pre_norm = true;
    config.activation = Gelu::tanh;
    config.positions = PositionKind::sinusoidal;
  }
  SequenceClassifier<double> model(config, 3, name == "classifier_mean" ? Pooling::mean : Pooling::first_token, 1);
  load(fixture(name), model);
  return model;
}

}  // namespace

TEMPLATE_TEST_CASE("logits of the masked language model are PyTorch's", "[encoder][fixture]", double, float) {
  for (const auto& [name, ignored] : language_models) {
    const oracle::Parameters& given = fixture(name);
    const auto model = language_model<TestType>(name);
    for (const Isa isa : supported_isas()) {
      CAPTURE(name, name_of(isa));
      Resources resources(1, isa);
      check_close<TestType>("logits", given.at("logits"), logits_of(model, given, resources.execution));
    }
  }
}

TEST_CASE("gradients of the masked-language loss are PyTorch's", "[encoder][fixture]") {
  for (const auto& [name, ignored] : language_models) {
    for (const bool recompute : {false, true}) {
      CAPTURE(name, recompute);
      const oracle::Parameters& given = fixture(name);
      const auto model = language_model<double>(name);
      const MaskedTokens masked = masked_of(given);
      Resources resources(1);
      EncoderCache<double> cache;
      auto gradient = zero_gradient(model);
      const LossSum sum =
          masked_language_gradient(model, tokens_of(given).layout, masked, {.recompute = recompute},
                                   1 / static_cast<double>(masked.rows.size()), cache, gradient, resources.execution);
      REQUIRE(std::abs(sum.mean() - given.at("losses")(0, 0)) < units<double> * sum.mean());
      check_gradients(given, gradient);
    }
  }
}

TEST_CASE("ten training steps give PyTorch's losses and weights", "[encoder][fixture][trainer]") {
  for (const auto& [name, ignored] : language_models) {
    CAPTURE(name);
    const oracle::Parameters& given = fixture(name);
    auto model = language_model<double>(name);
    const MaskedTokens masked = masked_of(given);
    const BatchLayout layout = tokens_of(given).layout;
    Trainer<double, MaskedLanguageModel<double>> trainer(
        model, {.schedule = {.kind = ScheduleKind::linear, .peak = 0.02, .warmup_steps = 3, .total_steps = 12},
                .optimizer = {.beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-6, .weight_decay = 0.1},
                .max_gradient_norm = 2});
    Resources resources(1);
    EncoderCache<double> cache;
    for (Index i = 0; i < 10; ++i) {
      CAPTURE(i);
      const TrainingStep step = trainer.step(
          model, 1,
          [&](Index, MaskedLanguageModel<double>& gradient) {
            return masked_language_gradient(model, layout, masked, {}, 1.0, cache, gradient, resources.execution);
          },
          resources.pool);
      const double loss = given.at("losses")(i, 0), norm = given.at("norms")(i, 0);
      REQUIRE(std::abs(step.loss.mean() - loss) < after_steps * loss);
      REQUIRE(std::abs(step.gradient_norm - norm) < after_steps * norm);
    }
    model.for_each_parameter([&](const std::string& parameter, Shape, std::span<const double> values) {
      double sums[2] = {0, 0};
      for (const double value : values) {
        sums[0] += value;
        sums[1] += value * value;
      }
      check_close("sums." + parameter, given.at("sums." + parameter), sums, after_steps);
    });
  }
}

TEST_CASE("logits and gradients of the sequence classifier are PyTorch's", "[encoder][fixture]") {
  for (const std::string name : {"classifier_first_token", "classifier_mean"}) {
    CAPTURE(name);
    const oracle::Parameters& given = fixture(name);
    const auto model = classifier(name);
    const TokenBatch tokens = tokens_of(given);
    Resources resources(1);
    SequenceClassifier<double>::Cache cache;
    Matrix<double> logits = model.forward(tokens, {}, &cache, resources.execution);
    check_close<double>("logits", given.at("logits"), logits);
    cross_entropy_gradient<double>(logits, integers<std::int32_t>(given, "labels"),
                                   1 / static_cast<double>(logits.rows()));
    auto gradient = zero_gradient(model);
    model.backward(tokens, {}, cache, logits, gradient, resources.execution);
    check_gradients(given, gradient);
  }
}
