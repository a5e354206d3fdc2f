#include <linformer/train/parameter_list.hpp>

#include "support/catch.hpp"
#include "train/two_parameters.hpp"

#include <concepts>

using namespace linformer;

namespace {

TwoParameters<float> zeros(Index rows, Index columns) {
  return {Matrix<float>::Zero(rows, columns), Vector<float>::Zero(rows)};
}

}  // namespace

TEST_CASE("a module's parameters are listed in order, and seen in place", "[parameter_list]") {
  TwoParameters<float> module = zeros(3, 5);
  const auto list = list_parameters<float>(module);
  REQUIRE(list.size() == 2);
  CHECK(list[0].name == "weight");
  CHECK(list[0].shape == std::vector<Index>{3, 5});
  CHECK(list[0].values.size() == 15);
  CHECK(list[1].name == "bias");
  CHECK(list[1].shape == std::vector<Index>{3});
  list[0].values[6] = 17;
  CHECK(module.weight(1, 1) == 17);
  const TwoParameters<float>& constant = module;
  CHECK(list_parameters<const float>(constant)[0].values.data() == module.weight.data());
}

TEST_CASE("cuts cover every value once, in order, none longer than the limit", "[parameter_list]") {
  const auto limit = static_cast<Index>(parameter_cut_length);
  for (const Index size : {Index{1}, limit - 1, limit, limit + 1, 3 * limit}) {
    TwoParameters<float> module{Matrix<float>::Zero(1, size), Vector<float>::Zero(7)};
    ParameterValues<float> values;
    values.assign(module);
    REQUIRE(values.size() == 2);
    std::vector<std::size_t> seen(2);
    std::size_t last = 0;
    for (const ParameterCut& cut : values.cuts()) {
      CHECK(cut.parameter >= last);
      last = cut.parameter;
      CHECK(cut.begin == seen[cut.parameter]);
      CHECK(cut.count > 0);
      CHECK(cut.count <= parameter_cut_length);
      CHECK(values[cut].size() == cut.count);
      CHECK(values[cut].data() == (cut.parameter == 0 ? module.weight.data() : module.bias.data()) + cut.begin);
      seen[cut.parameter] += cut.count;
    }
    CHECK(seen == std::vector<std::size_t>{static_cast<std::size_t>(size), 7});
  }
}

TEST_CASE("modules of other names or shapes are told apart", "[parameter_list]") {
  auto ours = zeros(3, 5), same = zeros(3, 5), wider = zeros(3, 6);
  TwoParameters<float> without_bias{Matrix<float>::Zero(3, 5), {}};
  const auto list = list_parameters<float>(ours);
  CHECK_NOTHROW(detail::require_same_parameters(list, "gradients", list_parameters<float>(same)));
  const auto differs = [&](const auto& left, const auto& right, const std::string& expected,
                           const std::string& actual) {
    try {
      detail::require_same_parameters(left, "gradients", right);
      FAIL_CHECK("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::parameter_mismatch);
      CHECK(error.tensor() == "gradients");
      CHECK(error.expected() == expected);
      CHECK(error.actual() == actual);
    }
  };
  differs(list, list_parameters<float>(wider), "weight of 3 x 5", "weight of 3 x 6");
  differs(list, list_parameters<float>(without_bias), "bias of 3", "no further parameter");
  differs(list_parameters<float>(without_bias), list, "no further parameter", "bias of 3");
  auto renamed = list_parameters<float>(same);
  renamed[1].name = "beta";
  differs(list, renamed, "bias of 3", "beta of 3");
}
