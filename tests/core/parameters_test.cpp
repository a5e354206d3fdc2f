#include <linformer/core/parameters.hpp>

#include "support/catch.hpp"

#include <concepts>
#include <span>
#include <string>
#include <vector>

using namespace linformer;

namespace {

/// The smallest thing with weights: a matrix, a vector and an absent vector.
template <Scalar T>
struct Module {
  Matrix<T> weight = Matrix<T>::Zero(3, 5);
  Vector<T> bias = Vector<T>::Zero(3), absent{};

  void for_each_parameter(const ParameterVisitor<T>& visitor) { visit(*this, visitor); }
  void for_each_parameter(const ParameterVisitor<const T>& visitor) const { visit(*this, visitor); }
  template <class Self, class Value>
  static void visit(Self& self, const ParameterVisitor<Value>& visitor) {
    detail::visit_matrix("weight", self.weight, visitor);
    detail::visit_vector("bias", self.bias, visitor);
    detail::visit_vector("absent", self.absent, visitor);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("a traversal tells names and shapes in order and leaves out what is empty", "[parameters]", float,
                   double) {
  std::vector<std::string> names;
  std::vector<std::vector<Index>> shapes;
  const Module<TestType> module;
  module.for_each_parameter([&](const std::string& name, Shape shape, auto values) {
    CHECK(std::same_as<decltype(values), std::span<const TestType>>);
    names.push_back(name);
    shapes.emplace_back(shape.begin(), shape.end());
  });
  CHECK(names == std::vector<std::string>{"weight", "bias"});
  CHECK(shapes == std::vector<std::vector<Index>>{{3, 5}, {3}});
}

TEST_CASE("values are visited in place and row by row", "[parameters]") {
  Module<float> module;
  module.for_each_parameter([](const std::string& name, Shape, std::span<float> values) {
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(i) + (name == "bias" ? 100.0F : 0.0F);
  });
  CHECK(module.weight(0, 4) == 4);
  CHECK(module.weight(1, 0) == 5);
  CHECK(module.weight(2, 4) == 14);
  CHECK(module.bias(2) == 102);
}

TEST_CASE("parameters are counted in values and in bytes", "[parameters]") {
  CHECK(parameter_count(Module<float>()) == 18);
  CHECK(parameter_bytes(Module<float>()) == 72);
  CHECK(parameter_count(Module<double>()) == 18);
  CHECK(parameter_bytes(Module<double>()) == 144);
}
