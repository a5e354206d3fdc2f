#include <linformer/pretrained/conversion.hpp>
#include <linformer/pretrained/distillation.hpp>
#include <linformer/train/gradient_check.hpp>
#include <linformer/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/resources.hpp"

using namespace linformer;

namespace {

Encoder<double> teacher_encoder() {
  Encoder<double> encoder({.vocabulary_size = 20,
                           .sequence_length = 12,
                           .layers = 2,
                           .model_width = 8,
                           .heads = 2,
                           .mechanism = Mechanism::softmax_tiled,
                           .dropout = 0,
                           .attention_dropout = 0},
                          3);
  encoder.for_each_parameter([](const std::string&, Shape shape, std::span<double> values) {
    if (shape.size() == 2) {
      for (double& value : values) value *= 25;  // so that attention tells tokens apart
    }
  });
  return encoder;
}

const std::vector<std::vector<std::int32_t>> some_texts = {
    {1, 5, 9, 13, 17, 2, 6, 10, 14, 18, 3, 7}, {4, 8, 12}, {}, {19}};

/// ½‖h − t‖²/D over tokens and 1 − cosine of the texts' means, times their tokens, as they are written down.
double loss_of(const Matrix<double>& h, const Matrix<double>& t, const BatchLayout& layout,
               const DistillationConfig& config) {
  double loss = config.hidden_states * 0.5 * (h - t).squaredNorm() / static_cast<double>(h.cols());
  for (Index b = 0; b < layout.sequences(); ++b) {
    const Index length = layout.length(b);
    if (length == 0) continue;
    const auto mean = [&](const Matrix<double>& x) -> Vector<double> {
      return x.middleRows(layout.offset(b), length).colwise().sum().transpose() / static_cast<double>(length);
    };
    const Vector<double> a = mean(h), c = mean(t);
    loss += config.embeddings * static_cast<double>(length) * (1 - a.dot(c) / (a.norm() * c.norm()));
  }
  return loss;
}

}  // namespace

TEST_CASE("the gradient of distillation is that of its loss", "[distillation]") {
  Resources resources(1);
  EncoderCache<double> cache;
  const Encoder<double> teacher = teacher_encoder();
  const TokenBatch tokens = TokenBatch::from_sequences(some_texts);
  const Matrix<double> goal = teacher(tokens, resources.execution);
  const Encoder<double> student = to_linformer(teacher, {.projected_length = 4});
  const DistillationConfig config{.hidden_states = 0.7, .embeddings = 1.3};
  Encoder<double> gradient = zero_gradient(student);
  const LossSum sum =
      distillation_gradient<double>(student, {goal}, tokens, config, {}, 2.0, cache, gradient, resources.execution);
  const Matrix<double> out = student(tokens, resources.execution);
  CHECK(sum.weight == 16);
  CHECK(std::abs(sum.loss - loss_of(out, goal, tokens.layout, config)) < 1e-12 * sum.loss);
  const auto function = [&](const Encoder<double>& at) {
    return 2 * loss_of(at(tokens, resources.execution), goal, tokens.layout, config);
  };
  const GradientCheck check = check_gradient(student, function, gradient, {.samples = 12});
  CAPTURE(check.worst.front().name, check.worst.front().analytic, check.worst.front().numeric);
  CHECK(check.passed());
}

TEST_CASE("the gradient of every layer's outputs is that of its loss", "[distillation]") {
  Resources resources(1);
  EncoderCache<double> cache, teacher_cache;
  const Encoder<double> teacher = teacher_encoder();
  const TokenBatch tokens = TokenBatch::from_sequences(some_texts);
  Matrix<double> goal(tokens.layout.rows(), 8);
  teacher.forward(tokens, goal, {.recompute = true}, &teacher_cache, resources.execution);
  const Encoder<double> student = to_linformer(teacher, {.projected_length = 4});
  const DistillationConfig config{.hidden_states = 0.7, .embeddings = 0, .layers = 1.9};
  const auto loss_at = [&](const Encoder<double>& at) {
    EncoderCache<double> its;
    Matrix<double> out(tokens.layout.rows(), 8);
    at.forward(tokens, out, {}, &its, resources.execution);
    const Matrix<double> difference = its.layers[1].input.block() - teacher_cache.inputs[1].block();
    return loss_of(out, goal, tokens.layout, config) + config.layers * 0.5 * difference.squaredNorm() / 8;
  };
  for (const bool recompute : {false, true}) {
    Encoder<double> gradient = zero_gradient(student);
    const LossSum sum =
        distillation_gradient<double>(student, {goal, &teacher_cache}, tokens, config, {.recompute = recompute}, 2.0,
                                      cache, gradient, resources.execution);
    CHECK(std::abs(sum.loss - loss_at(student)) < 1e-12 * sum.loss);
    const GradientCheck check =
        check_gradient(student, [&](const Encoder<double>& at) { return 2 * loss_at(at); }, gradient, {.samples = 12});
    CAPTURE(recompute, check.worst.front().name, check.worst.front().analytic, check.worst.front().numeric);
    CHECK(check.passed());
  }
  Encoder<double> gradient = zero_gradient(student);
  CHECK_THROWS_AS(
      distillation_gradient<double>(student, {goal}, tokens, config, {}, 2.0, cache, gradient, resources.execution),
      Error);
}

