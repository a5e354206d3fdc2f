#include <linformer/core/parameter_name.hpp>

#include "support/catch.hpp"

using namespace linformer;

TEST_CASE("a parameter's name is put together like a string, however long", "[parameters]") {
  ParameterName name = "encoder";
  std::string expected = "encoder";
  for (int i = 0; i < 60; ++i) {  // to 600 characters
    const std::string more = ".layer." + std::to_string(100 + i);
    name = name + more;
    expected += more;
    REQUIRE(name.view() == expected);
    REQUIRE(name == expected);
    REQUIRE(expected == name);
    const ParameterName copy = name;
    REQUIRE((copy + ".weight").view() == expected + ".weight");
    REQUIRE(copy.view() == expected);
    const std::string text = name;
    REQUIRE(text == expected);
  }
  REQUIRE_FALSE(name == std::string_view("encoder"));
}

TEST_CASE("a name may come from any text, and of any size", "[parameters]") {
  REQUIRE(ParameterName(std::string("a") + "b").view() == "ab");
  REQUIRE(ParameterName(std::string_view()).view().empty());
  for (const std::size_t size : {std::size_t{118}, std::size_t{119}, std::size_t{120}}) {
    const std::string text(size, 'x');
    REQUIRE((ParameterName(text) + "").view() == text);
    REQUIRE((ParameterName("") + text + "y").view() == text + "y");
  }
}
