#include <linformer/io/parameters.hpp>

#include <linformer/nn/linear.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

#include <string>
#include <vector>

using namespace linformer;
using Rule = SafetensorsError;

namespace {

/// Two layers, the second one of another shape and name where a test wants a file that does not fit.
template <Scalar T>
struct Network {
  Linear<T> first = Linear<T>::zeros("first", 2, 3, true), second = Linear<T>::zeros("second", 4, 2, true);
  std::string second_name = "second";

  void for_each_parameter(const ParameterVisitor<T>& visitor) {
    first.for_each_parameter("first", visitor);
    second.for_each_parameter(second_name, visitor);
  }
  void for_each_parameter(const ParameterVisitor<const T>& visitor) const {
    first.for_each_parameter("first", visitor);
    second.for_each_parameter(second_name, visitor);
  }
};

/// Values that are exact in float, all different.
template <Scalar T>
Network<T> numbered(T first = 1) {
  Network<T> network;
  network.for_each_parameter([&](const std::string&, Shape, std::span<T> values) {
    for (T& value : values) value = std::exchange(first, first + T(0.25));
  });
  return network;
}

template <Scalar T>
std::vector<double> flat(const Network<T>& network) {
  std::vector<double> all;
  network.for_each_parameter([&](const std::string&, Shape, std::span<const T> values) {
    for (const T value : values) all.push_back(static_cast<double>(value));
  });
  return all;
}

}  // namespace

TEMPLATE_TEST_CASE("parameters are saved by name and loaded again, in either scalar", "[io]", float, double) {
  const TemporaryFolder folder;
  const std::string path = folder.file("f");
  save_parameters(path, numbered<TestType>(), {{"step", "7"}});
  const auto file = SafetensorsFile::open(path);
  CHECK(file.tensors().size() == 4);
  CHECK(file.metadata().at("step") == "7");
  REQUIRE(file.find("second.weight") != nullptr);
  CHECK(file.find("second.weight")->shape == std::vector<Index>{4, 2});
  CHECK(file.find("second.weight")->dtype == dtype_of<TestType>);

  Network<float> narrow;
  Network<double> wide;
  load_parameters(file, narrow);
  load_parameters(file, wide);
  CHECK(flat(narrow) == flat(numbered<float>()));
  CHECK(flat(wide) == flat(numbered<double>()));
}

TEST_CASE("a file that does not fit leaves the module as it was", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("f");
  const auto check_refused = [&](const auto& saved, Rule rule, const std::string& key) {
    save_parameters(path, saved);
    Network<float> network = numbered<float>(100);
    const auto failure = failure_of<SafetensorsFailure>([&] { load_parameters(SafetensorsFile::open(path), network); });
    INFO(failure.what());
    CHECK(failure.rule() == rule);
    CHECK(failure.tensor() == path + ": " + key);
    CHECK(flat(network) == flat(numbered<float>(100)));
  };
  // The first layer of each fits.
  Network<float> other = numbered<float>();
  other.second = Linear<float>::zeros("second", 2, 4, true);
  check_refused(other, Rule::shape_mismatch, "second.weight");
  other.second = Linear<float>::zeros("second", 4, 2, false);
  check_refused(other, Rule::missing_tensor, "second.bias");
  other = numbered<float>();
  other.second_name = "third";
  check_refused(other, Rule::missing_tensor, "second.weight");
}

TEST_CASE("a tensor that no parameter asks for, or of integers, is refused", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("f");
  save_parameters(path, numbered<float>());
  std::vector<SafetensorsTensor> tensors;
  const auto saved = SafetensorsFile::open(path);
  tensors = saved.tensors();
  const std::vector<Index> one{1};
  const float value = 1;
  tensors.push_back(safetensors_tensor("more", one, std::span<const float>(&value, 1)));
  write_safetensors(folder.file("more"), tensors);
  Network<float> network;
  auto failure =
      failure_of<SafetensorsFailure>([&] { load_parameters(SafetensorsFile::open(folder.file("more")), network); });
  CHECK(failure.rule() == Rule::unexpected_tensor);
  CHECK(failure.tensor() == folder.file("more") + ": more");

  tensors.pop_back();
  for (SafetensorsTensor& tensor : tensors) {
    if (tensor.name == "second.bias") tensor.dtype = Dtype::i32;
  }
  write_safetensors(folder.file("integers"), tensors);
  failure =
      failure_of<SafetensorsFailure>([&] { load_parameters(SafetensorsFile::open(folder.file("integers")), network); });
  CHECK(failure.rule() == Rule::unreadable_dtype);
  CHECK(flat(network) == flat(Network<float>()));
}

TEST_CASE("two parameters of one name are refused by saving and by loading", "[io]") {
  const TemporaryFolder folder;
  Network<float> network;
  network.second = network.first;
  network.second_name = "first";
  CHECK(failure_of<SafetensorsFailure>([&] { save_parameters(folder.file("f"), network); }).rule() ==
        Rule::duplicate_key);
  std::vector<SafetensorsTensor> tensors;
  network.first.for_each_parameter("first", [&](const std::string& name, Shape shape, std::span<float> values) {
    tensors.push_back(safetensors_tensor(name, shape, std::span<const float>(values)));
  });
  write_safetensors(folder.file("f"), tensors);
  CHECK(failure_of<SafetensorsFailure>([&] {
          load_parameters(SafetensorsFile::open(folder.file("f")), network);
        }).rule() == Rule::duplicate_key);
}
