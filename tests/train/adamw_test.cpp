#include <linformer/train/adamw.hpp>

#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "train/two_parameters.hpp"

#include <linformer/core/random.hpp>

#include <limits>
#include <string>
#include <vector>

using namespace linformer;

namespace {

template <Scalar T>
TwoParameters<T> drawn(Index rows, Index columns, std::uint64_t seed) {
  TwoParameters<T> module{Matrix<T>(rows, columns), Vector<T>(rows)};
  module.for_each_parameter([&](const std::string& name, Shape, std::span<T> values) {
    fill_symmetric_uniform(values, RandomStream(seed).derive(name), 1);
  });
  return module;
}

template <Scalar T>
bool same_bits(const TwoParameters<T>& a, const TwoParameters<T>& b) {
  return a.weight == b.weight && a.bias == b.bias;
}

}  // namespace

TEMPLATE_TEST_CASE("ten steps are PyTorch's, with decay and without", "[adamw]", float, double) {
  using T = TestType;
  auto cases = read_fixtures("training.txt");
  for (const char* name : {"adamw", "adamw_decay"}) {
    REQUIRE(cases.count(name) == 1);
    const oracle::Parameters& expected = cases[name];
    const auto module = [&](const std::string& weight, const std::string& bias, int step) {
      const std::string number = std::to_string(step);
      return TwoParameters<T>{expected.at(weight + "." + number).cast<T>(), expected.at(bias + "." + number).cast<T>()};
    };
    TwoParameters<T> parameters = module("weight", "bias", 0);
    AdamW<T> optimizer(
        parameters, {.beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-6, .weight_decay = expected.at("weight_decay")(0, 0)});
    ThreadPool pool(1);
    for (int step = 1; step <= 10; ++step) {
      CAPTURE(name, step);
      optimizer.step(parameters, module("weight_gradient", "bias_gradient", step),
                     expected.at("rate." + std::to_string(step))(0, 0), pool);
      const TwoParameters<T> after = module("weight", "bias", step);
      // A step has some twenty roundings of values below 1.5 (the update is below the rate, 0.1, times 2): ten steps
      // add up to 200 units at most, and float's inputs are off by half a unit each.
      const T tolerance = 200 * std::numeric_limits<T>::epsilon();
      CHECK((parameters.weight - after.weight).cwiseAbs().maxCoeff() <= tolerance);
      CHECK((parameters.bias - after.bias).cwiseAbs().maxCoeff() <= tolerance);
      CHECK(optimizer.steps() == static_cast<std::uint64_t>(step));
    }
  }
}

TEMPLATE_TEST_CASE("any number of threads gives the same bits", "[adamw]", float, double) {
  using T = TestType;
  const auto steps = [](Index threads) {
    auto parameters = drawn<T>(37, 1501, 1);
    AdamW<T> optimizer(parameters);
    ThreadPool pool(threads);
    for (std::uint64_t step = 0; step < 3; ++step) {
      optimizer.step(parameters, drawn<T>(37, 1501, 2 + step), 0.01, pool, 0.7);
    }
    return parameters;
  };
  const auto alone = steps(1);
  CHECK_FALSE(same_bits(alone, drawn<T>(37, 1501, 1)));
  CHECK(same_bits(alone, steps(2)));
  CHECK(same_bits(alone, steps(5)));
}

TEST_CASE("every value takes its step, wherever it stands", "[adamw]") {
  // All values alike must stay alike: none is left out at the ends of blocks and cuts.
  const Index size = static_cast<Index>(parameter_cut_length) + 261;
  TwoParameters<float> parameters{Matrix<float>::Constant(1, size, 0.5F), Vector<float>::Constant(3, 0.5F)};
  const TwoParameters<float> gradients{Matrix<float>::Constant(1, size, 0.25F), Vector<float>::Constant(3, 0.25F)};
  AdamW<float> optimizer(parameters, {.weight_decay = 0});
  ThreadPool pool(2);
  optimizer.step(parameters, gradients, 0.125, pool);
  // The first step is the rate, whatever the gradient, but for ε and some roundings of the ratio.
  const float moved = parameters.weight(0, 0);
  CHECK(std::abs(moved - 0.375F) <= 1e-6F);
  CHECK((parameters.weight.array() - moved).abs().maxCoeff() <= std::numeric_limits<float>::epsilon());
  CHECK((parameters.bias.array() - moved).abs().maxCoeff() <= std::numeric_limits<float>::epsilon());
}

TEST_CASE("the scale of gradients is applied on the fly", "[adamw]") {
  auto scaled = drawn<float>(3, 5, 1), plain = scaled;
  auto gradients = drawn<float>(3, 5, 2);
  AdamW<float> first(scaled), second(plain);
  ThreadPool pool(1);
  first.step(scaled, gradients, 0.01, pool, 0.3);
  gradients.weight *= 0.3F;
  gradients.bias *= 0.3F;
  second.step(plain, gradients, 0.01, pool);
  // Not the same bits only where the compiler fuses the scale into a sum.
  CHECK((scaled.weight - plain.weight).cwiseAbs().maxCoeff() <= 4 * std::numeric_limits<float>::epsilon());
  CHECK((scaled.bias - plain.bias).cwiseAbs().maxCoeff() <= 4 * std::numeric_limits<float>::epsilon());
}