TEST_CASE("a student that is its teacher has nothing to learn", "[distillation]") {
  Resources resources(1);
  EncoderCache<double> cache;
  const Encoder<double> teacher = teacher_encoder();
  const TokenBatch tokens = TokenBatch::from_sequences(some_texts);
  const Matrix<double> goal = teacher(tokens, resources.execution);
  Encoder<double> gradient = zero_gradient(teacher);
  const LossSum sum = distillation_gradient<double>(teacher, {goal}, tokens, {.hidden_states = 1, .embeddings = 1}, {},
                                                    1.0, cache, gradient, resources.execution);
  CHECK(std::abs(sum.loss) < 1e-14);
  bool small = true;
  gradient.for_each_parameter([&](const std::string&, Shape, std::span<const double> values) {
    for (const double value : values) small = small && std::abs(value) < 1e-12;
  });
  CHECK(small);  // a cosine's rounding, through two layers of weights about 1
}

TEST_CASE("the gradient of hidden tokens' logits is that of their divergence", "[distillation]") {
  Resources resources(1);
  EncoderCache<double> cache, teacher_cache;
  MaskedLanguageModel<double> teacher(teacher_encoder().config(), 3);
  teacher.encoder() = teacher_encoder();
  const MaskedLanguageModel<double> student = to_linformer(teacher, {.projected_length = 4});
  const TokenBatch tokens = TokenBatch::from_sequences(some_texts);
  const MaskedTokens masked{tokens.ids, {1, 5, 12, 13, 15}, {}};
  Matrix<double> goal(tokens.layout.rows(), 8);
  teacher.encoder().forward(tokens, goal, {}, &teacher_cache, resources.execution);
  const RowSelection read(tokens.layout, masked.rows);
  const auto log_probabilities = [&](const MaskedLanguageModel<double>& model) {
    Matrix<double> logits = model(tokens, read, resources.execution);
    for (Index i = 0; i < logits.rows(); ++i) logits.row(i).array() -= std::log(logits.row(i).array().exp().sum());
    return logits;
  };
  const Matrix<double> p = log_probabilities(teacher);
  for (const bool alone : {true, false}) {
    const DistillationConfig config{
        .hidden_states = alone ? 0 : 0.7, .embeddings = alone ? 0 : 1.3, .layers = alone ? 0 : 0.4, .logits = 2.1};
    const auto loss_at = [&](const MaskedLanguageModel<double>& at) {
      EncoderCache<double> its;
      Matrix<double> out(tokens.layout.rows(), 8);
      at.encoder().forward(tokens, out, {}, &its, resources.execution);
      const Matrix<double> q = log_probabilities(at);
      const Matrix<double> layer = its.layers[1].input.block() - teacher_cache.layers[1].input.block();
      return loss_of(out, goal, tokens.layout, config) + config.layers * 0.5 * layer.squaredNorm() / 8 +
             config.logits * (p.array().exp() * (p - q).array()).sum();
    };
    MaskedLanguageModel<double> gradient = zero_gradient(student);
    const LossSum sum = distillation_gradient<double>(student, teacher, {goal, &teacher_cache}, tokens.layout, masked,
                                                      config, {}, 2.0, cache, gradient, resources.execution);
    CHECK(sum.weight == 16);
    CHECK(sum.loss > 0.1);
    CHECK(std::abs(sum.loss - loss_at(student)) < 1e-12 * sum.loss);
    const GradientCheck check = check_gradient(
        student, [&](const MaskedLanguageModel<double>& at) { return 2 * loss_at(at); }, gradient, {.samples = 12});
    CAPTURE(alone, check.worst.front().name, check.worst.front().analytic, check.worst.front().numeric);
    CHECK(check.passed());
  }
  EncoderConfig wider = teacher.encoder().config();
  wider.vocabulary_size = 21;
  MaskedLanguageModel<double> gradient = zero_gradient(student);
  CHECK_THROWS_AS(distillation_gradient<double>(student, MaskedLanguageModel<double>(wider, 1), {goal}, tokens.layout,
                                                masked, {.logits = 1}, {}, 1.0, cache, gradient, resources.execution),
                  Error);
}

