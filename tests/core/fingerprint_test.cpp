#include <linformer/core/fingerprint.hpp>

#include "support/catch.hpp"
#include "train/two_parameters.hpp"

using namespace linformer;

TEST_CASE("fingerprints are FNV-1a", "[fingerprint]") {
  CHECK(Fingerprint().value() == 0xCBF29CE484222325);
  // Of the eight bytes 61 00 … 00, by the definition: xor with a byte, then times the prime.
  std::uint64_t expected = 0xCBF29CE484222325;
  for (const std::uint64_t byte : {0x61, 0, 0, 0, 0, 0, 0, 0}) expected = (expected ^ byte) * 1099511628211U;
  Fingerprint number;
  number.take(std::uint64_t{0x61});
  CHECK(number.value() == expected);
}

TEST_CASE("another bit, another fingerprint", "[fingerprint]") {
  const auto of = [](const TwoParameters<float>& module) {
    Fingerprint fingerprint;
    fingerprint.take_parameters(module);
    return fingerprint.value();
  };
  const auto of_texts = [](std::string_view a, std::string_view b) {
    Fingerprint fingerprint;
    fingerprint.take(a);
    fingerprint.take(b);
    return fingerprint.value();
  };
  CHECK(of_texts("ab", "c") != of_texts("a", "bc"));
  TwoParameters<float> module{Matrix<float>::Zero(2, 3), Vector<float>::Zero(2)};
  const std::uint64_t before = of(module);
  CHECK(of(module) == before);
  module.bias(1) = -0.0F;
  CHECK(of(module) != before);
}