TEST_CASE("matrices decay and vectors do not, unless the rule is another", "[adamw]") {
  const auto before = drawn<double>(3, 5, 1);
  const TwoParameters<double> none{Matrix<double>::Zero(3, 5), Vector<double>::Zero(3)};
  ThreadPool pool(1);
  const double kept = 1 - 0.5 * 0.25;
  auto parameters = before;
  AdamW<double>(parameters, {.weight_decay = 0.25}).step(parameters, none, 0.5, pool);
  CHECK(parameters.weight == before.weight * kept);  // exact: kept is 7/8, and nothing is subtracted
  CHECK(parameters.bias == before.bias);
  parameters = before;
  AdamW<double>(parameters, {.weight_decay = 0.25}, [](const std::string& name, Shape shape) {
    return name == "bias" && shape.size() == 1 && shape[0] == 3;
  }).step(parameters, none, 0.5, pool);
  CHECK(parameters.weight == before.weight);
  CHECK(parameters.bias == before.bias * kept);
}

TEST_CASE("the state is told by name, and what is saved goes on with the same bits", "[adamw]") {
  auto parameters = drawn<float>(3, 5, 1);
  AdamW<float> optimizer(parameters);
  ThreadPool pool(1);
  for (std::uint64_t step = 0; step < 4; ++step) optimizer.step(parameters, drawn<float>(3, 5, 2 + step), 0.01, pool);

  std::vector<std::string> names;
  std::vector<std::vector<Index>> shapes;
  std::vector<std::vector<float>> saved;
  const AdamW<float>& constant = optimizer;
  constant.for_each_parameter([&](const std::string& name, Shape shape, std::span<const float> values) {
    names.push_back(name);
    shapes.emplace_back(shape.begin(), shape.end());
    saved.emplace_back(values.begin(), values.end());
  });
  CHECK(names == std::vector<std::string>{"exp_avg.weight", "exp_avg.bias", "exp_avg_sq.weight", "exp_avg_sq.bias"});
  CHECK(shapes == std::vector<std::vector<Index>>{{3, 5}, {3}, {3, 5}, {3}});
  CHECK(parameter_count(optimizer) == 2 * parameter_count(parameters));

  auto resumed_parameters = parameters;
  AdamW<float> resumed(resumed_parameters);
  std::size_t next = 0;
  resumed.for_each_parameter([&](const std::string&, Shape, std::span<float> values) {
    std::copy(saved[next].begin(), saved[next].end(), values.begin());
    ++next;
  });
  resumed.set_steps(optimizer.steps());
  for (std::uint64_t step = 4; step < 8; ++step) {
    const auto gradients = drawn<float>(3, 5, 2 + step);
    optimizer.step(parameters, gradients, 0.01, pool);
    resumed.step(resumed_parameters, gradients, 0.01, pool);
  }
  CHECK(same_bits(parameters, resumed_parameters));
}

TEST_CASE("parameters and gradients that do not belong together are errors, and nothing changes", "[adamw]") {
  const auto before = drawn<float>(3, 5, 1);
  auto parameters = before, other = drawn<float>(3, 6, 1);
  AdamW<float> optimizer(parameters);
  ThreadPool pool(1);
  const auto fails = [&](auto& module, const auto& gradients, const char* which) {
    try {
      optimizer.step(module, gradients, 0.1, pool);
      FAIL_CHECK("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::parameter_mismatch);
      CHECK(error.tensor() == which);
    }
  };
  fails(parameters, other, "gradients");
  fails(other, parameters, "parameters");
  CHECK(same_bits(parameters, before));
  CHECK(optimizer.steps() == 0);
}

TEST_CASE("an impossible configuration is an error that names the field", "[adamw]") {
  const auto module = drawn<float>(1, 1, 1);
  const auto field = [&](const AdamWConfig& config) {
    try {
      const AdamW<float> optimizer(module, config);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_configuration);
      return error.tensor();
    }
    return std::string();
  };
  CHECK(field({.beta1 = 1}) == "beta1");
  CHECK(field({.beta1 = -0.1}) == "beta1");
  CHECK(field({.beta2 = 1}) == "beta2");
  CHECK(field({.epsilon = -1}) == "epsilon");
  CHECK(field({.weight_decay = -1}) == "weight decay");
  CHECK(field({.weight_decay = std::numeric_limits<double>::quiet_NaN()}) == "weight decay");
  CHECK(field({.beta1 = 0, .beta2 = 0, .epsilon = 0, .weight_decay = 0}).empty());
}

TEST_CASE("powers by squaring", "[adamw]") {
  CHECK(detail::power(0.5, 0) == 1);
  CHECK(detail::power(0.5, 10) == 0x1p-10);
  CHECK(detail::power(3, 5) == 243);
  for (const std::uint64_t n : {7U, 1000U, 12345U}) {
    const double expected = std::pow(0.999, static_cast<double>(n));
    // Squaring doubles a relative error and adds one rounding: below n units in all.
    CHECK(std::abs(detail::power(0.999, n) - expected) <=
          static_cast<double>(n) * std::numeric_limits<double>::epsilon() * expected);
  }
}