TEST_CASE("hidden tokens of many tiles and threads are those of smaller batches, and none leave the encoder's gradient",
          "[distillation]") {
  MaskedLanguageModel<double> teacher(teacher_encoder().config(), 3);
  teacher.encoder() = teacher_encoder();
  const MaskedLanguageModel<double> student = to_linformer(teacher, {.projected_length = 4});
  const DistillationConfig config{.hidden_states = 0.7, .embeddings = 1.3, .logits = 2.1};
  Resources resources(2);
  EncoderCache<double> cache;
  std::vector<std::vector<std::int32_t>> texts;
  for (std::int32_t i = 0; i < 24; ++i) {
    texts.emplace_back();
    for (std::int32_t j = 0; j < 12; ++j) texts.back().push_back((7 * i + 5 * j) % 20);
  }
  // Adds to `gradient`. @return the loss
  const auto take = [&](std::span<const std::vector<std::int32_t>> some, bool hides, bool recompute,
                        MaskedLanguageModel<double>& gradient) {
    const TokenBatch tokens = TokenBatch::from_sequences(some);
    MaskedTokens masked{tokens.ids, {}, {}};
    for (Index row = 0; hides && row < tokens.layout.rows(); ++row) masked.rows.push_back(row);
    const Matrix<double> goal = teacher.encoder()(tokens, resources.execution);
    return distillation_gradient<double>(student, teacher, {goal}, tokens.layout, masked, config,
                                         {.recompute = recompute}, 1.0, cache, gradient, resources.execution)
        .loss;
  };
  const std::span<const std::vector<std::int32_t>> all(texts);
  MaskedLanguageModel<double> whole = zero_gradient(student), parts = whole, none = whole;
  const double loss = take(all, true, false, whole);
  double sum = 0;
  for (std::size_t i = 0; i < 24; ++i) sum += take(all.subspan(i, 1), true, true, parts);
  CHECK(std::abs(loss - sum) < 1e-12 * loss);
  const auto difference = [](const auto& a, const auto& b) {  // the largest, relative to a parameter's largest
    const auto x = list_parameters<const double>(a), y = list_parameters<const double>(b);
    double largest = 0;
    for (std::size_t p = 0; p < x.size(); ++p) {
      const Eigen::Map<const Vector<double>> u(x[p].values.data(), static_cast<Index>(x[p].values.size()));
      const Eigen::Map<const Vector<double>> v(y[p].values.data(), static_cast<Index>(y[p].values.size()));
      REQUIRE((u.allFinite() && v.allFinite()));
      largest = std::max(largest, (u - v).cwiseAbs().maxCoeff() / (1e-3 + u.cwiseAbs().maxCoeff()));
    }
    return largest;
  };
  CHECK(difference(whole, parts) < 1e-11);  // sums of 288 rows in another order, through two layers of weights about 1
  const double without = take(all, false, false, none);
  const TokenBatch tokens = TokenBatch::from_sequences(all);
  const Matrix<double> goal = teacher.encoder()(tokens, resources.execution);
  Encoder<double> of_encoder = zero_gradient(student.encoder());
  const LossSum expected = distillation_gradient<double>(student.encoder(), {goal}, tokens, config, {}, 1.0, cache,
                                                         of_encoder, resources.execution);
  CHECK(without == expected.loss);
  CHECK(difference(none.encoder(), of_encoder) == 0);
}

TEST_CASE("of a language model that learns E and F the head is no parameter", "[distillation]") {
  const MaskedLanguageModel<double> model =
      to_linformer(MaskedLanguageModel<double>(teacher_encoder().config(), 3), {.projected_length = 4});
  const auto names_of = [&](TrainedPart part) {
    std::vector<std::string> names;
    const Student<double, MaskedLanguageModel<double>> student(model, part);
    student.for_each_parameter([&](const std::string& name, Shape, std::span<const double>) { names.push_back(name); });
    return names;
  };
  CHECK(names_of(TrainedPart::projections) == std::vector<std::string>{"projections.0.weight", "projections.1.weight"});
  CHECK(names_of(TrainedPart::all).back() == "lm_head.bias");
}

TEST_CASE("healing trains E and F alone, and brings a student closer", "[distillation]") {
  Resources resources(1);
  EncoderCache<double> cache;
  const Encoder<double> teacher = teacher_encoder();
  const TokenBatch tokens = TokenBatch::from_sequences(some_texts);
  const Matrix<double> goal = teacher(tokens, resources.execution);
  const Encoder<double> start = to_linformer(teacher, {.projected_length = 4});
  using Healed = Student<double, Encoder<double>>;
  Healed student(start, TrainedPart::projections);
  Trainer<double, Healed> trainer(student, {.schedule = {.peak = 0.01, .total_steps = 60}});
  std::vector<double> losses;
  for (int step = 0; step < 60; ++step) {
    const TrainingStep done = trainer.step(
        student, 1,
        [&](Index, Healed& gradient) {
          return distillation_gradient<double>(student, {goal}, tokens, {}, {}, 1.0, cache, gradient,
                                               resources.execution);
        },
        resources.pool);
    losses.push_back(done.loss.mean());
  }
  CHECK(losses.back() < 0.7 * losses.front());
  std::vector<double> before, after;
  std::vector<std::string> changed;
  start.for_each_parameter([&](const std::string&, Shape, std::span<const double> values) {
    before.insert(before.end(), values.begin(), values.end());
  });
  std::size_t at = 0;
  const Encoder<double>& whole = student;
  whole.for_each_parameter([&](const std::string& name, Shape, std::span<const double> values) {
    if (!std::equal(values.begin(), values.end(), before.begin() + static_cast<std::ptrdiff_t>(at))) {
      changed.push_back(name);
    }
    at += values.size();
  });
  CHECK(changed == std::vector<std::string>{"projections.0.weight", "projections.1.weight"});
}
